"""The frame job in every engine's fp32 against the plain float64 reference: within one code value.

And so within one of each other, wherever the engines round another way.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from frame_reference import reference_frame, rounded
from network_reference import random_spec, random_weights
from numpy.typing import NDArray
from session_material import noise

from paragon_stream.checkpoint import Weights
from paragon_stream.frame import (
    KR_KB,
    ChromaLocation,
    ColorRange,
    ColorSpec,
    FrameFormat,
    Matrix,
    pixel_format,
)
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.native.emit import refusal
from paragon_stream.runtimes import Precision, SessionOptions, installed_engines, runtime


@functools.cache
def weights(variant: str = "realtime", scale: int = 2, alpha: float = 0.3) -> Weights:
    return random_weights(random_spec(variant, scale, alpha=alpha))


def frame_format(name: str, width: int, height: int, **color: object) -> FrameFormat:
    return FrameFormat.of(name, width, height, ColorSpec(**color))


def run(
    engine: str, job: FrameJob, planes: tuple[NDArray, ...], strength: float = 0.0
) -> tuple[NDArray, ...]:
    session = runtime(engine).compile(job, SessionOptions(precision=Precision.FP32, threads=1))
    outputs = allocate_planes(job.target)
    session.run(planes, outputs, strength).wait()
    session.close()
    return outputs


def assert_exact(network: Weights, job: FrameJob, planes: tuple[NDArray, ...], strength: float = 0.0) -> None:
    """Every engine that is installed, one after another: the reference costs more than they do."""
    expected = rounded(reference_frame(network, job.source, job.target, planes, strength), job.target)
    shift = job.target.pixel_format.shift
    able = [engine for engine in installed_engines() if engine != "native" or not refusal(job)]
    answers = {engine: run(engine, job, planes, strength) for engine in able}
    assert answers
    for engine, answer in answers.items():
        for plane, wanted, *others in zip(answer, expected, *answers.values(), strict=True):
            assert plane.shape == wanted.shape
            difference = np.abs((plane >> shift).astype(int) - wanted)
            assert difference.max() <= 1, f"{engine}, {job}: {difference.max()} codes"
            # Only ties of rounding may differ; 16-bit code values have the resolution of fp32 itself.
            allowed = 0.05 if job.target.pixel_format.depth > 12 else 0.002
            assert (difference > 0).sum() <= max(2, allowed * difference.size), f"{engine}, {job}"
            for other in others:
                assert np.abs((plane >> shift).astype(int) - (other >> shift)).max() <= 1, str(job)


FORMATS = [
    "yuv420p", "yuv420p9le", "yuv420p10le", "yuv420p12le", "yuv420p16le", "yuvj420p",
    "yuv422p", "yuv422p10le", "yuv444p", "yuv444p12le", "yuv411p", "yuv440p", "yuv410p",
    "gray", "gray10le", "gbrp", "gbrp10le", "rgb24", "bgr24", "rgb48le", "bgr0", "0rgb",
    "nv12", "nv21", "nv16", "p010le", "p210le",
    "yuva420p", "yuva422p10le", "yuva444p16le", "gbrap", "rgba", "argb", "bgra64le", "ya8", "ya16le",
    "ayuv64le",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "size"), [*((name, (21, 17)) for name in FORMATS), ("yuv420p", (30, 22)), ("rgb24", (30, 22))]
)
def test_formats(name: str, size: tuple[int, int]) -> None:
    job = build_job(weights(), frame_format(name, *size))
    assert job.target.pixel_format == job.source.pixel_format
    assert (job.target.width, job.target.height) == (2 * size[0], 2 * size[1])
    assert_exact(weights(), job, noise(job.source))


@pytest.mark.parametrize(
    ("scale", "name"),
    [(3, "yuv420p"), (3, "yuv422p10le"), (3, "yuv411p"), (3, "rgb24"), (3, "nv12"),
     (4, "yuv420p"), (4, "yuv422p10le"), (4, "yuv411p"), (4, "rgb24"),
     (8, "yuv420p"), (8, "yuv422p10le")],
)  # fmt: skip
def test_other_scales(scale: int, name: str) -> None:
    network = weights(scale=scale)
    job = build_job(network, frame_format(name, 13, 10) if scale == 8 else frame_format(name, 19, 14))
    assert_exact(network, job, noise(job.source))


@pytest.mark.parametrize(
    ("scale", "name"), [(2, "yuv420p"), (2, "yuv422p10le"), (2, "rgb24"), (3, "yuv420p"), (4, "yuv420p10le")]
)
def test_stream(scale: int, name: str) -> None:
    network = weights("stream", scale, 0.0)
    job = build_job(network, frame_format(name, 21, 18))
    assert_exact(network, job, noise(job.source))


@pytest.mark.parametrize("variant", ["photo", "pro"])
@pytest.mark.parametrize(
    ("scale", "name"), [(2, "yuv420p"), (2, "yuv411p"), (2, "rgb24"), (3, "yuv420p"), (4, "yuv420p10le")]
)
def test_attention(variant: str, scale: int, name: str) -> None:
    """Sizes that are no whole windows; both grids of windows."""
    network = weights(variant, scale)
    job = build_job(network, frame_format(name, 21, 18))
    assert job.margin == 12 and job.padded == (44, 48)
    assert_exact(network, job, noise(job.source))


@pytest.mark.parametrize(
    ("location", "name", "scale"),
    [
        *((location, "yuv420p", 2) for location in list(ChromaLocation)[1:]),
        *((location, "yuv420p", 3) for location in (ChromaLocation.CENTER, ChromaLocation.BOTTOM)),
        *((location, "yuv420p", 4) for location in (ChromaLocation.TOPLEFT, ChromaLocation.BOTTOM)),
        (ChromaLocation.CENTER, "yuv422p", 2),
    ],
)
def test_chroma_locations(location: ChromaLocation, name: str, scale: int) -> None:
    network = weights(scale=scale)
    job = build_job(network, frame_format(name, 23, 19, chroma_location=location))
    assert_exact(network, job, noise(job.source))


@pytest.mark.parametrize(
    ("matrix", "range"),
    [
        *((matrix, ColorRange.LIMITED) for matrix in Matrix if matrix in KR_KB),
        (Matrix.BT709, ColorRange.FULL),
        (Matrix.BT2020_NCL, ColorRange.FULL),
    ],
)
def test_matrices_and_ranges(matrix: Matrix, range: ColorRange) -> None:
    job = build_job(weights(), frame_format("yuv420p10le", 20, 16, matrix=matrix, range=range))
    assert job.target.color == job.source.color
    assert_exact(weights(), job, noise(job.source))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("yuv420p", "yuv420p10le"), ("yuv420p10le", "yuv420p"),
        ("yuv420p", "yuv444p16le"), ("yuv444p", "yuv420p"),
        ("yuv422p10le", "yuv420p10le"), ("yuv420p", "p010le"), ("nv12", "yuv420p"), ("rgb24", "gbrp10le"),
        ("yuv420p", "rgb24"), ("yuv422p", "rgb48le"), ("gbrp", "yuv420p10le"), ("rgb24", "yuv444p"),
        ("gray", "yuv420p"), ("yuv420p", "gray"), ("gray", "gray16le"),
        ("rgba", "yuva420p"), ("yuva420p", "yuva444p10le"), ("yuva420p", "yuv420p"), ("rgb24", "rgba"),
        ("gray", "ya16le"),
    ],
)  # fmt: skip
def test_other_target_formats(source: str, target: str) -> None:
    scale = 3 if target in ("yuv420p", "rgb48le") else 2
    network = weights(scale=scale)
    original, layout = frame_format(source, 21, 18), pixel_format(target)
    color = None
    if layout.family is not original.pixel_format.family:
        color = frame_format(target, 21 * scale, 18 * scale).color
    job = build_job(network, original, pixel_format=layout, color=color)
    assert_exact(network, job, noise(original))


@pytest.mark.parametrize("variant", ["realtime", "stream"])
@pytest.mark.parametrize(
    ("source", "target", "scale"),
    [
        ("yuv420p", "yuv420p", 2), ("yuv422p10le", "yuv422p10le", 3), ("yuv420p", "yuv444p", 2),
        ("yuv444p", "yuv420p", 3), ("yuv420p", "rgb24", 2), ("yuv410p", "rgb24", 2), ("rgb24", "rgb24", 2),
        ("gbrap", "gbrp10le", 4), ("bgr0", "nv12", 2), ("gbrp", "gray", 2), ("gray", "yuv420p", 2),
        ("gray", "rgb24", 3),
    ],
)  # fmt: skip
def test_chroma_by_a_filter(variant: str, source: str, target: str, scale: int) -> None:
    """Weights that leave chroma to a filter, wherever it comes from and goes to."""
    alpha = 0.3 if variant == "realtime" else 0.0
    plain = weights(variant, scale, alpha)
    network = replace(plain, spec=replace(plain.spec, filters_chroma=True))
    original, layout = frame_format(source, 19, 14), pixel_format(target)
    color = None
    if layout.family is not original.pixel_format.family:
        color = frame_format(target, 19 * scale, 14 * scale).color
    job = build_job(network, original, pixel_format=layout, color=color)
    assert_exact(network, job, noise(original))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3), (3, 2), (5, 64), (130, 7)])
def test_tiny_and_slim_frames(size: tuple[int, int]) -> None:
    job = build_job(weights(), frame_format("yuv420p", *size))
    assert_exact(weights(), job, noise(job.source))


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_alpha(alpha: float) -> None:
    network = weights(alpha=alpha)
    job = build_job(network, frame_format("yuv420p", 26, 20))
    assert_exact(network, job, noise(job.source))


@pytest.mark.parametrize("generation", ["p2v9", "p2v11"])
@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_generations(generation: str, variant: str) -> None:
    network = random_weights(random_spec(variant, generation=generation))
    job = build_job(network, frame_format("yuv420p", 18, 18))
    assert_exact(network, job, noise(job.source))


@pytest.mark.parametrize("variant", ["realtime", "stream"])
@pytest.mark.parametrize("strength", [0.0, 0.37, 1.0])
def test_strength(variant: str, strength: float) -> None:
    network = random_weights(random_spec(variant, conditioned=True))
    job = build_job(network, frame_format("yuv420p", 22, 18))
    assert_exact(network, job, noise(job.source), strength)


def test_strength_changes_the_picture(engine: str) -> None:
    network = random_weights(random_spec(conditioned=True))
    job = build_job(network, frame_format("yuv420p10le", 22, 18))
    planes = noise(job.source)
    weak, strong = run(engine, job, planes, 0.0), run(engine, job, planes, 1.0)
    assert np.abs(weak[0].astype(int) - strong[0]).max() > 1


def test_a_size_as_it_comes() -> None:
    """Odd, larger than any kernel's block, and not square."""
    job = build_job(weights(), frame_format("yuv420p", 213, 135))
    assert_exact(weights(), job, noise(job.source))
