"""`auto` where a GPU of another brand is: what is faster is taken, and why is said."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import pytest
from device_material import make_job

from paragon_stream.device.interface import DeviceInfo
from paragon_stream.errors import EngineError
from paragon_stream.framejob import FrameJob
from paragon_stream.pipeline.slot import DONE, Completion
from paragon_stream.runtimes import Plane, Precision, SessionOptions, registry
from paragon_stream.runtimes.faster import FasterRuntime
from paragon_stream.runtimes.gpu import nvrtc


class Paced:
    """A session that computes nothing in `seconds` a frame, and fails at the frame numbered `fails_at`."""

    in_flight = 2
    precision = Precision.FP32

    def __init__(self, job: FrameJob, engine: str, seconds: float, fails_at: int = -1) -> None:
        self.job, self.engine, self.device = job, engine, f"{engine}'s device"
        self._seconds, self._fails_at = seconds, fails_at
        self.closed, self._frames = False, 0

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        if self._frames == self._fails_at:
            raise EngineError("the GPU was lost")
        self._frames += 1
        time.sleep(self._seconds)
        return DONE

    def close(self) -> None:
        self.closed = True


class Engine:
    def __init__(self, name: str, seconds: float, *, fails_at: int = -1, refuses: bool = False) -> None:
        self.name = name
        self._facts, self._refuses = (seconds, fails_at), refuses
        self.made: list[Paced] = []

    def compile(self, job: FrameJob, options: SessionOptions) -> Paced:
        if self._refuses:
            raise EngineError("no text for this")
        self.made.append(Paced(job, self.name, *self._facts))
        return self.made[-1]


@pytest.mark.parametrize(
    ("gpu", "cpu", "taken"),
    [
        (Engine("webgpu", 0.001), Engine("native", 0.03), "webgpu"),
        (Engine("webgpu", 0.03), Engine("native", 0.001), "native"),
        (Engine("webgpu", 0.001, fails_at=3), Engine("native", 0.03), "native"),
        (Engine("webgpu", 0.001, refuses=True), Engine("native", 0.03), "native"),
        (Engine("webgpu", 0.03), Engine("native", 0.0, refuses=True), "webgpu"),  # fp16 on many CPUs
    ],
)
def test_the_faster_one_is_taken(
    gpu: Engine, cpu: Engine, taken: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    session = FasterRuntime(gpu, cpu).compile(make_job(), SessionOptions())
    assert session.engine == taken
    assert [each.closed for each in gpu.made + cpu.made].count(False) == 1
    assert f"engine: {'one for CPUs' if not gpu.made else taken}" in caplog.text


def test_what_the_gpu_cannot_do_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    gpu, cpu = Engine("webgpu", 0.0), Engine("native", 0.0)
    session = FasterRuntime(gpu, cpu, lambda job: "it enlarges 2 times and no more").compile(
        make_job(), SessionOptions()
    )
    assert session.engine == "native" and not gpu.made
    (said,) = caplog.records
    assert said.levelno == logging.INFO and "2 times and no more" in said.getMessage()


@pytest.mark.parametrize("missing", ["old", "nvrtc"])
def test_an_nvidia_gpu_without_cuda_is_one_of_any_brand(
    missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    capability = (6, 1) if missing == "old" else (8, 6)
    gpu = DeviceInfo(
        name="a GPU", ordinal=0, compute_capability=capability, memory=0, multiprocessors=0, driver=""
    )
    monkeypatch.setattr(registry, "find_gpus", lambda: ([gpu], ""))
    monkeypatch.setattr(registry, "may_have_gpu", lambda: True)
    monkeypatch.setattr(registry, "find_adapters", lambda: ((), "the package wgpu is not installed"))

    def not_found() -> str:
        raise EngineError("NVIDIA's run-time compiler cannot be loaded")

    monkeypatch.setattr(nvrtc, "compiler_version", not_found)
    assert isinstance(registry._automatic(), registry.CpuRuntime)
    assert "too old" in caplog.text if missing == "old" else "nvidia-cuda-nvrtc" in caplog.text
    assert "wgpu" in caplog.text


@pytest.mark.parametrize(("device", "taken"), [("cpu", "native"), ("gpu:0", "webgpu")])
def test_a_device_that_is_asked_for_is_taken(device: str, taken: str) -> None:
    gpu, cpu = Engine("webgpu", 0.0), Engine("native", 0.0)
    assert FasterRuntime(gpu, cpu).compile(make_job(), SessionOptions(device=device)).engine == taken
    assert len(gpu.made) + len(cpu.made) == 1


@pytest.mark.parametrize("is_hardware", [True, False])
def test_software_gpus_are_not_taken(monkeypatch: pytest.MonkeyPatch, is_hardware: bool) -> None:
    class Adapter(DeviceInfo):
        pass

    adapter = Adapter(
        name="a GPU", ordinal=0, compute_capability=(0, 0), memory=0, multiprocessors=0, driver=""
    )
    Adapter.is_hardware = is_hardware  # type: ignore[attr-defined]
    monkeypatch.setattr(registry, "find_gpus", lambda: ([], "no driver"))
    monkeypatch.setattr(registry, "may_have_gpu", lambda: True)
    monkeypatch.setattr(registry, "find_adapters", lambda: ((adapter,), ""))
    monkeypatch.setattr(registry, "runtime", lambda name: Engine(name, 0.0))
    chosen = registry._automatic()
    assert isinstance(chosen, FasterRuntime if is_hardware else registry.CpuRuntime)
