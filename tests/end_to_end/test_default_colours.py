"""The colours of sources with full chroma: the default weights must not do worse there than bicubic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from paragon_stream import upscale_images
from paragon_stream.checkpoint import list_shipped
from paragon_stream.checkpoint.shipped import ShippedSet
from paragon_stream.frame import FrameFormat, pixel_format
from paragon_stream.train.data.resample import enlarge, shrink, to_codes
from paragon_stream.upscaler import Upscaler, UpscalerOptions, choose_network

type Picture = NDArray[np.float64]

BORDER = 8


def drawn() -> NDArray[np.uint8]:
    """Coloured shapes with soft edges on a gradient, as in drawn pictures."""
    side, fine = 192, 4
    canvas = Image.new("RGB", (side * fine, side * fine), (200, 180, 150))
    draw = ImageDraw.Draw(canvas)
    chance = np.random.default_rng(3)
    for _ in range(60):
        x, y, w, h = (int(value) for value in chance.integers(10, side, 4) * fine)
        color = tuple(int(value) for value in chance.integers(0, 256, 3))
        kind = draw.ellipse if chance.random() < 0.6 else draw.rectangle
        kind((x, y, x + w // 3, y + h // 3), fill=color, outline=(20, 20, 30), width=5)
    return np.asarray(canvas.resize((side, side), Image.Resampling.BOX))


def chroma(rgb: NDArray[np.generic]) -> list[Picture]:
    """Cb and Cr (JFIF)."""
    r, g, b = (np.asarray(rgb[..., channel], np.float64) for channel in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return [(b - y) / 1.772, (r - y) / 1.402]


def psnr(made: Picture, truth: Picture) -> float:
    inner = slice(BORDER, -BORDER), slice(BORDER, -BORDER)
    return float(10 * np.log10(255**2 / np.mean((made[inner] - truth[inner]) ** 2)))


@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_chroma_of_rgb_is_no_worse_than_bicubic(tmp_path: Path, variant: str) -> None:
    truth = drawn()
    low = to_codes(shrink(truth.astype(np.float32), 2))
    Image.fromarray(low).save(tmp_path / "in.png")
    upscale_images(tmp_path / "in.png", tmp_path / "out.png", variant=variant)
    made = np.asarray(Image.open(tmp_path / "out.png"))
    plain = to_codes(enlarge(low.astype(np.float32), 2))
    for ours, bicubic, original in zip(chroma(made), chroma(plain), chroma(truth), strict=True):
        assert psnr(ours, original) > psnr(bicubic, original)


def test_chroma_of_444_is_no_worse_than_bicubic() -> None:
    """YUV 4:4:4, plane by plane, by the default of `Upscaler`."""
    rgb = drawn().astype(np.float64)
    luma = rgb @ [0.299, 0.587, 0.114]
    truth = [to_codes(np.asarray(plane, np.float32)) for plane in (luma, *(c + 128 for c in chroma(rgb)))]
    low = tuple(to_codes(shrink(plane.astype(np.float32), 2)) for plane in truth)
    with Upscaler(width=96, height=96, pixel_format="yuvj444p") as upscaler:
        assert upscaler.weights.name == "video"
        made = upscaler(low)
    for ours, small, original in zip(made[1:], low[1:], truth[1:], strict=True):
        plain = to_codes(enlarge(small.astype(np.float32), 2))
        assert psnr(ours.astype(np.float64), original) > psnr(plain.astype(np.float64), original)


@pytest.mark.parametrize(
    ("pixels", "strength", "expected"),
    [
        ("yuv420p", None, "video"),
        ("nv12", "auto", "video"),
        ("yuv422p10le", None, "video"),
        ("gray", None, "video"),
        ("yuv444p", None, "video"),
        ("rgb24", "auto", "fidelity"),
        ("gbrp10le", None, "fidelity"),
        ("rgb24", 0.4, "video"),
    ],
)
def test_the_default_follows_the_chroma(pixels: str, strength: str | float | None, expected: str) -> None:
    source = FrameFormat(width=64, height=48, pixel_format=pixel_format(pixels))
    assert choose_network(source, UpscalerOptions(strength=strength))[0].name == expected
    assert choose_network(source, UpscalerOptions(weights="video"))[0].name == "video"


def line_art() -> NDArray[np.uint8]:
    """Black lines of several widths on white, with soft edges."""
    side, fine = 64, 4
    canvas = Image.new("L", (side * fine, side * fine), 255)
    draw = ImageDraw.Draw(canvas)
    for number, width in enumerate((3, 5, 8, 12)):
        draw.line((8, 20 + 60 * number, 240, 60 * number), fill=0, width=width)
        draw.arc((40 * number, 30, 40 * number + 90, 220), 20, 300, fill=0, width=width)
    return np.asarray(canvas.resize((side, side), Image.Resampling.BOX))


@pytest.mark.parametrize("shipped", list_shipped(), ids=lambda each: each.path.stem)
def test_no_set_fringes_black_lines_on_white(shipped: ShippedSet) -> None:
    drawn_lines = line_art()
    rgb = np.dstack([drawn_lines] * 3)
    neutral = np.full((32, 32), 128, np.uint8)
    with Upscaler(width=64, height=64, pixel_format="rgb24", weights=shipped.path) as upscaler:
        made = chroma(upscaler((rgb,))[0])
    assert max(float(np.abs(plane).max()) for plane in made) <= 2
    with Upscaler(width=64, height=64, pixel_format="yuv420p", weights=shipped.path) as upscaler:
        planes = upscaler((drawn_lines, neutral, neutral))[1:]
    assert max(int(np.abs(plane.astype(int) - 128).max()) for plane in planes) <= 2
