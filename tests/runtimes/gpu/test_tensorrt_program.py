"""TensorRT's side of a device session: a stand-in for the library, over the fake device.

The stand-in has the methods that are called and refuses everything else, so names and arguments are held too.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from device_material import DOUBLE, CpuDoubling, clean, doubled, make_frames, make_job
from fake_device import FakeDevice

from paragon_stream.errors import DeviceMemoryError, EngineError
from paragon_stream.framejob import FrameJob, allocate_planes
from paragon_stream.framejob.onnx.emit import (
    GUARD_OUTPUT,
    STRENGTH_INPUT,
    graph_shapes,
    input_names,
    output_names,
)
from paragon_stream.runtimes import Precision
from paragon_stream.runtimes.disk_cache import DiskCache
from paragon_stream.runtimes.gpu import tensorrt_builder, tensorrt_program, tensorrt_runtime
from paragon_stream.runtimes.gpu.session import DeviceSession
from paragon_stream.runtimes.gpu.tensorrt_runtime import TensorRtRuntime

ENGINE = b"an engine"
TOO_LARGE = b"an engine for another card"


class Logger:
    Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3)


class StandIn:
    """The parts of the module `tensorrt` that running needs. Its engine repeats every sample."""

    __name__ = "tensorrt"
    __version__ = "10.16"
    ILogger = Logger
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="ours")

    def __init__(self, device: FakeDevice, job: FrameJob, guard: Callable[[], float] = lambda: 12.5) -> None:
        self.device, self.job, self.guard = device, job, guard
        self.contexts: list[Any] = []
        self.many_sizes = False

    def Runtime(self, logger: Any) -> Any:  # noqa: N802  # TensorRT's name
        def deserialize(content: bytes) -> Any:
            if content == TOO_LARGE:
                logger.log(1, "Error Code 2: OutOfMemory (Requested size was 123456 bytes.)")
                return None
            if content != ENGINE:
                logger.log(1, "the engine plan file is not compatible")
                return None
            return SimpleNamespace(
                create_execution_context=self._context,
                device_memory_size_v2=4096 if not self.many_sizes else 1 << 40,
                get_tensor_shape=lambda name: (1, 1, -1, -1) if self.many_sizes else (1, 1, 48, 64),
            )

        return SimpleNamespace(deserialize_cuda_engine=deserialize)

    def _context(self, strategy: str) -> Any:
        assert strategy == "ours"
        self.contexts.append(Context(self))
        return self.contexts[-1]


class Context:
    def __init__(self, library: StandIn) -> None:
        self._library = library
        self._addresses: dict[str, int] = {}
        self._memory = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.refused = ""

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = shape
        return shape[2] <= 64

    def update_device_memory_size_for_shapes(self) -> int:
        job = self._library.job
        assert self._shapes == dict(zip(input_names(job.source), graph_shapes(job.source), strict=True))
        return 4096

    def set_device_memory(self, address: int, size: int) -> None:
        assert size == 4096
        self._memory = address

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name == self.refused:
            return False
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        library = self._library
        device, job = library.device, library.job
        assert self._memory
        queue = next(each for each in device.live if each.kind == "stream" and each.handle == stream)
        names = zip(input_names(job.source), output_names(job.target), strict=True)
        for (source, target), shape in zip(names, job.source.plane_shapes, strict=True):
            sample = job.source.pixel_format.bytes_per_sample
            row, big = (n * sample for n in (shape[1], 2 * shape[1]))
            sizes = (row, row, shape[0], big, sample, 1)
            arguments = [
                self._addresses[source],
                self._addresses[target],
                self._addresses.get(STRENGTH_INPUT, self._memory),
                self._addresses[GUARD_OUTPUT],
                self._memory,
                *(np.int32(size) for size in sizes),
            ]
            kernel = device.kernels["double"]
            device.launch(
                kernel, grid=(1, 1, 1), block=(1, 1, 1), shared_bytes=0, arguments=arguments, stream=queue
            )
        return True


def doubling_with_guard(guard: Callable[[], float]) -> Any:
    def run(source: Any, target: Any, strength: Any, status: Any, *rest: Any) -> None:
        DOUBLE.run(source, target, strength, status, *rest)
        status[:4] = np.frombuffer(struct.pack("<f", guard()), np.uint8)

    return type(DOUBLE)(run, DOUBLE.reads, DOUBLE.writes, name="double")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskCache:
    made = DiskCache(tmp_path, ".engine")
    for module in (tensorrt_builder, tensorrt_runtime):
        monkeypatch.setattr(module, "ENGINES", made)
    monkeypatch.setattr(tensorrt_program, "COMPILED", DiskCache(tmp_path, ".kernels"))
    return made


def open_session(
    job: FrameJob, monkeypatch: pytest.MonkeyPatch, guard: Callable[[], float] = lambda: 12.5, **builds: Any
) -> tuple[DeviceSession, FakeDevice, list[str]]:
    """A session whose engines come from `builds["made"]`, one after the other."""
    device = FakeDevice({"double": doubling_with_guard(guard)})
    library = StandIn(device, job, guard)
    library.many_sizes = builds.get("many_sizes", False)
    compiled: list[str] = []
    made = iter(builds.get("made", [ENGINE]))

    def build(*arguments: Any) -> bytes:
        compiled.append("built")
        return next(made)

    monkeypatch.setattr(tensorrt_builder, "build", build)
    load = TensorRtRuntime("tensorrt", library).loader(job, Precision.AUTO)
    session = DeviceSession(job, device, load, second_opinion=lambda: CpuDoubling(job), graphs=False)
    return session, device, compiled


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
def test_frames_go_through(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(name=name, conditioned=True)
    session, device, _ = open_session(job, monkeypatch)
    frames = make_frames(job, 6)
    for planes in frames:
        for plane in planes:
            plane //= 2
    results = [allocate_planes(job.target) for _ in frames]
    with clean(device):
        for done in [session.run(f, r, 0.25) for f, r in zip(frames, results, strict=True)]:
            done.wait()
        for planes, result in zip(frames, results, strict=True):
            assert all(map(np.array_equal, result, doubled(planes, 0.25)))
        assert (session.engine, session.precision, session.reruns) == ("tensorrt", Precision.FP16, 0)
        session.close()


def test_an_engine_for_many_sizes_gets_the_frames_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And gets as much memory as they need, not as the largest of its sizes."""
    job = make_job()
    session, device, _ = open_session(job, monkeypatch, many_sizes=True)
    (planes,), outputs = make_frames(job, 1), allocate_planes(job.target)
    with clean(device):
        session.run(planes, outputs).wait()
        assert all(map(np.array_equal, outputs, doubled(planes)))
        session.close()
    with pytest.raises(EngineError, match="cannot take frames of 64x96"):
        open_session(make_job(64, 96), monkeypatch, many_sizes=True, made=[ENGINE, ENGINE])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_guard_that_is_not_finite_means_again(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job()
    session, device, _ = open_session(job, monkeypatch, guard=lambda: bad)
    (planes,), outputs = make_frames(job, 1), allocate_planes(job.target)
    with clean(device):
        session.run(planes, outputs).wait()
        assert session.reruns == 1 and all(map(np.array_equal, outputs, doubled(planes)))
        session.close()


def test_a_stale_engine_is_built_again(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job()
    session, device, compiled = open_session(job, monkeypatch, made=[b"of another driver", ENGINE])
    with clean(device):
        session.close()
    assert compiled == ["built", "built"] and "cannot be used" in caplog.text
    assert "not compatible" in caplog.text
    session, device, compiled = open_session(job, monkeypatch)
    with clean(device):
        session.close()
    assert compiled == [], "the good one is in the cache"


@pytest.mark.parametrize("refused", ["y", "out_y", STRENGTH_INPUT, GUARD_OUTPUT])
def test_memory_that_tensorrt_does_not_take_is_an_error(
    refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a frame that goes where the frame before went."""
    job = make_job(conditioned=True)
    names = {"y": input_names(job.source)[0], "out_y": output_names(job.target)[0]}
    session, device, _ = open_session(job, monkeypatch)
    (planes,), outputs = make_frames(job, 1), allocate_planes(job.target)
    with clean(device):
        session.run(planes, outputs).wait()
        context = session._slots[0]._program._context  # type: ignore[attr-defined]
        context.refused = names.get(refused, refused)
        with pytest.raises(EngineError, match="TensorRT takes no memory for"):
            session.run(planes, outputs)
        context.refused = ""
        session.run(planes, outputs).wait()
        session.close()


def test_too_little_memory_is_reported_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that tiles are tried; building again would change nothing."""
    with pytest.raises(DeviceMemoryError, match=r"cannot load the engine: .*OutOfMemory"):
        open_session(make_job(), monkeypatch, made=[TOO_LARGE])


def test_an_engine_that_never_loads_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"cannot load the engine that it built: .* not compatible"):
        open_session(make_job(), monkeypatch, made=[b"bad", b"worse"])
