"""The error of bf16 in the engine native: its arithmetic on every machine; the form where the CPU has it."""

from __future__ import annotations

import av
import native_material
import numpy as np
import pytest
from bf16_emulation import NATIVE, bf16_emulation
from native_material import noise
from numpy.typing import NDArray
from places import SAMPLE

from paragon_stream.checkpoint import load_weights
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.native.library import Kernels, kernels, missing
from paragon_stream.runtimes import Precision
from paragon_stream.runtimes.native.choice import widest_depth

type Planes = tuple[NDArray, ...]


def make_job(variant: str, name: str, width: int, height: int, weights: str | None = None) -> FrameJob:
    source = FrameFormat.of(name, width, height)
    return build_job(load_weights(weights, variant=variant, scale=2), source)


def reference(job: FrameJob, planes: Planes) -> Planes:
    """The network's ONNX graph in fp32, which other tests hold to the reference in float64."""
    return bf16_emulation(job, ("nothing",))(planes)


def ramp(job: FrameJob) -> Planes:
    """All legal codes, diagonally, in every plane."""
    planes = allocate_planes(job.source)
    for plane, low, high in zip(planes, (16, 64, 200), (235, 192, 40), strict=True):
        height, width = plane.shape
        share = (np.arange(height)[:, None] + 3 * np.arange(width)[None]) / (height + 3 * width - 4)
        plane[:] = np.rint((low + (high - low) * share) * (1 << job.source.pixel_format.depth - 8))
    return planes


def flat(job: FrameJob) -> Planes:
    planes = allocate_planes(job.source)
    for plane, code in zip(planes, (120, 90, 200), strict=True):
        plane[:] = code << job.source.pixel_format.depth - 8
    return planes


def photograph() -> Planes:
    """The sample's first frame."""
    with av.open(str(SAMPLE)) as container:
        frame = next(container.decode(video=0)).reformat(format="yuv420p")
    return tuple(
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].copy()
        for plane in frame.planes
    )


def bf16_form() -> Kernels:
    found = [] if missing() else [each for each in kernels() if each.form.precision == "bf16"]
    if not found:
        pytest.skip("this CPU has no AVX-512 BF16, or there are no kernels")
    return found[0]


def computed(how: str, job: FrameJob, planes: Planes) -> Planes:
    if how == "emulated":
        return bf16_emulation(job, NATIVE)(planes)
    return native_material.computed(job, bf16_form(), planes)


def decibels(job: FrameJob, got: NDArray, wanted: NDArray) -> float:
    power = np.mean((got.astype(np.float64) - wanted) ** 2)
    return float(10 * np.log10(job.target.pixel_format.peak**2 / max(power, 1e-9)))


def apart(got: Planes, wanted: Planes) -> int:
    return max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize("how", ["emulated", "computed"])
@pytest.mark.parametrize(
    ("variant", "name"), [("realtime", "yuv420p"), ("realtime", "yuv420p10le"), ("stream", "yuv420p")]
)
def test_bars(how: str, variant: str, name: str) -> None:
    """Wherever `auto` may take bf16: ramps and flat areas are within 1 code, luma of noise 50 dB."""
    job = make_job(variant, name, 160, 48)
    assert job.source.pixel_format.depth <= widest_depth(job, Precision.BF16)
    for planes in (ramp(job), flat(job)):
        assert apart(computed(how, job, planes), reference(job, planes)) <= 1
    planes = noise(job)
    assert decibels(job, computed(how, job, planes)[0], reference(job, planes)[0]) >= 50


@pytest.mark.parametrize("how", ["emulated", "computed"])
@pytest.mark.parametrize(
    ("variant", "weights"),
    [("realtime", "video"), ("realtime", "fidelity"), ("stream", "video"), ("stream", "perceptual")],
)
def test_real_frames(how: str, variant: str, weights: str) -> None:
    planes = photograph()
    if variant == "stream":
        planes = tuple(plane[: 128 // step] for plane, step in zip(planes, (1, 2, 2), strict=True))
    job = make_job(variant, "yuv420p", planes[0].shape[1], planes[0].shape[0], weights)
    got = computed(how, job, planes)
    assert decibels(job, got[0], reference(job, planes)[0]) >= 60
    if (
        how == "computed"
    ):  # the places where constants are added differ, so roundings do: as far apart as from fp32
        assert decibels(job, got[0], bf16_emulation(job, NATIVE)(planes)[0]) >= 57
