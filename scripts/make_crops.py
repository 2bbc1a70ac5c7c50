"""Draws the crops that the documents show: docs/images/perceptual.png, drawings.webp and photographs.webp.

    scripts/python --dev scripts/make_crops.py --data FOLDER [--perceptual FILE]

FOLDER is that of the training pictures; those shown are held out from training, and CC0 or BSD-2-Clause. The
drawings are the project's own, of numbers that training never takes. Every pixel is doubled, so that the page
does not resample it again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from paragon_stream import Upscaler
from paragon_stream.train.data.drawings import draw_picture
from paragon_stream.train.data.resample import enlarge, shrink, to_codes

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
GAP, LABEL = 4, 16
PHOTOGRAPHS = (
    ("free/photo/bf7fd8d39158_0.webp", 190, 150),
    ("free/photo/e463d4c7c3d8_0.webp", 200, 200),
    ("free/photo/c3397c55853d_0.webp", 200, 240),
    ("free/texture/0dab586ac62d_0.webp", 160, 160),
)
"""Pictures (budgie-backgrounds, OpenDroneMap's Seneca, Brighton Beach by drone, Poly Haven), left and top."""
DRAWINGS = ((1000, 96, 70), (1001, 60, 60), (1002, 40, 40), (1003, 60, 40))
"""Numbers of drawings, left and top: a cartoon, shapes, a page, a screen."""
SETS = (
    ("realtime", "video"),
    ("realtime", "fidelity"),
    ("stream", "video"),
    ("stream", "fidelity"),
    ("stream", "perceptual"),
)
"""The shipped sets of ×2: variant and name."""

type Codes = NDArray[np.uint8]


def upscaled(low: Codes, variant: str, weights: str) -> Codes:
    with Upscaler(
        width=low.shape[1],
        height=low.shape[0],
        pixel_format="rgb24",
        variant=variant,
        weights=weights,
        precision="fp32",
    ) as upscaler:
        result = upscaler(low)
    assert isinstance(result, np.ndarray)
    return result


def row(truth: Codes, left: int, top: int, side: int, sets: Sequence[tuple[str, str]]) -> list[Codes]:
    """The crop in the original, by bicubic, and by each of `sets` from the shrunk picture."""
    truth = truth[: truth.shape[0] // 2 * 2, : truth.shape[1] // 2 * 2]
    low = to_codes(shrink(truth.astype(np.float32), 2))
    bicubic = to_codes(enlarge(low.astype(np.float32), 2, "bicubic"))
    pictures = (truth, bicubic, *(upscaled(low, *each) for each in sets))
    return [picture[top : top + side, left : left + side] for picture in pictures]


def page(rows: Sequence[Sequence[Codes]], titles: Sequence[str], path: Path) -> None:
    """Crops in columns below their titles."""
    side = rows[0][0].shape[0]
    cell = 2 * side + GAP
    sheet = Image.new("RGB", (len(titles) * cell - GAP, LABEL + len(rows) * cell - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((column * cell + 4, 2), title, fill="black")
        for line, crops in enumerate(rows):
            doubled = crops[column].repeat(2, axis=0).repeat(2, axis=1)
            sheet.paste(Image.fromarray(doubled), (column * cell, LABEL + line * cell))
    if path.suffix == ".webp":
        sheet.save(path, lossless=True, method=6)
    else:
        sheet.save(path, optimize=True)


def photograph(path: Path) -> Codes:
    return np.asarray(Image.open(path).convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--perceptual", default="perceptual", help="the set, or a file")
    options = parser.parse_args()
    photographs = [(photograph(options.data / name), left, top) for name, left, top in PHOTOGRAPHS]
    drawings = [(draw_picture(number, 256), left, top) for number, left, top in DRAWINGS]

    two = (("stream", "fidelity"), ("stream", options.perceptual))
    titles = ("original", "bicubic", "stream fidelity", "stream perceptual")
    page([row(*each, 112, two) for each in photographs], titles, IMAGES / "perceptual.png")
    titles = ("original", "bicubic", *(f"{variant} {name}" for variant, name in SETS))
    for name, pictures in (("drawings", drawings), ("photographs", photographs)):
        page([row(*each, 72, SETS) for each in pictures], titles, IMAGES / f"{name}.webp")


if __name__ == "__main__":
    main()
