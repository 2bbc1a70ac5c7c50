"""Streams that change on the way: later frames are made like the first, shape and colours kept."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip
from reading import read_all

from paragon_stream.frame import ColorRange, ColorSpec, FrameFormat, Matrix, pixel_format
from paragon_stream.media.decode.conform import conformed
from paragon_stream.media.ffmpeg.planes import plane_array


def glued(tmp_path: Path, *sizes: tuple[int, int]) -> Path:
    """Transport streams of two frames each, one behind the other."""
    parts = [
        make_clip(tmp_path / f"{n}.ts", width=w, height=h, frames=4, options={"preset": "ultrafast"})
        for n, (w, h) in enumerate(sizes)
    ]
    whole = tmp_path / "whole.ts"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def test_another_shape_gets_bars(tmp_path: Path) -> None:
    frames, reader = read_all(glued(tmp_path, (96, 64), (64, 64)))
    assert len(frames) == 8
    assert any("64x64" in said and "first frame's format" in said for said in reader.warnings)
    for _, (y, u, v) in frames[4:]:
        assert (y[:, :16] == 16).all() and (y[:, -16:] == 16).all()
        assert (u[:, :8] == 128).all() and (v[:, -8:] == 128).all()
        assert y[:, 16:-16].std() > 10
    for _, (y, *_rest) in frames[:4]:
        assert y[:, :16].std() > 5


def test_another_size_of_the_same_shape_fills(tmp_path: Path) -> None:
    frames, _ = read_all(glued(tmp_path, (96, 64), (192, 128)))
    small, large = frames[0][1][0].astype(int), frames[-1][1][0].astype(int)
    assert small.shape == large.shape == (64, 96)
    assert large[:, :4].std() > 2 and np.abs(large.mean() - small.mean()) < 12


def like(frame: av.VideoFrame, aspect: Fraction = Fraction(1), **color: object) -> FrameFormat:
    return wanted(frame.format.name, frame.width, frame.height, aspect, **color)


def plain(width: int, height: int, name: str, value: tuple[int, ...]) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, name)
    pixels = pixel_format(name)
    for index, shape in enumerate(pixels.plane_shapes(width, height)):
        plane_array(frame, index, shape, np.dtype(pixels.sample_type))[:] = value[index]
    return frame


def wanted(
    name: str, width: int, height: int, aspect: Fraction = Fraction(1), **color: object
) -> FrameFormat:
    return FrameFormat(
        width=width,
        height=height,
        pixel_format=pixel_format(name),
        color=ColorSpec(**{"range": ColorRange.LIMITED, "matrix": Matrix.BT709, **color}),  # type: ignore[arg-type]
        sample_aspect_ratio=aspect,
    )


@pytest.mark.parametrize(
    ("name", "value", "black"),
    [
        ("yuv420p", (180, 100, 150), (16, 128, 128)),
        ("yuv420p10le", (700, 400, 600), (64, 512, 512)),
        ("yuva420p", (180, 100, 150, 200), (16, 128, 128, 255)),
        ("yuv411p", (180, 100, 150), (16, 128, 128)),
        ("gray", (180,), (16,)),
    ],
)
def test_bars_are_black_in_every_format(name: str, value: tuple[int, ...], black: tuple[int, ...]) -> None:
    target = wanted(name, 64, 48)
    frame = plain(64, 24, name, value)
    result = conformed(frame, like(frame), target)
    assert (result.width, result.height, result.format.name) == (64, 48, name)
    for index, shape in enumerate(target.plane_shapes):
        plane = plane_array(result, index, shape, np.dtype(target.pixel_format.sample_type))
        assert plane[0, 0] == black[index] == plane[-1, -1]
        assert abs(int(plane[shape[0] // 2, shape[1] // 2]) - value[index]) <= 1


def test_the_shape_of_samples_counts() -> None:
    """Anamorphic PAL to 16:9 is no other shape; 4:3 PAL is."""
    target = wanted("yuv420p", 192, 108)
    frame = plain(72, 58, "yuv420p", (180, 128, 128))
    wide = conformed(frame, like(frame, Fraction(64, 45)), target)
    narrow = conformed(frame, like(frame, Fraction(16, 15)), target)
    corners = [int(plane_array(f, 0, (108, 192), np.dtype(np.uint8))[50, 2]) for f in (wide, narrow)]
    assert corners == [180, 16]


def test_the_matrix_is_changed_where_it_is_known() -> None:
    frame = plain(96, 64, "yuv420p", (120, 90, 170))
    bt601 = like(frame, Fraction(8, 9), matrix=Matrix.BT470BG)
    result = conformed(frame, bt601, wanted("yuv420p", 64, 48))
    same = conformed(frame, like(frame, Fraction(8, 9)), wanted("yuv420p", 64, 48))
    for index, shape in enumerate(((48, 64), (24, 32), (24, 32))):
        changed, kept = (
            int(plane_array(f, index, shape, np.dtype(np.uint8))[10, 16]) for f in (result, same)
        )
        assert kept == (120, 90, 170)[index]
        assert abs(changed - bt601_as_bt709(120, 90, 170)[index]) <= 2


def test_the_range_is_changed() -> None:
    frame = plain(96, 64, "yuv420p", (255, 128, 128))
    result = conformed(frame, like(frame, range=ColorRange.FULL), wanted("yuv420p", 48, 32))
    assert int(plane_array(result, 0, (32, 48), np.dtype(np.uint8))[10, 16]) == 235


FULL, LIMITED = ColorRange.FULL, ColorRange.LIMITED
RED_709, RED_601 = (63, 102, 240), (81, 90, 240)
BLUE_709 = (32, 240, 118)
"""Y, Cb, Cr of full colours in limited range (ITU-R BT.709 and BT.601)."""


@pytest.mark.parametrize(
    ("have", "colors", "value", "want", "into", "expected"),
    [
        ("yuv420p", (FULL, Matrix.BT709), (16, 128, 128), "rgb24", (FULL, Matrix.RGB), (16, 16, 16)),
        ("yuv420p", (FULL, Matrix.BT709), (200, 128, 128), "gbrp", (FULL, Matrix.RGB), (200,) * 3),
        ("yuv420p", (LIMITED, Matrix.BT709), BLUE_709, "rgb24", (FULL, Matrix.RGB), (0, 0, 255)),
        ("gbrp", (FULL, Matrix.RGB), (16, 16, 16), "yuv420p", (FULL, Matrix.BT709), (16, 128, 128)),
        ("gbrp", (FULL, Matrix.RGB), (0, 0, 255), "yuv420p", (LIMITED, Matrix.BT709), RED_709),
        ("gbrp", (FULL, Matrix.RGB), (0, 0, 255), "yuv444p", (LIMITED, Matrix.SMPTE170M), RED_601),
        ("yuv420p", (LIMITED, Matrix.SMPTE170M), RED_601, "yuv420p", (LIMITED, Matrix.BT709), RED_709),
        ("gray", (FULL, Matrix.BT709), (200,), "yuv420p", (FULL, Matrix.BT709), (200, 128, 128)),
        ("gray", (LIMITED, Matrix.BT709), (200,), "yuv420p", (LIMITED, Matrix.BT709), (200, 128, 128)),
        ("gray", (LIMITED, Matrix.BT709), (235,), "yuv420p", (FULL, Matrix.BT709), (255, 128, 128)),
        ("gray10le", (LIMITED, Matrix.BT709), (940,), "rgb24", (FULL, Matrix.RGB), (255,) * 3),
        ("gray", (FULL, Matrix.BT709), (255,), "gray", (LIMITED, Matrix.BT709), (235,)),
        ("yuv420p", (LIMITED, Matrix.BT709), RED_709, "gray", (LIMITED, Matrix.BT470BG), (63,)),
        ("yuv420p", (LIMITED, Matrix.BT709), RED_709, "ya8", (FULL, Matrix.BT709), (55, 255)),
        ("gbrp", (FULL, Matrix.RGB), (255, 255, 255), "gray", (LIMITED, Matrix.BT709), (235,)),
        ("gbrp", (FULL, Matrix.RGB), (0, 0, 255), "gray", (FULL, Matrix.BT709), (54,)),
    ],
)
def test_colours_of_other_families(
    have: str,
    colors: tuple[ColorRange, Matrix],
    value: tuple[int, ...],
    want: str,
    into: tuple[ColorRange, Matrix],
    expected: tuple[int, ...],
) -> None:
    """Values are in the order of storage: G, B, R in gbrp. Frames of image sequences have no tags."""
    frame = plain(64, 48, have, value)
    source = like(frame, range=colors[0], matrix=colors[1])
    target = wanted(want, 32, 24, range=into[0], matrix=into[1])
    result = conformed(frame, source, target)
    found: list[int] = []
    for index, shape in enumerate(target.plane_shapes):
        plane = plane_array(result, index, shape, np.dtype(target.pixel_format.sample_type))
        found += [int(each) for each in np.atleast_1d(plane[5, 5])]
    assert np.abs(np.subtract(found, expected)).max() <= 1, (found, expected)


def bt601_as_bt709(y: int, u: int, v: int) -> tuple[float, float, float]:
    """The same colour by another matrix (ITU-R BT.601 and BT.709, limited range)."""
    luma, blue, red = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    r, b = luma + 2 * (1 - 0.299) * red, luma + 2 * (1 - 0.114) * blue
    g = (luma - 0.299 * r - 0.114 * b) / 0.587
    then = 0.2126 * r + 0.7152 * g + 0.0722 * b
    return 16 + 219 * then, 128 + 224 * (b - then) / 1.8556, 128 + 224 * (r - then) / 1.5748
