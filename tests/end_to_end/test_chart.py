"""A chart of known colours through the whole tool, from file to file, in every way to code it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

import av
import colour_chart as charts
import numpy as np
import pytest
from clips import Tags, read_frames
from frame_reference import reference_frame, rounded
from network_reference import random_spec, random_weights
from numpy.typing import NDArray

import paragon_stream
from paragon_stream.checkpoint import load_weights
from paragon_stream.checkpoint.weights import save_weights
from paragon_stream.media.facts.probe import probe


class Case(NamedTuple):
    """The coding of the chart. Transfer and primaries pass through the tool unchanged."""

    pix_fmt: str
    matrix: int
    range: int
    codec: str = "ffv1"
    suffix: str = ".mkv"

    @property
    def tags(self) -> Tags:
        transfer, primaries = {9: (16, 9), 1: (1, 1)}.get(self.matrix, (6, 6))
        subsampled = not any(name in self.pix_fmt for name in ("444", "gray", "gbr"))
        return Tags(
            matrix=self.matrix,
            range=self.range,
            transfer=transfer,
            primaries=primaries,
            chroma_location=1 if subsampled else 0,
        )


FAST = [
    Case("yuv420p", 1, 1, "libx264", ".mp4"),
    Case("yuv420p", 6, 2, "libx264"),
    Case("yuv420p10le", 9, 1, "libx265", ".mp4"),
    Case("yuv422p", 5, 1),
    Case("yuv422p10le", 7, 2),
    Case("yuv444p12le", 4, 1),
    Case("yuv444p16le", 9, 2),
    Case("yuv411p", 6, 1),
    Case("yuv410p", 5, 2),
]
"""Every matrix, range, depth and subsampling at least once; all of their products are slow tests."""

FORMATS = (
    *("yuv420p", "yuv420p9le", "yuv420p10le", "yuv420p12le", "yuv420p14le", "yuv420p16le"),
    *("yuv422p", "yuv422p9le", "yuv422p10le", "yuv422p12le", "yuv422p16le"),
    *("yuv444p", "yuv444p9le", "yuv444p10le", "yuv444p12le", "yuv444p14le", "yuv444p16le"),
    *("yuv411p", "yuv410p", "yuv440p", "yuv440p10le", "yuv440p12le"),
)
ALL = [Case(*each) for each in itertools.product(FORMATS, charts.KR_KB, (1, 2))]


@pytest.fixture(scope="module")
def base_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights whose network adds nothing: what is left is colour, resampling and rounding."""
    weights = random_weights(random_spec())
    tensors = {**weights.tensors, "detail_gain": np.zeros((), np.float32)}
    path = tmp_path_factory.mktemp("weights") / "base.safetensors"
    facts = {"upsampler_alpha": "0.3", "generation": "p2head", "variant": "realtime", "scale": "2"}
    facts |= dict.fromkeys(("recipe", "data_licences", "name"), "none")
    save_weights(path, tensors, metadata=facts)
    return path


