"""torch's side of a device session: real torch, over the fake device's memory and streams."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from device_material import clean, make_frames, make_job
from fake_device import FakeDevice, FakeKernel
from network_reference import random_spec, random_weights
from session_material import one_thread

from paragon_stream.errors import DeviceMemoryError, EngineError, UsageError
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.runtimes import Precision, SessionOptions, runtime
from paragon_stream.runtimes.gpu.program import Load

torch = pytest.importorskip("torch")

from paragon_stream.runtimes.gpu.compilation import compile_on_device  # noqa: E402
from paragon_stream.runtimes.gpu.session import DeviceSession  # noqa: E402
from paragon_stream.runtimes.gpu.torch_program import CudaPlace, TorchProgram  # noqa: E402


class FakePlace:
    """The fake device's memory as torch's; what is queued is a kernel of it."""

    device = torch.device("cpu")

    def __init__(self, device: FakeDevice) -> None:
        self._device = device

    def bytes_at(self, pointer: int, size: int) -> Any:
        memory, start = self._device._find(pointer)
        return torch.from_numpy(memory.array[start : start + size])

    def queue(self, work: Callable[[], None], stream: Any) -> None:
        def run() -> None:
            with torch.inference_mode():
                work()

        kernel = FakeKernel(run, name="torch")
        self._device.launch(
            kernel, grid=(1, 1, 1), block=(1, 1, 1), shared_bytes=0, arguments=[], stream=stream
        )

    def close(self) -> None: ...


def loader(device: FakeDevice, precision: Precision = Precision.FP32) -> Callable[[FrameJob], Load]:
    def load_for(job: FrameJob) -> Load:
        return lambda _, __: TorchProgram(job, precision, FakePlace(device), compiles=False)

    return load_for


def attention_job(variant: str, name: str = "yuv420p") -> FrameJob:
    return build_job(random_weights(random_spec(variant)), make_job(name=name).source)


@pytest.mark.parametrize(
    "job",
    [make_job(conditioned=True), make_job(name="yuv420p10le"), attention_job("photo"), attention_job("pro")],
    ids=str,
)
def test_frames_are_those_of_the_cpu(job: FrameJob) -> None:
    """Many in flight, by graphs; the check at the start has compared one already."""
    device, reference = FakeDevice(), one_thread(job)
    session = compile_on_device(job, lambda: device, loader(device), one_thread)
    assert isinstance(session, DeviceSession)
    assert session.engine == "torch" and session.graphs
    frames = make_frames(job, 6)
    results = [allocate_planes(job.target) for _ in frames]
    flights = [session.run(frame, made, 0.7) for frame, made in zip(frames, results, strict=True)]
    for flight, frame, made in zip(flights, frames, results, strict=True):
        flight.wait()
        expected = allocate_planes(job.target)
        reference.run(frame, expected, 0.7).wait()
        for a, b in zip(made, expected, strict=True):
            assert np.abs(a.astype(int) - b).max() <= 1
    assert session.reruns == 0
    session.close()
    clean(device)


def test_frames_that_are_not_finite_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large codes overflow a body in fp16 that has been made too loud."""
    device, job = FakeDevice(), attention_job("photo")
    session = compile_on_device(job, lambda: device, loader(device), one_thread)
    assert isinstance(session, DeviceSession)
    program = session._slots[0]._program
    assert isinstance(program, TorchProgram)
    monkeypatch.setattr(program, "_program", lambda *given: _spoiled(program._plain(*given)))
    (frame,), made, expected = make_frames(job, 1), allocate_planes(job.target), allocate_planes(job.target)
    session.run(frame, made).wait()
    assert session.reruns == 1
    one_thread(job).run(frame, expected).wait()
    for a, b in zip(made, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    session.close()


def _spoiled(results: Any) -> Any:
    *planes, guard = results
    return *(plane * 0 for plane in planes), guard * float("nan")


def test_a_compiler_that_fails_is_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def compile(module: Any, **_: Any) -> Any:
        def fail(*given: Any) -> Any:
            raise RuntimeError("Cannot find a working triton installation")

        return fail

    monkeypatch.setattr(torch, "compile", compile)
    device, job = FakeDevice(), make_job()
    with caplog.at_level(logging.WARNING, "paragon_stream"):
        session = compile_on_device(
            job,
            lambda: device,
            lambda job: lambda _, __: TorchProgram(job, Precision.FP32, FakePlace(device), compiles=True),
            one_thread,
        )
    assert "torch.compile failed" in caplog.text and "working triton" in caplog.text
    session.close()


def test_a_lack_of_memory_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from paragon_stream.runtimes.gpu import torch_program

    def emit(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(torch_program, "emit_torch", emit)
    with pytest.raises(DeviceMemoryError, match="the GPU's memory is full"):
        TorchProgram(make_job(), Precision.FP16, FakePlace(FakeDevice()), compiles=False)


@pytest.mark.slow
def test_what_torch_compiles_gives_the_same_frames() -> None:
    """By torch's compiler for CPUs, which needs a C++ compiler; in fp16 as on a GPU."""
    device, job = FakeDevice(), attention_job("photo")
    program = TorchProgram(job, Precision.FP16, FakePlace(device), compiles=True)
    assert program._program is not program._plain
    given = [torch.from_numpy(p).view(1, 1, *p.shape) for p in make_frames(job, 1)[0]]
    with torch.inference_mode():
        compiled, plain = program._compute(given), program._plain(*given)
    assert program._program is not program._plain  # nothing failed on the way
    for a, b in zip(compiled, plain, strict=True):
        assert float((a.float() - b.float()).abs().max()) <= 1


def test_devices_are_named_as_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job()
    with pytest.raises(UsageError, match="no GPU called tpu"):
        runtime("torch").compile(job, SessionOptions(device="tpu"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineError, match=r"torch .* cannot use a GPU on this machine"):
        runtime("torch").compile(job, SessionOptions(device="cuda:0"))
    session = runtime("torch").compile(job, SessionOptions())
    assert session.device.startswith("CPU") and session.precision is Precision.FP32
    session.close()


class TorchsCuda:
    """The parts of torch's CUDA that `CudaPlace` uses, without a GPU: the pool's context manager is torch's
    own code, what it calls below is noted. A stream that captures is the session's, not one of torch's
    graphs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[Any] = []
        self.gpu, self.stream, self.capturing = 0, "torch's own", {"ours"}
        self.pools: list[int] = []
        memory, cuda = torch.cuda.memory, torch.cuda
        world = self

        class Pool:
            id = (0, 7)

            def __init__(self) -> None:
                world.pools.append(world.gpu)

            def __del__(self) -> None:
                world.calls.append("the pool is gone")

        def note(name: str) -> Callable[..., None]:
            return lambda *arguments: self.calls.append((name, *arguments))

        monkeypatch.setattr(memory, "_cuda_beginAllocateCurrentThreadToPool", note("begin"))
        monkeypatch.setattr(memory, "_cuda_endAllocateToPool", note("end"))
        monkeypatch.setattr(memory, "_cuda_releasePool", note("release"))
        monkeypatch.setattr(cuda, "MemPool", Pool)
        monkeypatch.setattr(cuda, "empty_cache", lambda: self.calls.append("empty_cache"))
        monkeypatch.setattr(cuda, "is_current_stream_capturing", lambda: self.stream in self.capturing)
        monkeypatch.setattr(cuda, "ExternalStream", lambda handle, device: handle)
        monkeypatch.setattr(cuda, "stream", lambda stream: self.changed("stream", stream))
        monkeypatch.setattr(cuda, "device", lambda device: self.changed("gpu", device.index))
        monkeypatch.setattr(memory, "_get_device_index", lambda device: device.index)

        def no_graph() -> Any:
            raise RuntimeError("no CUDAGraph is capturing on the current stream")

        monkeypatch.setattr(cuda.CUDAGraph, "get_currently_capturing_graph", no_graph)

    @contextmanager
    def changed(self, name: str, value: Any) -> Iterator[None]:
        before = getattr(self, name)
        setattr(self, name, value)
        try:
            yield
        finally:
            setattr(self, name, before)


def test_a_captured_frame_is_put_into_the_sessions_stream_and_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch 2.14 asks for a graph of its own where the pool is entered while the current stream captures."""
    cuda, device, seen = TorchsCuda(monkeypatch), FakeDevice(ordinal=1), []
    with device.current():
        place = CudaPlace(device)
        assert cuda.pools == [1], "the pool is that of the session's GPU, not of torch's current one"
        place.queue(lambda: seen.append((cuda.gpu, cuda.stream)), SimpleNamespace(handle="ours"))
        assert seen == [(1, "ours")]
        assert (cuda.gpu, cuda.stream) == (0, "torch's own")
        assert [call[:2] for call in cuda.calls[1:]] == [("begin", 1), ("end", 1), ("release", 1)]
        place.close()
    assert cuda.calls[-2:] == ["the pool is gone", "empty_cache"]


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_fp32_is_ieee_and_other_torch_is_left_alone(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settings() -> list[Any]:
        cudnn = torch.backends.cudnn
        return [cudnn.conv.fp32_precision, cudnn.allow_tf32]

    before, during = settings(), []
    assert before == ["tf32", True], "torch's default, for convolutions"
    device, job = FakeDevice(), make_job()
    session = compile_on_device(job, lambda: device, loader(device, precision), one_thread, graphs=False)
    program = session._slots[0]._program  # type: ignore[attr-defined]
    plain = program._program

    def noting(*given: Any) -> Any:
        during.append(settings())
        return plain(*given)

    monkeypatch.setattr(program, "_program", noting)
    session.run(make_frames(job, 1)[0], allocate_planes(job.target)).wait()
    assert during == [["none", False] if precision is Precision.FP32 else before]
    assert settings() == before
    session.close()
