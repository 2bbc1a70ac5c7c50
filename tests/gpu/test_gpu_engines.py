"""Every engine on a GPU against the frame job in fp32 on the CPU."""

from __future__ import annotations

import logging

import pytest
from gpu_material import ODD, assert_close, by_cpu, computed, frames, make_job
from network_reference import random_spec, random_weights

from paragon_stream.device import Device, DeviceInfo
from paragon_stream.framejob import build_job
from paragon_stream.runtimes import Precision, Runtime, SessionOptions, runtime
from paragon_stream.runtimes.base import DeviceBound
from paragon_stream.runtimes.gpu.session import DeviceSession
from paragon_stream.runtimes.self_check import LEAST_PSNR

pytestmark = pytest.mark.gpu

FORMATS = (
    "yuv420p", "yuv420p10le", "nv12", "p010le", "yuv422p", "yuv422p10le", "yuv444p", "yuv420p16le", "gray",
    "rgb24",
)  # fmt: skip


def seldom(engine: Runtime, wanted: bool) -> None:
    """torch compiles each job for half a minute: it gets one of each kind."""
    if engine.name == "torch" and not wanted:
        pytest.skip("torch gets fewer, because it compiles each for half a minute")


def compare(engine: Runtime, job, strength: float = 0.0, *, count: int = 1, psnr: float = 50.0, **options):
    """Several frames through one session, which launches graphs."""
    inputs = frames(job, count)
    session = engine.compile(job, SessionOptions(**options))
    try:
        assert isinstance(session, DeviceSession)
        assert session.graphs or engine.name.startswith("tensorrt"), "launched one by one"
        results = computed(session, inputs, strength)
        assert isinstance(session, DeviceBound) and session.reruns == 0
    finally:
        session.close()
    for got, wanted in zip(results, by_cpu(job, inputs, strength), strict=True):
        assert_close(job, got, wanted, psnr=psnr)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_every_format(gpu_engine: Runtime, variant: str, name: str) -> None:
    seldom(gpu_engine, (variant, name) in (("stream", "yuv420p"), ("realtime", "p010le")))
    compare(gpu_engine, make_job(variant, name))


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (130, 31), (854, 480), (1919, 1079)], ids=str)
@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_every_size(gpu_engine: Runtime, variant: str, size: tuple[int, int]) -> None:
    seldom(gpu_engine, (variant, size) == ("realtime", (17, 33)))
    compare(gpu_engine, make_job(variant, size=size))


@pytest.mark.parametrize(("name", "scale"), [("yuv444p", 3), ("rgb24", 3), ("yuv420p", 4), ("p010le", 4)])
@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_every_scale(gpu_engine: Runtime, variant: str, name: str, scale: int) -> None:
    seldom(gpu_engine, (variant, name, scale) == ("realtime", "rgb24", 3))
    compare(gpu_engine, make_job(variant, name, scale=scale))


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_every_strength(gpu_engine: Runtime, variant: str, strength: float) -> None:
    seldom(gpu_engine, (variant, strength) == ("realtime", 0.3))
    compare(gpu_engine, make_job(variant, weights="video"), strength)


def test_many_frames_in_flight(gpu_engine: Runtime) -> None:
    compare(gpu_engine, make_job(size=(960, 540)), count=24)


@pytest.mark.parametrize("variant", ["photo", "pro"])
def test_attention_by_torch(variant: str) -> None:
    """torch alone has it on a GPU. Untrained weights: its arithmetic is what counts."""
    pytest.importorskip("torch")
    job = build_job(random_weights(random_spec(variant)), make_job().source)
    compare(runtime("torch"), job, psnr=LEAST_PSNR, device="cuda")


def test_fp32_of_torch_is_fp32(gpu: DeviceInfo, caplog: pytest.LogCaptureFixture) -> None:
    """TF32, cuDNN's default from compute capability 8.0 on, gives about 66 dB."""
    pytest.importorskip("torch")
    with caplog.at_level(logging.WARNING, "paragon_stream"):
        compare(runtime("torch"), make_job(), psnr=80.0, precision=Precision.FP32, device="cuda")
    assert "is less exact than fp32" not in caplog.text


def test_bf16_of_torch(gpu: DeviceInfo) -> None:
    pytest.importorskip("torch")
    if gpu.sm < 80:
        pytest.skip("no bf16 before compute capability 8.0")
    compare(runtime("torch"), make_job(), psnr=LEAST_PSNR, precision=Precision.BF16, device="cuda")


def test_gpus_are_named_by_number(gpu: DeviceInfo, device: Device) -> None:
    with device.current():
        assert 0 < device.free_memory() <= gpu.memory
    device.close()
    session = runtime("cuda").compile(make_job(size=ODD), SessionOptions(device=f"cuda:{gpu.ordinal}"))
    assert session.device == str(gpu)
    session.close()
