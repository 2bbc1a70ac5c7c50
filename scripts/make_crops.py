"""Draws docs/images/perceptual.png: details of held-out pictures by bicubic, fidelity and perceptual weights.

    scripts/python --dev scripts/make_crops.py --data FOLDER [--perceptual FILE]

FOLDER is that of the training pictures; those shown are held out from training, and CC0 or BSD-2-Clause.
Every pixel is doubled, so that the page does not resample it again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from paragon_stream import Upscaler
from paragon_stream.train.data.resample import enlarge, shrink, to_codes

ROOT = Path(__file__).resolve().parent.parent
SIDE, GAP, LABEL = 112, 4, 16
PLACES = (
    ("free/photo/bf7fd8d39158_0.webp", 190, 150),
    ("free/photo/e463d4c7c3d8_0.webp", 200, 200),
    ("free/photo/c3397c55853d_0.webp", 200, 240),
    ("free/texture/0dab586ac62d_0.webp", 160, 160),
)
"""Pictures (budgie-backgrounds, OpenDroneMap's Seneca, Brighton Beach by drone, Poly Haven), left and top."""

type Codes = NDArray[np.uint8]


def upscaled(low: Codes, weights: str) -> Codes:
    with Upscaler(
        width=low.shape[1],
        height=low.shape[0],
        pixel_format="rgb24",
        variant="stream",
        weights=weights,
        precision="fp32",
    ) as upscaler:
        result = upscaler(low)
    assert isinstance(result, np.ndarray)
    return result


def row(path: Path, left: int, top: int, perceptual: str) -> list[Codes]:
    """The crop in the original and after each way of doubling the shrunk picture."""
    truth = np.asarray(Image.open(path).convert("RGB"))
    truth = truth[: truth.shape[0] // 2 * 2, : truth.shape[1] // 2 * 2]
    low = to_codes(shrink(truth.astype(np.float32), 2))
    bicubic = to_codes(enlarge(low.astype(np.float32), 2, "bicubic"))
    pictures = (truth, bicubic, upscaled(low, "fidelity"), upscaled(low, perceptual))
    return [picture[top : top + SIDE, left : left + SIDE] for picture in pictures]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--perceptual", default="perceptual", help="the set, or a file")
    options = parser.parse_args()
    rows = [row(options.data / name, left, top, options.perceptual) for name, left, top in PLACES]
    cell = 2 * SIDE + GAP
    page = Image.new("RGB", (4 * cell - GAP, LABEL + len(rows) * cell - GAP), "white")
    draw = ImageDraw.Draw(page)
    for column, title in enumerate(("original", "bicubic", "stream fidelity", "stream perceptual")):
        draw.text((column * cell + 4, 2), title, fill="black")
        for line, crops in enumerate(rows):
            doubled = crops[column].repeat(2, axis=0).repeat(2, axis=1)
            page.paste(Image.fromarray(doubled), (column * cell, LABEL + line * cell))
    page.save(ROOT / "docs" / "images" / "perceptual.png", optimize=True)


if __name__ == "__main__":
    main()
