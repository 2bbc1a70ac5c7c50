"""Other sizes than the network makes: the frame job in OpenVINO and in our kernels, fp32, against the float64
reference."""

from __future__ import annotations

import functools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from frame_reference import reference_frame, rounded
from network_reference import random_spec, random_weights
from numpy.typing import NDArray
from session_material import noise

from paragon_stream.checkpoint import Weights
from paragon_stream.errors import EngineError
from paragon_stream.frame import ChromaLocation, ColorSpec, FrameFormat, pixel_format
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.resample import Resampling
from paragon_stream.geometry import Fit, enlarged, parse_size, place
from paragon_stream.native.library import missing
from paragon_stream.runtimes import Precision, SessionOptions, runtime
from paragon_stream.runtimes.openvino import RUNTIME
from paragon_stream.runtimes.tiles import TiledSession

OPTIONS = SessionOptions(precision=Precision.FP32, threads=1)
ENGINES = ("openvino",) if missing() else ("openvino", "native")


@functools.cache
def weights(scale: int = 2) -> Weights:
    return random_weights(random_spec(scale=scale))


def frame_format(
    name: str, width: int, height: int, location: int = 0, aspect: Fraction = Fraction(1)
) -> FrameFormat:
    located = ColorSpec(chroma_location=ChromaLocation(location))
    return replace(FrameFormat.of(name, width, height, located), sample_aspect_ratio=aspect)


def make_job(
    source: FrameFormat, to: str, fit: Fit = Fit.INSIDE, *, scale: int = 2, grain: int = 2, target: str = ""
) -> FrameJob:
    size = parse_size(to)
    assert size is not None
    return build_job(
        weights(scale),
        source,
        placement=place(source, size, fit, grain=grain),
        pixel_format=pixel_format(target) if target else None,
    )


def run(job: FrameJob, planes: tuple[NDArray, ...], engine: str = "openvino") -> tuple[NDArray, ...]:
    session = runtime(engine).compile(job, OPTIONS)
    outputs = allocate_planes(job.target)
    session.run(planes, outputs).wait()
    session.close()
    return outputs


def assert_exact(job: FrameJob, to: str, fit: Fit = Fit.INSIDE, *, grain: int = 2) -> None:
    size = parse_size(to)
    assert size is not None
    planes = noise(job.source)
    placement = place(job.source, size, fit, grain=grain)
    exact = reference_frame(weights(job.scale), job.source, job.target, planes, placement=placement)
    shift = job.target.pixel_format.shift
    for engine in ENGINES:
        for plane, wanted in zip(run(job, planes, engine), rounded(exact, job.target), strict=True):
            assert plane.shape == wanted.shape
            difference = np.abs((plane >> shift).astype(int) - wanted)
            assert difference.max() <= 1, f"{engine}, {job}: {difference.max()} codes"
            allowed = 0.05 if job.target.pixel_format.depth > 12 else 0.002
            assert (difference > 0).sum() <= max(2, allowed * difference.size), f"{engine}, {job}"


@pytest.mark.parametrize(
    "name",
    ["yuv420p10le", "yuv422p", "yuv444p16le", "yuv411p", "gray", "gbrp", "bgr0", "p010le", "yuva420p",
     "rgba"],
)  # fmt: skip
def test_formats(name: str) -> None:
    grain = 4 if name in ("yuv411p", "yuv410p") else 2
    assert_exact(make_job(frame_format(name, 28, 20), "1.5", grain=grain), "1.5", grain=grain)


@pytest.mark.parametrize(
    ("to", "size"),
    [("1.1", (24, 18)), ("4/3", (21, 17)), ("1.9", (22, 17)), ("2.25", (21, 18)), ("3", (13, 11)),
     ("53x41", (24, 18)), ("61x33", (21, 17))],
)  # fmt: skip
def test_factors_and_odd_sizes(to: str, size: tuple[int, int]) -> None:
    fit = Fit.STRETCH if "x" in to else Fit.INSIDE
    grain = 1 if "x" in to else 2
    assert_exact(make_job(frame_format("yuv420p", *size), to, fit, grain=grain), to, fit, grain=grain)


@pytest.mark.parametrize("location", [ChromaLocation.CENTER, ChromaLocation.TOPLEFT, ChromaLocation.BOTTOM])
def test_chroma_stays_where_it_is_sited(location: ChromaLocation) -> None:
    assert_exact(make_job(frame_format("yuv420p", 22, 18, location), "1.5"), "1.5")


@pytest.mark.parametrize("scale", [3, 4])
def test_other_networks(scale: int) -> None:
    assert_exact(make_job(frame_format("yuv420p", 18, 14), "2.5", scale=scale), "2.5")


@pytest.mark.parametrize(
    ("fit", "box"), [(fit, "64x64") for fit in Fit] + [(Fit.CROP, "30x52"), (Fit.PAD, "60x30")]
)
def test_fits(fit: Fit, box: str) -> None:
    assert_exact(make_job(frame_format("yuv420p", 26, 16), box, fit), box, fit)


def test_square_pixels_from_oblong_ones() -> None:
    job = make_job(frame_format("yuv420p", 45, 36, aspect=Fraction(64, 45)), "96x54")
    assert (job.target.width, job.target.height, job.target.sample_aspect_ratio) == (96, 54, 1)
    assert_exact(job, "96x54")


