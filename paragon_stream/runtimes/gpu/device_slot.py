"""The device's resources for one frame in flight: buffers, events and graph, and the frame that uses them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from paragon_stream.device import Device, DevicePicture, DevicePlane, Graph, Resource, Stream
from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.job import FrameJob
from paragon_stream.runtimes.base import Plane
from paragon_stream.runtimes.gpu.program import DeviceFrame, DeviceProgram
from paragon_stream.runtimes.gpu.timer import DeviceTimer, Spans

logger = logging.getLogger(__name__)

_WORD = 4  # bytes of the strength, and of the status


@dataclass
class Streams:
    """The queues that all slots share."""

    upload: Stream
    compute: Stream
    download: Stream


class Owner(Protocol):
    """The methods of a session that its slots use."""

    job: FrameJob

    def hold[R: Resource](self, resource: R) -> R: ...
    def allocate_planes(self, format: FrameFormat) -> tuple[Plane, ...]: ...
    def is_pinned(self, planes: Sequence[Plane]) -> bool: ...
    def rerun(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float) -> None: ...
    def timed(self, name: str, spans: Spans) -> None: ...


class DeviceSlot:
    """All methods but `settle` are called inside `device.current()`, by one thread at a time."""

    def __init__(self, owner: Owner, device: Device, program: DeviceProgram, streams: Streams) -> None:
        self._owner = owner
        self._device = device
        self._program = program
        self._streams = streams
        job = owner.job
        self._frame = DeviceFrame(
            inputs=self._device_planes(job.source, program.input_pitches),
            outputs=self._device_planes(job.target, program.output_pitches),
            strength=owner.hold(device.allocate(_WORD)).handle,
            status=owner.hold(device.allocate(_WORD)).handle,
        )
        self._staged_inputs = owner.allocate_planes(job.source)
        self._staged_outputs = owner.allocate_planes(job.target)
        words = owner.hold(device.allocate_host(2 * _WORD)).array
        self._strength = words[:_WORD].view(np.float32)
        self._status = words[_WORD:].view(np.uint32)
        events = (owner.hold(device.event()) for _ in range(4))
        self._arrived, self._uploaded, self._computed, self._done = events
        self._graph: Graph | None = None
        self._timer: DeviceTimer | None = None
        self._flight: Flight | None = None

    def start(
        self,
        inputs: Sequence[Plane] | DevicePicture,
        outputs: Sequence[Plane] | DevicePicture,
        strength: float,
        *,
        name: str = "",
    ) -> Flight:
        """Queue a frame; the slot must be settled. After an error the device no longer accesses the
        planes."""
        staged_out = not isinstance(outputs, DevicePicture) and not self._owner.is_pinned(outputs)
        source = inputs
        if not isinstance(inputs, DevicePicture) and not self._owner.is_pinned(inputs):
            source = self._staged_inputs
            for staged, plane in zip(source, inputs, strict=True):
                np.copyto(staged, plane)
        self._strength[0] = strength
        try:
            if self._timer is not None:
                self._timer.begin()
            self._upload(source)
            self._compute()
            self._download(self._staged_outputs if staged_out else outputs)
        except BaseException:
            self.drain()
            raise
        self._flight = Flight(self, inputs, outputs, strength, staged=staged_out, name=name)
        return self._flight

    def settle(self) -> None:
        """Wait for the frame of this slot, if any. Its error is raised by its own completion."""
        if self._flight is not None:
            self._flight.settle()
            self._flight = None

    @property
    def is_busy(self) -> bool:
        """Whether the device still works on this slot's frame. Raises EngineError if the device failed."""
        flight = self._flight
        return flight is not None and not flight.is_settled and not self._device.has_happened(self._done)

    def drain(self) -> None:
        """Wait until the device has finished all work of this slot, if it still responds."""
        for stream in (self._streams.upload, self._streams.compute, self._streams.download):
            try:
                self._device.record(self._computed, stream)
                self._device.synchronize(self._computed)
            except EngineError as error:
                logger.debug("a stream could not be drained: %s", error)

    def adopt_graph(self) -> None:
        """Launch the slot's work as a graph from now on.

        Raises EngineError if it cannot be captured, or if the graph's samples differ from those of the
        kernels. The compute stream may then be unusable.
        """
        # This run also loads kernels and initialises TensorRT, neither of which can be captured.
        expected = self._computed_from(seed=0)
        graph = self._captured()
        # Another picture in the device's planes: the graph must overwrite all of it.
        self._computed_from(seed=1)
        self._graph = graph
        if not all(map(np.array_equal, self._computed_from(seed=0), expected)):
            raise EngineError("the graph's samples differ from those of its kernels")

    def forget_graph(self) -> None:
        self._graph = None

    def _captured(self) -> Graph:
        stream = self._streams.compute
        self._device.begin_capture(stream)
        try:
            self._queue_work()
        except BaseException:
            with suppress(EngineError):
                self._owner.hold(self._device.end_capture(stream))
            raise
        return self._owner.hold(self._device.end_capture(stream))

    def _computed_from(self, seed: int) -> list[Plane]:
        """The slot's result for noise."""
        rng, peak = np.random.default_rng(seed), self._owner.job.source.pixel_format.peak
        for plane in self._staged_inputs:
            plane[...] = rng.integers(0, peak, plane.shape, endpoint=True)
        self.start(self._staged_inputs, self._staged_outputs, 0.5)
        self._flight = None
        self._device.synchronize(self._done)
        return [plane.copy() for plane in self._staged_outputs]

    def time(self, clock: Stream) -> None:
        """Report the times of the device's work to the owner from now on; see `DeviceTimer` for `clock`."""
        self._timer = DeviceTimer(self._owner, self._device, clock)

    def finish(self, flight: Flight) -> None:
        """Wait for the frame and copy its result to the caller's planes. Called once per frame, outside
        `current()`."""
        with self._device.current():
            try:
                self._device.synchronize(self._done)
            except EngineError:
                self.drain()
                raise
            if self._timer is not None:
                self._owner.timed(flight.name, self._timer.spans())
        if not self._program.is_healthy(int(self._status[0])):
            inputs, outputs = flight.inputs, flight.outputs
            result = self._staged_outputs if isinstance(outputs, DevicePicture) else outputs
            self._owner.rerun(
                self._inputs_back() if isinstance(inputs, DevicePicture) else inputs, result, flight.strength
            )
            if isinstance(outputs, DevicePicture):
                self._result_there(outputs)
        elif flight.staged:
            assert not isinstance(flight.outputs, DevicePicture)
            for plane, staged in zip(flight.outputs, self._staged_outputs, strict=True):
                np.copyto(plane, staged)

    def _inputs_back(self) -> tuple[Plane, ...]:
        """The frame's input, copied back from the device."""
        device, stream = self._device, self._streams.download
        with device.current():
            for source, plane in zip(self._frame.inputs, self._staged_inputs, strict=True):
                device.download(source, plane, stream)
            device.record(self._done, stream)
            device.synchronize(self._done)
        return self._staged_inputs

    def _result_there(self, picture: DevicePicture) -> None:
        """Copy the staged result to the device."""
        device, stream = self._device, self._streams.upload
        with device.current():
            for staged, target in zip(self._staged_outputs, picture.planes, strict=True):
                device.upload(staged, target, stream)
            device.record(self._done, stream)
            device.synchronize(self._done)

    def _upload(self, source: Sequence[Plane] | DevicePicture) -> None:
        device, stream = self._device, self._streams.upload
        if isinstance(source, DevicePicture):
            device.record(self._arrived, device.default_stream())
            device.wait(self._arrived, stream)
            self._mark(0, stream)
            for there, target in zip(source.planes, self._frame.inputs, strict=True):
                device.move(there, target, stream)
        else:
            self._mark(0, stream)
            for plane, target in zip(source, self._frame.inputs, strict=True):
                device.upload(plane, target, stream)
        if self._owner.job.spec.conditioned:
            device.upload(self._strength, _word(self._frame.strength), stream)
        self._mark(1, stream)
        device.record(self._uploaded, stream)

    def _compute(self) -> None:
        device, stream = self._device, self._streams.compute
        device.wait(self._uploaded, stream)
        self._mark(2, stream)
        if self._graph is None:
            self._queue_work()
        else:
            device.launch_graph(self._graph, stream)
        self._mark(3, stream)
        device.record(self._computed, stream)

    def _queue_work(self) -> None:
        self._device.clear(self._frame.status, 1, self._streams.compute)
        self._program.enqueue(self._frame, self._streams.compute)

    def _download(self, target: Sequence[Plane] | DevicePicture) -> None:
        device, stream = self._device, self._streams.download
        device.wait(self._computed, stream)
        self._mark(4, stream)
        if isinstance(target, DevicePicture):
            for source, there in zip(self._frame.outputs, target.planes, strict=True):
                device.move(source, there, stream)
        else:
            for source, plane in zip(self._frame.outputs, target, strict=True):
                device.download(source, plane, stream)
        device.download(_word(self._frame.status), self._status, stream)
        self._mark(5, stream)
        device.record(self._done, stream)

    def _mark(self, number: int, stream: Stream) -> None:
        if self._timer is not None:
            self._device.record(self._timer.marks[number], stream)

    def _device_planes(self, format: FrameFormat, pitches: Sequence[int]) -> tuple[DevicePlane, ...]:
        sample = format.pixel_format.bytes_per_sample
        planes = []
        for (rows, *rest), pitch in zip(format.plane_shapes, pitches, strict=True):
            memory = self._owner.hold(self._device.allocate(rows * pitch + self._program.slack))
            row_bytes = int(np.prod(rest)) * sample
            planes.append(DevicePlane(pointer=memory.handle, pitch=pitch, row_bytes=row_bytes, rows=rows))
        return tuple(planes)


