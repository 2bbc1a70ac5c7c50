"""Fixtures of the tests that need a GPU: `scripts/test -m gpu`; --require-gpu where there must be one."""

from __future__ import annotations

import pytest

from paragon_stream.device import Device, DeviceInfo
from paragon_stream.device.discovery import OLDEST, find_gpus
from paragon_stream.errors import EngineError, UsageError
from paragon_stream.runtimes import Runtime, installed_engines, runtime
from paragon_stream.runtimes.gpu.compilation import open_device
from paragon_stream.runtimes.registry import torch_on_gpu

ENGINES = ("cuda", "torch", "tensorrt-rtx", "tensorrt")


@pytest.fixture(scope="session", autouse=True)
def gpu(request: pytest.FixtureRequest) -> DeviceInfo:
    """The first GPU that engines can use."""
    found, reason = find_gpus()
    usable = [each for each in found if each.sm >= OLDEST]
    if usable:
        return usable[0]
    reason = reason or f"{found[0]} is too old"
    if request.config.getoption("--require-gpu"):
        pytest.fail(f"--require-gpu: {reason}")
    pytest.skip(f"no GPU: {reason}")


@pytest.fixture
def device(gpu: DeviceInfo) -> Device:
    return open_device(gpu.ordinal)


@pytest.fixture(params=ENGINES)
def gpu_engine(request: pytest.FixtureRequest, gpu: DeviceInfo) -> Runtime:
    """Every engine for GPUs that is installed and has code for this one."""
    name = str(request.param)
    if name == "torch":
        found = torch_on_gpu()
        if found is None:
            pytest.skip("torch is not installed, or cannot use this GPU")
        return found
    if name not in installed_engines():
        pytest.skip(f"the engine {name} is not installed")
    try:
        engine = runtime(name)
    except (EngineError, UsageError) as error:
        pytest.skip(str(error))
    if name == "tensorrt-rtx" and not hasattr(engine.trt.ComputeCapability, f"SM{gpu.sm}"):  # type: ignore[attr-defined]
        pytest.skip(f"TensorRT-RTX has no engines for {gpu}")
    return engine
