"""Chroma stays where it is: the place of a coloured edge, to a fraction of a sample, before and after.

The edge is where the tags say that the samples are, in a plane made of exactly that edge; so treating the
samples as sited elsewhere, in or out or both, moves it by a quarter of a luma sample at least.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import colour_chart as charts
import numpy as np
import pytest
from clips import Tags, read_frames
from numpy.typing import NDArray

import paragon_stream
from paragon_stream import Upscaler
from paragon_stream.frame import ChromaLocation, ColorSpec, Matrix

SIZE = 64
EDGE = 29.3
"""Luma samples from the picture's first edge; not where any sample is, nor the middle."""
LOW, HIGH = 70, 190
TOLERANCE = 0.1
"""Luma samples of the source. Rounding moves the place by a hundredth, the network by up to 0.06."""

CASES = [*itertools.product(charts.SITES, ("yuv420p",)), (1, "yuv422p"), (2, "yuv422p")]


def places(count: int, site: float, factor: int) -> NDArray[np.float64]:
    """Middles of the chroma samples, in luma samples from the picture's edge; luma sample 0 is at 0.5."""
    return 0.5 + site * (factor - 1) + factor * np.arange(count)


def edge_planes(location: int, pix_fmt: str, axis: int) -> tuple[NDArray, ...]:
    """Gray but for a step of chroma along `axis` (0: downwards, 1: rightwards), softened a little."""
    factors = (2 if pix_fmt == "yuv420p" else 1, 2)
    sites = charts.SITES[location][::-1]
    shape = tuple(SIZE // factor for factor in factors)
    where = places(shape[axis], sites[axis] if factors[axis] > 1 else 0, factors[axis])
    step = LOW + (HIGH - LOW) / (1 + np.exp(-(where - EDGE) / 1.5))
    plane = np.broadcast_to(step[:, None] if axis == 0 else step, shape)
    chroma = np.rint(plane).astype(np.uint8)
    return np.full((SIZE, SIZE), 120, np.uint8), chroma, 255 - chroma


def edge_place(plane: NDArray, location: int, luma: tuple[int, int], axis: int) -> float:
    """The position of the step, in luma samples: what is left of it is as much as a sharp one there would
    leave."""
    factor = luma[axis] // plane.shape[axis]
    profile = plane.astype(float).mean(axis=1 - axis)
    low, high = profile[:4].mean(), profile[-4:].mean()
    site = charts.SITES[location][::-1][axis] if factor > 1 else 0
    begin = places(1, site, factor)[0] - factor / 2
    return float(begin + factor * ((high - profile) / (high - low)).sum())


@pytest.mark.parametrize("axis", [0, 1], ids=["down", "across"])
@pytest.mark.parametrize(("location", "pix_fmt"), CASES)
def test_coloured_edges_stay(location: int, pix_fmt: str, axis: int) -> None:
    planes = edge_planes(location, pix_fmt, axis)
    assert edge_place(planes[1], location, (SIZE, SIZE), axis) == pytest.approx(EDGE, abs=TOLERANCE)
    color = ColorSpec(matrix=Matrix.BT709, chroma_location=ChromaLocation(location))
    for engine, target in (("auto", pix_fmt), ("onnxruntime", "yuv444p")):
        with Upscaler(
            width=SIZE,
            height=SIZE,
            pixel_format=pix_fmt,
            color=color,
            output_pixel_format=target,
            engine=engine,
            threads=1,
        ) as up:
            luma, u, v = up(planes)
        for plane in (u, v):
            place = edge_place(plane, location, luma.shape, axis) / 2
            assert place == pytest.approx(EDGE, abs=TOLERANCE), target


@pytest.mark.parametrize(
    ("location", "suffix", "codec"), [(1, ".mkv", "ffv1"), (2, ".mp4", "libx264"), (3, ".mp4", "libx264")]
)
def test_from_file_to_file(location: int, suffix: str, codec: str, tmp_path: Path) -> None:
    """The tag is read, obeyed and written."""
    tags = Tags(matrix=1, range=1, transfer=1, primaries=1, chroma_location=location)
    planes = edge_planes(location, "yuv420p", 1)
    source = charts.write_clip(tmp_path / f"in{suffix}", planes, "yuv420p", tags, codec)
    out = tmp_path / f"out{suffix}"
    lossless = {"qp": "0"} if codec == "libx264" else {}
    paragon_stream.upscale(source, out, codec=codec, encoder_options=lossless, threads=1)
    assert charts.read_tags(source) == charts.read_tags(out) == tags
    luma, u, v = read_frames(out)[0][1]
    for plane in (u, v):
        assert edge_place(plane, location, luma.shape, 1) / 2 == pytest.approx(EDGE, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("pix_fmt", "out", "codec", "options"),
    [
        ("yuv422p", "out.mp4", "libx264", {"qp": "0"}),
        ("yuv420p", "out.mp4", "libsvtav1", {"crf": "1", "preset": "12"}),
        ("yuv422p", "out.y4m", None, {}),
    ],
)
def test_a_location_that_cannot_be_stored(
    pix_fmt: str, out: str, codec: str | None, options: dict[str, str], tmp_path: Path
) -> None:
    """Motion JPEG is centred. Where the output cannot say so, chroma moves to where players assume it."""
    tags = Tags(matrix=1, range=1, transfer=1, primaries=1, chroma_location=2)
    source = charts.write_clip(tmp_path / "in.mkv", edge_planes(2, pix_fmt, 1), pix_fmt, tags, "ffv1")
    paragon_stream.upscale(source, tmp_path / out, codec=codec, encoder_options=options, threads=1)
    assert charts.read_tags(source).chroma_location == 2
    assert charts.read_tags(tmp_path / out).chroma_location in (0, 1)
    luma, u, v = read_frames(tmp_path / out)[0][1]
    for plane in (u, v):
        assert edge_place(plane, 1, luma.shape, 1) / 2 == pytest.approx(EDGE, abs=TOLERANCE)