def assert_chart_survives(case: Case, weights_file: Path | None, folder: Path) -> None:
    """Constant areas exactly, ramps monotone, everything within one code of the reference (where an engine
    computes in 16 bits: two, at edges), tags kept."""
    planes = charts.planes(charts.chart(), case.pix_fmt, case.tags)
    source = charts.write_clip(folder / f"chart{case.suffix}", planes, case.pix_fmt, case.tags, case.codec)
    for plane, wanted in zip(read_frames(source)[0][1], planes, strict=True):
        np.testing.assert_array_equal(plane, wanted)  # lossless indeed
    out = folder / f"out{case.suffix if case.codec == 'libx264' else '.mkv'}"
    lossless = {"encoder_options": {"qp": "0"}} if case.codec == "libx264" else {}
    codec = case.codec if lossless else "ffv1"
    report = paragon_stream.upscale(source, out, weights=weights_file, codec=codec, threads=1, **lossless)
    bar = 1 if report.precision == "fp32" else 2
    assert charts.read_tags(out) == charts.read_tags(source) == case.tags
    frames = read_frames(out)
    assert len(frames) == 2
    weights = load_weights(weights_file)
    before, after = probe(source).video.format, probe(out).video.format
    expected = rounded(reference_frame(weights, before, after, planes), after)
    for result, wanted, plane in zip(frames[0][1], expected, planes, strict=True):
        assert np.abs(result.astype(int) - wanted).max() <= bar
        assert_constant_areas(result, plane)
    for index in range(3):
        row = 2 * (charts.RAMPS + index * charts.RAMP + charts.RAMP // 2)
        for result, plane in zip(frames[0][1], planes, strict=True):
            assert_as_monotone(
                result[row * len(result) // (2 * charts.HEIGHT)],
                plane[row * len(plane) // (2 * charts.HEIGHT)],
                dip=0 if weights_file else 1,
            )


def assert_as_monotone(result: NDArray, row: NDArray, dip: int) -> None:
    """A ramp that only rises (or falls) still does; a network may dip by `dip` codes where the steps of the
    source's rounding look to it like edges."""
    before, after = np.diff(row.astype(int)), np.diff(result.astype(int))
    assert (before >= 0).all() or (before <= 0).all()
    if not (before < 0).any():
        assert after.min() >= -dip
    if not (before > 0).any():
        assert after.max() <= dip


def assert_constant_areas(result: NDArray, plane: NDArray) -> None:
    """The middle of every patch has the one value that went in."""
    down, across = charts.HEIGHT // plane.shape[0], charts.WIDTH // plane.shape[1]
    for row, column in np.ndindex(2, 6):
        rows, columns = charts.patch(row, column, margin=8)
        before = plane[
            rows.start // down : rows.stop // down, columns.start // across : columns.stop // across
        ]
        (value,) = np.unique(before)
        rows, columns = charts.patch(row, column, margin=8, scale=2)
        after = result[
            rows.start // down : rows.stop // down, columns.start // across : columns.stop // across
        ]
        assert after.size and (after == value).all(), (row, column, value, np.unique(after))


@pytest.mark.parametrize("case", FAST, ids=str)
def test_a_chart_goes_through(case: Case, base_alone: Path, tmp_path: Path) -> None:
    assert_chart_survives(case, base_alone, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL, ids=str)
def test_charts_of_every_kind_go_through(case: Case, base_alone: Path, tmp_path: Path) -> None:
    assert_chart_survives(case, base_alone, tmp_path)


@pytest.mark.parametrize("case", FAST[:1], ids=str)
def test_the_shipped_network_leaves_constant_areas_alone(case: Case, tmp_path: Path) -> None:
    assert_chart_survives(case, None, tmp_path)


RGB = [Case("yuv420p" if m % 2 else "yuv422p10le", m, 1 + n % 2) for n, m in enumerate(charts.KR_KB)]
ALL_RGB = [
    Case(*each)
    for each in itertools.product(("yuv420p", "yuv422p10le", "yuv444p", "yuv444p12le"), charts.KR_KB, (1, 2))
]


def assert_rgb_comes_out(case: Case, weights_file: Path, folder: Path) -> None:
    """The colours that the chart was made of come out again: matrix and range are those of the tags."""
    planes = charts.planes(charts.chart(), case.pix_fmt, case.tags)
    source = charts.write_clip(folder / "chart.mkv", planes, case.pix_fmt, case.tags)
    depth = av.VideoFormat(case.pix_fmt).components[0].bits
    kind, peak = ("rgb24", 255) if depth == 8 else ("rgb48le", 65535)
    paragon_stream.upscale(
        source, folder / "out_%d.png", weights=weights_file, pix_fmt=kind, threads=1, duration=0.04
    )
    ((_, (picture,)),) = read_frames(next(folder.glob("out_*.png")))
    if depth > 8:
        picture = picture.byteswap()  # PNG's samples are big-endian
    # Half a code of rounding in Y, U and V each, seen through the widest row of the matrix, and RGB's own.
    _, luma_span, _, chroma_span = charts.levels(depth, case.range == 2)
    allowed = 0.5 + peak * (0.5 / luma_span + 1.9 * 0.5 / chroma_span)
    for index, rgb in enumerate(charts.PATCHES):
        found = picture[charts.patch(*divmod(index, 6), margin=8, scale=2)].astype(int)
        assert np.ptp(found, axis=(0, 1)).max() <= (depth > 8)  # fp32 resolves no more in 16 bits
        assert np.abs(found[0, 0] - peak * np.array(rgb)).max() <= allowed


@pytest.mark.parametrize("case", RGB, ids=str)
def test_rgb_comes_out(case: Case, base_alone: Path, tmp_path: Path) -> None:
    assert_rgb_comes_out(case, base_alone, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL_RGB, ids=str)
def test_rgb_comes_out_of_every_kind(case: Case, base_alone: Path, tmp_path: Path) -> None:
    assert_rgb_comes_out(case, base_alone, tmp_path)


SRGB = Tags(matrix=0, range=2, transfer=13, primaries=1)


def test_rgb_stays_rgb(base_alone: Path, tmp_path: Path) -> None:
    planes = charts.planes(charts.chart(), "gbrp10le", SRGB)
    source = charts.write_clip(tmp_path / "chart.mkv", planes, "gbrp10le", SRGB)
    out = tmp_path / "out.mkv"
    paragon_stream.upscale(source, out, weights=base_alone, codec="ffv1", threads=1)
    for result, plane in zip(read_frames(out)[0][1], planes, strict=True):
        assert_constant_areas(result, plane)
    assert charts.read_tags(out) == SRGB


def test_rgb_becomes_yuv_as_the_tags_say(base_alone: Path, tmp_path: Path) -> None:
    source = charts.write_clip(
        tmp_path / "chart.mkv", charts.planes(charts.chart(), "gbrp10le", SRGB), "gbrp10le", SRGB
    )
    out = tmp_path / "out.mkv"
    paragon_stream.upscale(source, out, weights=base_alone, codec="ffv1", pix_fmt="yuv420p10le", threads=1)
    tags = charts.read_tags(out)
    assert (tags.matrix, tags.range, tags.transfer, tags.primaries) == (6, 1, 13, 1)
    wanted = charts.planes(charts.chart(), "yuv420p10le", tags)
    for result, plane in zip(read_frames(out)[0][1], wanted, strict=True):
        assert_constant_areas(result, plane)
