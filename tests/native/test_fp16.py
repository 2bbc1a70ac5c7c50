"""The error of fp16 in the engine native: its arithmetic in numpy on every machine, its kernels with emulated
instructions, and with their own where a processor or an emulator has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import emulated_form
import network_reference
import numpy as np
import pytest
from bare_form import compute_bare
from foreign_form import ForeignForm
from fp16_reference import FP16_BLOCKS
from frame_reference import reference_frame, rounded
from native_material import CASES, computed, make_job, noise
from test_bf16 import Planes, apart, decibels, flat, photograph, ramp
from test_bf16 import make_job as make_trained_job

from paragon_stream.checkpoint import Weights, load_weights
from paragon_stream.framejob import FrameJob, build_job
from paragon_stream.native.library import Kernels, kernels, missing
from paragon_stream.runtimes import Precision
from paragon_stream.runtimes.native.choice import LEAST_PSNR, widest_depth
from paragon_stream.runtimes.native.error import psnr_of_noise


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The form for AVX-512 FP16 with conversions and fp32 in place of its arithmetic."""
    return emulated_form.emulated("avx512_fp16", tmp_path_factory.mktemp("fp16"))


@pytest.fixture(scope="module")
def own() -> Kernels:
    found = [] if missing() else [each for each in kernels() if each.form.precision == "fp16"]
    if not found:
        pytest.skip("this CPU has no fp16 vectors, or there are no kernels")
    return found[0]


@pytest.fixture(scope="module")
def neon(tmp_path_factory: pytest.TempPathFactory) -> ForeignForm:
    return ForeignForm(emulated_form.form("neon_fp16"), tmp_path_factory.mktemp("neon"))


def exact(job: FrameJob, planes: Planes) -> Planes:
    """By this processor's fp32 kernels, which other tests hold to the reference in float64."""
    if reason := missing():
        pytest.skip(reason)
    return computed(job, kernels()[0], planes)


def meets_the_bars(job: FrameJob, compute: Callable[[Planes], Planes]) -> None:
    """Smooth areas within 1 code; luma of noise 50 dB. Wherever `auto` may take fp16."""
    assert job.source.pixel_format.depth <= widest_depth(job, Precision.FP16)
    for planes in (ramp(job), flat(job)):
        assert apart(compute(planes), exact(job, planes)) <= 1
    planes = noise(job)
    assert decibels(job, compute(planes)[0], exact(job, planes)[0]) >= 50


