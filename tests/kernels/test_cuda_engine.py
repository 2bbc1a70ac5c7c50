"""The engine cuda as a whole, without a GPU: its session, scheduler and start-up check over a device in host
memory, whose kernels are the real ones, run by the emulator."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from emulator import build, host_source
from fake_device import FakeDevice, FakeKernel
from kernel_material import stream_weights
from network_reference import random_spec, random_weights
from session_material import one_thread

from paragon_stream.checkpoint import Weights
from paragon_stream.device import Device
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.cuda.emit import emit_cuda
from paragon_stream.framejob.cuda.program import Argument, Buffer, BufferKind, CudaProgram, Int
from paragon_stream.runtimes.cuda import KernelProgram
from paragon_stream.runtimes.gpu.compilation import compile_on_device
from paragon_stream.runtimes.gpu.program import Hold

WRITTEN = (BufferKind.WORKSPACE, BufferKind.OUTPUT, BufferKind.STATUS)


def emulated(program: CudaProgram, kernel: str) -> FakeKernel:
    """The kernel over the grid of that of the program's launches which has these sizes."""
    library = build(host_source(program))
    launches = {sizes(launch.args): launch for launch in program.launches if launch.kernel == kernel}

    def run(*arguments: np.ndarray | np.int32) -> None:
        launch = launches[tuple(int(each) for each in arguments if isinstance(each, np.int32))]
        words = [each.ctypes.data if isinstance(each, np.ndarray) else int(each) for each in arguments]
        shape = (*launch.grid[:2], launch.block[0], launch.shared_bytes)
        pointers = (ctypes.c_uint64 * len(words))(*words)
        assert library.launch(kernel.encode(), *shape, 0, 0xFF, pointers) is None

    places = [(i, a) for i, a in enumerate(next(iter(launches.values())).args) if isinstance(a, Buffer)]
    return FakeKernel(
        run,
        reads=tuple(i for i, each in places if each.kind is not BufferKind.OUTPUT),
        writes=tuple(i for i, each in places if each.kind in WRITTEN),
    )


def sizes(arguments: Sequence[Argument]) -> tuple[int, ...]:
    return tuple(each.value for each in arguments if isinstance(each, Int))


def loader(job: FrameJob) -> Callable[[Device, Hold], KernelProgram]:
    def load(device: Device, hold: Hold) -> KernelProgram:
        program = emit_cuda(job, multiprocessors=1)
        assert isinstance(device, FakeDevice)
        device.kernels = {
            name: emulated(program, name) for name in {each.kernel for each in program.launches}
        }
        return KernelProgram(program, b"", device, hold)

    return load


@pytest.mark.parametrize(
    ("weights", "width", "height"),
    [
        (random_weights(random_spec(conditioned=True, alpha=0.0)), 36, 22),
        (stream_weights(depth=1, conditioned=True), 8, 4),
    ],
    ids=["realtime", "stream"],
)
def test_frames_through_the_engine(weights: Weights, width: int, height: int) -> None:
    source = FrameFormat.of("yuv420p", width, height)
    job = build_job(weights, source)
    device = FakeDevice()
    session = compile_on_device(job, lambda: device, loader, one_thread)
    reference = one_thread(job)
    rng = np.random.default_rng(3)
    frames = [(allocate_planes(job.source), allocate_planes(job.target)) for _ in range(3)]
    for inputs, _ in frames:
        for plane in inputs:
            plane[:] = rng.integers(16, 236, plane.shape)
    done = [session.run(inputs, outputs, 0.3 * i) for i, (inputs, outputs) in enumerate(frames)]
    for completion in done:
        completion.wait()
    for i, (inputs, outputs) in enumerate(frames):
        expected = allocate_planes(job.target)
        reference.run(inputs, expected, 0.3 * i).wait()
        for plane, wanted in zip(outputs, expected, strict=True):
            difference = np.abs(plane.astype(int) - wanted)
            assert difference.max() <= 1 and (difference > 0).mean() < 0.02
    session.close()
    assert not device.misuse and not device.live