def test_another_pixel_format_on_the_way() -> None:
    job = make_job(frame_format("yuv420p", 26, 18), "1.5", target="yuv444p10le")
    assert_exact(job, "1.5")


def test_a_flat_picture_stays_flat_and_bars_are_black() -> None:
    job = make_job(frame_format("yuv420p", 26, 18), "60x60", Fit.PAD)
    planes = allocate_planes(job.source)
    for plane, value in zip(planes, (180, 90, 140), strict=True):
        plane[:] = value
    network = random_weights(random_spec())
    network.tensors["detail_gain"][...] = 0  # type: ignore[index]
    flat = build_job(network, job.source, placement=place(job.source, parse_size("60x60"), Fit.PAD, grain=2))  # type: ignore[arg-type]
    for engine in ENGINES:
        y, u, v = run(flat, planes, engine)
        assert set(np.unique(y)) == {16, 180}
        assert set(np.unique(u)) == {90, 128} and set(np.unique(v)) == {128, 140}
        rows = np.flatnonzero((y == 180).any(axis=1))
        assert (rows[0], rows[-1]) == (8, 49)


def test_a_whole_factor_is_no_resampling() -> None:
    source = frame_format("yuv420p", 26, 18)
    assert not make_job(source, "2").resamples
    assert not make_job(source, "52x36").resamples
    assert not make_job(source, "80x36", Fit.PAD).resamples
    assert (
        make_job(source, "52x36").target == build_job(weights(), source, placement=enlarged(source, 2)).target
    )


@pytest.mark.parametrize(
    ("name", "to", "fit", "tile", "scale"),
    [
        ("yuv420p", "1.5", Fit.INSIDE, (57, 50), 2),
        ("yuv420p10le", "211x141", Fit.STRETCH, (61, 58), 2),
        ("rgb24", "2.7", Fit.INSIDE, (57, 60), 2),
        ("p010le", "170x160", Fit.PAD, (61, 60), 2),
        ("yuv420p", "170x160", Fit.CROP, (57, 60), 3),
        ("yuv411p", "1.3", Fit.INSIDE, (65, 66), 2),
        ("yuva420p", "170x160", Fit.PAD, (57, 60), 2),
    ],
)
def test_tiles_equal_the_whole(name: str, to: str, fit: Fit, tile: tuple[int, int], scale: int) -> None:
    job = make_job(frame_format(name, 130, 97), to, fit, scale=scale, grain=4 if name == "yuv411p" else 2)
    planes, tiled = noise(job.source), allocate_planes(job.target)
    for plane in tiled:
        plane[:] = 77
    session = TiledSession(job, *tile, lambda small: RUNTIME.compile(small, OPTIONS))
    session.run(planes, tiled).wait()
    session.close()
    for a, b in zip(run(job, planes), tiled, strict=True):
        difference = np.abs(a.astype(int) - b.astype(int)) >> job.target.pixel_format.shift
        assert difference.max() <= 1
        assert (difference > 0).sum() <= max(4, 1e-4 * difference.size)


def test_tables_sum_to_one_and_are_exact_far_out() -> None:
    """At sample 60,000 of an awkward ratio the weights are those of the beginning, moved."""
    ratio = Fraction(1706, 1920)
    whole = Resampling(first=ratio / 2 - Fraction(1, 2), ratio=ratio, size=96_000, length=85_300)
    table = whole.table()
    np.testing.assert_allclose(table.weights.sum(axis=0), 1, atol=1e-6)
    period = ratio.denominator
    np.testing.assert_array_equal(
        table.weights[:, period : 2 * period], table.weights[:, -2 * period : -period]
    )
    part = whole.part(begin=40_000, length=2000, first=45_100, size=500).table()
    np.testing.assert_array_equal(part.weights, table.weights[:, 45_100:45_600])
    np.testing.assert_array_equal(part.places + 40_000, table.places[:, 45_100:45_600])


def test_reductions_let_nothing_alias() -> None:
    """The finest stripes of the large picture become flat gray at a ratio of 2."""
    table = Resampling(first=Fraction(1, 2), ratio=Fraction(2), size=100, length=200).table()
    stripes = np.tile([0.0, 1.0], 100)
    result = (table.weights * stripes[table.places]).sum(axis=0)[4:-4]
    assert np.abs(result - 0.5).max() < 0.02


@pytest.mark.parametrize(
    ("name", "to", "fit"),
    [("yuv420p", "1.5", Fit.INSIDE), ("yuva420p", "64x64", Fit.PAD), ("rgba", "52x40", Fit.CROP)],
)
def test_engines_agree(engine: str, name: str, to: str, fit: Fit) -> None:
    job = make_job(frame_format(name, 28, 20), to, fit)
    planes, outputs = noise(job.source), allocate_planes(job.target)
    try:
        session = runtime(engine).compile(job, OPTIONS)
    except EngineError as refusal:
        assert engine == "cuda" and "cannot" in str(refusal)  # it says what it leaves to others
        return
    session.run(planes, outputs).wait()
    session.close()
    for plane, wanted in zip(outputs, run(job, planes), strict=True):
        assert np.abs(plane.astype(int) - wanted).max() <= 1


def test_null_and_reports_know_the_size() -> None:
    job = make_job(frame_format("yuv420p", 64, 36), "96x54")
    session = runtime("null").compile(job, OPTIONS)
    session.run(allocate_planes(job.source), allocate_planes(job.target)).wait()
    assert str(job).startswith("64x36 yuv420p → 96x54 yuv420p")