@pytest.mark.parametrize(("variant", "width", "height"), [("realtime", 96, 48), ("stream", 32, 16)])
def test_the_arithmetic(variant: str, width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In numpy: 60 dB on a picture, and no smooth area that is off by more than a code."""
    job, weights = make_trained_job(variant, "yuv420p", width, height), load_weights(variant=variant, scale=2)
    steps = zip(photograph(), (1, 2, 2), strict=True)
    picture = tuple(plane[: height // step, : width // step] for plane, step in steps)

    def frame(planes: Planes) -> Planes:
        return tuple(rounded(reference_frame(weights, job.source, job.target, planes), job.target))

    # Stream in numpy takes seconds a frame.
    frames = [picture] + [ramp(job), flat(job)] * (variant == "realtime")
    wanted = [frame(planes) for planes in frames]
    for kind, block in FP16_BLOCKS.items():
        monkeypatch.setitem(network_reference.BLOCKS, kind, block)
    got = [frame(planes) for planes in frames]
    assert decibels(job, got[0][0], wanted[0][0]) >= 60
    assert all(apart(a, b) <= 1 for a, b in zip(got[1:], wanted[1:], strict=True))


@pytest.mark.parametrize("variant", ["realtime", "stream"])
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("which", ["emulated", "own"])
def test_bars(request: pytest.FixtureRequest, which: str, variant: str, name: str) -> None:
    job, chosen = make_trained_job(variant, name, 160, 48), request.getfixturevalue(which)
    meets_the_bars(job, lambda planes: computed(job, chosen, planes))


@pytest.mark.parametrize(
    ("variant", "weights"),
    [("realtime", "video"), ("realtime", "fidelity"), ("stream", "video"), ("stream", "perceptual")],
)
@pytest.mark.parametrize("which", ["emulated", "own"])
def test_real_frames(request: pytest.FixtureRequest, which: str, variant: str, weights: str) -> None:
    planes = photograph()
    if variant == "stream":
        planes = tuple(plane[: 128 // step] for plane, step in zip(planes, (1, 2, 2), strict=True))
    job = make_trained_job(variant, "yuv420p", planes[0].shape[1], planes[0].shape[0], weights)
    got = computed(job, request.getfixturevalue(which), planes)
    assert decibels(job, got[0], exact(job, planes)[0]) >= 60


@pytest.mark.parametrize(("variant", "scale", "pixels", "size"), CASES)
def test_every_format(
    emulated: Kernels, variant: str, scale: int, pixels: str, size: tuple[int, int]
) -> None:
    """Random weights, noise: within two codes of 8 bits."""
    job = make_job(variant, scale, pixels, size)
    planes, shift = noise(job), job.target.pixel_format.shift
    results = (computed(job, chosen, planes, 0.5) for chosen in (emulated, kernels()[0]))
    for got, wanted in zip(*results, strict=True):
        difference = np.abs((got >> shift).astype(int) - (wanted >> shift).astype(int))
        assert difference.max() <= 2 << job.target.pixel_format.depth - 8
        assert np.mean(difference) < 0.1 * (1 << job.target.pixel_format.depth - 8)


def test_activations_beyond_fp16_are_noticed(emulated: Kernels) -> None:
    """A network whose features are a million times as large: the same function up to GELU's curve."""
    weights = load_weights(variant="realtime", scale=2)
    tensors = dict(weights.tensors)
    for name, factor in (("conv_in", 1e6), ("conv_mid", 1e-6)):
        tensors[f"{name}.weight"] = tensors[f"{name}.weight"] * np.float32(factor)
    job = make_trained_job("realtime", "yuv420p", 64, 48)
    large = build_job(Weights.from_tensors(tensors, metadata=weights.metadata, name="large"), job.source)
    assert psnr_of_noise(job, emulated, kernels()[0]) > LEAST_PSNR
    assert psnr_of_noise(large, emulated, kernels()[0]) < LEAST_PSNR


@pytest.mark.slow
def test_the_instructions_compute_what_their_emulation_does(tmp_path: Path) -> None:
    """Both in Bochs: the emulation rounds twice, which rarely differs."""
    frames = [(job, noise(job), 0.5) for job in (make_job(*case) for case in CASES)]
    forms = emulated_form.form("avx512_fp16"), emulated_form.EMULATED["avx512_fp16"]
    own, replaced = (
        compute_bare(chosen, 8, frames, tmp_path / name)
        for name, chosen in zip(("own", "replaced"), forms, strict=True)
    )
    for (job, _, _), got, wanted in zip(frames, own, replaced, strict=True):
        shift = job.target.pixel_format.shift
        for one, other in zip(got, wanted, strict=True):
            difference = np.abs((one >> shift).astype(int) - (other >> shift).astype(int))
            assert difference.max() <= 1 and np.mean(difference > 0) < 0.05
            assert one.std() > 0 or one.size < 16


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "width", "height"), [("realtime", 160, 48), ("stream", 48, 16)])
def test_neon_meets_the_bars(neon: ForeignForm, variant: str, width: int, height: int) -> None:
    """Under qemu-user, where fp16 is slow."""
    job = make_trained_job(variant, "yuv420p10le", width, height)
    meets_the_bars(job, lambda planes: neon.compute(job, planes, 0.0))
    steps = zip(photograph(), (1, 2, 2), strict=True)
    picture = tuple(plane[: height // step, : width // step].copy() for plane, step in steps)
    job = make_trained_job(variant, "yuv420p", width, height)
    assert decibels(job, neon.compute(job, picture, 0.0)[0], exact(job, picture)[0]) >= 60
