"""A session on the fake device whose kernel doubles the picture, and the frames for it."""

from __future__ import annotations

import _thread
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from threading import active_count
from typing import Any

import numpy as np
from fake_device import FakeDevice, FakeKernel
from session_material import make_job as make_job

from paragon_stream.device import Device, Stream
from paragon_stream.frame import FrameFormat, Timing
from paragon_stream.framejob import FrameJob, allocate_planes
from paragon_stream.pipeline.pipeline import Pipeline
from paragon_stream.pipeline.slot import DONE, Completion, Slot
from paragon_stream.pipeline.stage import Stage
from paragon_stream.runtimes import Precision
from paragon_stream.runtimes.gpu.program import DeviceFrame, Hold
from paragon_stream.runtimes.gpu.session import DeviceSession

type Planes = tuple[np.ndarray, ...]


def make_frames(job: FrameJob, count: int) -> list[Planes]:
    rng = np.random.default_rng(1)
    frames = [allocate_planes(job.source) for _ in range(count)]
    for planes in frames:
        for plane in planes:
            plane[:] = rng.integers(0, job.source.pixel_format.peak + 1, plane.shape)
    return frames


def doubled(planes: Planes, strength: float = 0.0) -> Planes:
    """The kernel's result: every sample four times, plus the strength in hundredths."""
    return tuple((p + round(100 * strength)).astype(p.dtype).repeat(2, 0).repeat(2, 1) for p in planes)


class DoublingProgram:
    """One launch per plane: pixel repetition, on pitched planes."""

    engine = "fake"
    precision = Precision.FP16
    slack = 64

    def __init__(self, job: FrameJob, device: Device, hold: Hold) -> None:
        self._job, self._device = job, device
        self.input_pitches = tuple(_pitch(shape, job.source) for shape in job.source.plane_shapes)
        self.output_pitches = tuple(_pitch(shape, job.target) for shape in job.target.plane_shapes)
        self._workspace = hold(device.allocate(job.working_set))
        self._kernel = device.kernel(hold(device.load(b"doubling")), "double")

    def enqueue(self, frame: DeviceFrame, stream: Stream) -> None:
        shapes = self._job.source.plane_shapes
        for plane, result, shape in zip(frame.inputs, frame.outputs, shapes, strict=True):
            channels = shape[2] if len(shape) == 3 else 1
            sample = self._job.source.pixel_format.bytes_per_sample
            sizes = (plane.pitch, plane.row_bytes, plane.rows, result.pitch, sample, channels)
            self._device.launch(
                self._kernel,
                grid=(1, 1, 1),
                block=(32, 1, 1),
                shared_bytes=0,
                arguments=[
                    plane.pointer,
                    result.pointer,
                    frame.strength,
                    frame.status,
                    self._workspace.handle,
                    *(np.int32(n) for n in sizes),
                ],
                stream=stream,
            )

    def is_healthy(self, status: int) -> bool:
        return status == 0

    def close(self) -> None:
        pass


def double(
    source: np.ndarray,
    target: np.ndarray,
    strength: np.ndarray,
    status: np.ndarray,
    workspace: np.ndarray,
    pitch: int,
    row_bytes: int,
    rows: int,
    target_pitch: int,
    sample: int,
    channels: int,
) -> None:
    workspace[:64] = source[:64]  # as feature maps would be: shared by all frames
    bytes_ = np.lib.stride_tricks.as_strided(source, (rows, row_bytes), (pitch, 1))
    samples = np.ascontiguousarray(bytes_).view(np.uint8 if sample == 1 else np.uint16)
    samples = samples.reshape(rows, -1, channels)
    value = strength.view(np.float32)[0]
    (result,) = doubled((samples,), float(value) if np.isfinite(value) and 0 <= value <= 1 else 0.0)
    view = np.lib.stride_tricks.as_strided(target, (2 * rows, 2 * row_bytes), (target_pitch, 1))
    view[:] = result.reshape(2 * rows, -1).view(np.uint8)


DOUBLE = FakeKernel(double, reads=(0, 2), writes=(1, 3, 4), seconds=0.5)


class CpuDoubling:
    """A session that computes what the kernel should."""

    engine = "reference"
    precision = Precision.FP32
    device = "none"
    in_flight = 1

    def __init__(self, job: FrameJob) -> None:
        self.job = job
        self.runs = 0
        self.closed = False

    def run(self, inputs: Any, outputs: Any, strength: float = 0.0) -> Completion:
        self.runs += 1
        for target, result in zip(outputs, doubled(inputs, strength), strict=True):
            target[:] = result
        return DONE

    def close(self) -> None:
        self.closed = True


def open_session(job: FrameJob, device: FakeDevice, **options: Any) -> DeviceSession:
    device.kernels.setdefault("double", DOUBLE)
    options.setdefault("second_opinion", lambda: CpuDoubling(job))
    return DeviceSession(job, device, lambda *where: DoublingProgram(job, *where), **options)


def render_with(session: Any, *, stop_at: int | None = None, count: int = 30) -> list[int]:
    """Frames through a real pipeline; each carries its number, which the encoder's side checks.

    Returns the numbers, and closes the session.
    """
    job = session.job
    seen: list[int] = []
    numbers = iter(range(count))

    def decode(slot: Slot) -> bool:
        number = next(numbers, None)
        if number is None:
            return False
        for plane in slot.inputs:
            plane[:] = number
        slot.timing = Timing(pts=number, duration=1, time_base=Fraction(1, 25))
        return True

    def compute(slot: Slot) -> None:
        slot.completion = session.run(slot.inputs, slot.outputs, slot.strength)

    def encode(slot: Slot) -> None:
        assert all((plane == slot.timing.pts).all() for plane in slot.outputs)
        seen.append(slot.timing.pts)
        if len(seen) == stop_at:
            _thread.interrupt_main()

    slots = [
        Slot(session.allocate_planes(job.source), session.allocate_planes(job.target))
        for _ in range(session.in_flight + 4)
    ]
    stages = [
        Stage(name="decode", work=decode),
        Stage(name="engine", work=compute),
        Stage(name="encode", work=encode),
    ]
    pipeline = Pipeline(slots, stages)
    before = active_count()
    try:
        pipeline.run()
    finally:
        assert active_count() == before
        assert pipeline.pool.home == len(slots)
        session.close()
    return seen


@contextmanager
def clean(device: FakeDevice) -> Iterator[None]:
    """Afterwards nothing was misused and nothing is left."""
    yield
    assert device.misuse == []
    assert [(each.kind, each.name) for each in device.live] == []
    assert device.closed


def _pitch(shape: tuple[int, ...], format: FrameFormat) -> int:
    return -(-int(np.prod(shape[1:])) * format.pixel_format.bytes_per_sample // 64) * 64