class Flight:
    """The completion of one frame; it may outlive the slot's use for later frames. It keeps the frame's
    planes alive."""

    def __init__(
        self,
        slot: DeviceSlot,
        inputs: Sequence[Plane] | DevicePicture,
        outputs: Sequence[Plane] | DevicePicture,
        strength: float,
        *,
        staged: bool,
        name: str,
    ) -> None:
        self.inputs, self.outputs, self.strength = inputs, outputs, strength
        self.staged = staged
        """Whether the result arrives in the slot's page-locked planes."""
        self.name = name
        self._slot: DeviceSlot | None = slot
        self._error: Exception | None = None
        self._lock = threading.Lock()

    @property
    def is_settled(self) -> bool:
        return self._slot is None

    def settle(self) -> None:
        """Wait until the frame is done or has failed."""
        with self._lock:
            if self._slot is not None:
                try:
                    self._slot.finish(self)
                except Exception as error:
                    self._error = error
                self._slot, self.inputs, self.outputs = None, (), ()

    def wait(self) -> None:
        """Raises EngineError if the device failed, at every call."""
        self.settle()
        if self._error is not None:
            raise self._error


def _word(address: int) -> DevicePlane:
    return DevicePlane(pointer=address, pitch=_WORD, row_bytes=_WORD, rows=1)
