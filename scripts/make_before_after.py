"""Draws docs/images/before_after.png: a crop of the sample, resampled by bicubic and upscaled by this tool.

    scripts/python --dev scripts/make_before_after.py

Both halves are the same frame of examples/sample.mkv at twice its size; the crop is then shown with every
pixel doubled, so that the page does not resample it again.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image

import paragon_stream

ROOT = Path(__file__).resolve().parent.parent
FRAME = 75
LEFT, TOP, WIDTH, HEIGHT = 230, 70, 200, 200
"""The crop, in pixels of the upscaled frame."""


def rgb(path: Path, index: int, width: int, height: int) -> Image.Image:
    """Frame `index` of a clip, as RGB, resampled by FFmpeg's bicubic where the size differs."""
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == index:
                return frame.reformat(width, height, "rgb24", interpolation="BICUBIC").to_image()
    raise ValueError(f"{path} has no frame {index}")


def main() -> None:
    source = ROOT / "examples" / "sample.mkv"
    upscaled = ROOT / "docs" / "images" / "sample.mkv"
    paragon_stream.upscale(source, upscaled, codec="ffv1", overwrite=True)
    try:
        with av.open(str(upscaled)) as container:
            width, height = container.streams.video[0].width, container.streams.video[0].height
        box = (LEFT, TOP, LEFT + WIDTH, TOP + HEIGHT)
        halves = [np.asarray(rgb(path, FRAME, width, height).crop(box)) for path in (source, upscaled)]
    finally:
        upscaled.unlink()
    gap = np.full((HEIGHT, 4, 3), 255, np.uint8)
    picture = np.concatenate([halves[0], gap, halves[1]], axis=1).repeat(2, axis=0).repeat(2, axis=1)
    Image.fromarray(picture).save(ROOT / "docs" / "images" / "before_after.png", optimize=True)


if __name__ == "__main__":
    main()
