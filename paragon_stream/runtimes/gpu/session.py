"""Sessions on an accelerator: upload, compute and download run in separate streams, synchronised by events.

    upload    │ 0 │ 1 │ 2 │ 3 │
    compute       │  0  │  1  │  2  │  3  │
    download            │ 0 │   │ 1 │   │ 2 │

The host only queues work; it waits once per frame, when the result is read. All resources of a frame on the
device belong to a slot (device_slot.py); there are as many slots as frames in flight. A session allocates
nothing after its construction.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from paragon_stream.device import Device, DevicePicture, DevicePlane, HostMemory, Resource, Stream
from paragon_stream.errors import DeviceMemoryError, EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.job import FrameJob
from paragon_stream.pipeline.slot import Completion
from paragon_stream.pipeline.trace import Trace
from paragon_stream.runtimes.base import Plane, Session
from paragon_stream.runtimes.buffers import check_picture, check_planes
from paragon_stream.runtimes.gpu.device_slot import DeviceSlot, Streams
from paragon_stream.runtimes.gpu.program import Load
from paragon_stream.runtimes.gpu.timer import STREAMS, Spans

logger = logging.getLogger(__name__)

IN_FLIGHT = 4
"""One frame in each stream, and one more so that no stream waits for the host."""

_PACE_WEIGHT = 0.2
"""Weight of the latest frame in `DeviceSession.pace`: thermal throttling shows within ten frames."""

_ALIGNMENT = 256
"""Alignment of planes in page-locked memory, bytes; device memory has the same."""


class DeviceSession:
    """See `Session`."""

    def __init__(
        self,
        job: FrameJob,
        device: Device,
        load: Load,
        *,
        second_opinion: Callable[[], Session],
        in_flight: int = IN_FLIGHT,
        graphs: bool = True,
    ) -> None:
        """`load` loads the program, inside `device.current()`; the session closes it, and `device`.

        `second_opinion` compiles the job for frames for which the device computed NaN; it is called for the
        first of them. Without `graphs` the host launches every kernel itself. Raises EngineError
        (DeviceMemoryError if memory is short) after releasing all resources.
        """
        self.job = job
        self.in_flight = in_flight
        self.device, self.label = str(device.info), device.info.label
        self.ordinal = device.info.ordinal
        self.takes_pictures = device.info.is_cuda
        self.reruns = 0
        """Frames that were computed again because the device's result was not finite."""
        self.pace = 0.0
        """Recent average of the seconds per frame of the busiest stream; 0 unless frames are timed."""
        self._trace: Trace | None = None
        self._track_prefix = ""
        self._clock: Stream | None = None
        self._device = device
        self._second_opinion = second_opinion
        self._second: Session | None = None
        self._pinned: set[int] = set()
        self._next = 0
        self._frames = 0
        self._closed = False
        self._lock = threading.Lock()
        self._rerunning, self._fetching = threading.Lock(), threading.Lock()
        self._held: list[Callable[[], None]] = []
        try:
            with device.current():
                self._open(load, graphs)
        except BaseException:
            self._release()
            raise

    def _open(self, load: Load, graphs: bool) -> None:
        device = self._device
        program = load(device, self.hold)
        self._held.append(program.close)
        self.engine, self.precision = program.engine, program.precision
        upload, compute, download = (self.hold(device.stream(n)) for n in ("upload", "compute", "download"))
        self._streams = Streams(upload, compute, download)
        self._fetches, self._fetched = self.hold(device.stream("fetch")), self.hold(device.event())
        self._fetch_memory: HostMemory | None = None
        self._slots = [DeviceSlot(self, device, program, self._streams) for _ in range(self.in_flight)]
        self.graphs = graphs and self._capture()
        """Whether frames are launched as CUDA graphs."""

    def run(
        self,
        inputs: Sequence[Plane] | DevicePicture,
        outputs: Sequence[Plane] | DevicePicture,
        strength: float = 0.0,
        *,
        number: int | None = None,
    ) -> Completion:
        """See `TakesPictures`. The device copies planes of `allocate_planes`; this thread copies others.

        `number` is the frame's number in traces; by default frames are counted.
        """
        if isinstance(inputs, DevicePicture):
            check_picture(inputs, self.job.source)
        else:
            check_planes(inputs, self.job.source)
        if isinstance(outputs, DevicePicture):
            check_picture(outputs, self.job.target)
        else:
            check_planes(outputs, self.job.target)
        with self._lock:
            if self._closed:
                raise EngineError("the session is closed")
            slot = self._slots[self._next]
            slot.settle()  # back-pressure: waits for the slot's earlier frame
            with self._device.current():
                name = f"frame {self._frames if number is None else number}"
                flight = slot.start(inputs, outputs, strength, name=name)
            self._next = (self._next + 1) % len(self._slots)
            self._frames += 1
            return flight

    def allocate_planes(self, format: FrameFormat) -> tuple[Plane, ...]:
        """Planes of `format` in page-locked memory; they are invalid after the session is closed.

        Raises DeviceMemoryError.
        """
        shapes = format.plane_shapes
        sample = np.dtype({1: np.uint8, 2: np.uint16, 4: np.float32}[format.pixel_format.bytes_per_sample])
        sizes = [int(np.prod(shape)) * sample.itemsize for shape in shapes]
        starts = np.cumsum([0, *(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)]).tolist()
        with self._device.current():
            memory = self.hold(self._device.allocate_host(starts[-1])).array
        planes = tuple(
            memory[start : start + size].view(sample).reshape(shape)
            for start, size, shape in zip(starts, sizes, shapes, strict=False)
        )
        self.adopt_planes(planes)
        return planes

    def allocate_picture(self, format: FrameFormat) -> DevicePicture:
        """See `TakesPictures`."""
        sample = format.pixel_format.bytes_per_sample
        sizes = [(shape[0], int(np.prod(shape[1:])) * sample) for shape in format.plane_shapes]
        pitch = -(-max(row_bytes for _, row_bytes in sizes) // _ALIGNMENT) * _ALIGNMENT
        with self._device.current():
            memory = self.hold(self._device.allocate(pitch * sum(rows for rows, _ in sizes)))
        starts = np.cumsum([0, *(rows * pitch for rows, _ in sizes)]).tolist()
        planes = tuple(
            DevicePlane(pointer=memory.handle + start, pitch=pitch, row_bytes=row_bytes, rows=rows)
            for start, (rows, row_bytes) in zip(starts, sizes, strict=False)
        )
        return DevicePicture(planes=planes, owner=memory)

    def adopt_planes(self, planes: Sequence[Plane]) -> None:
        """Treat page-locked `planes` of another device's session like this session's own."""
        self._pinned.update(plane.ctypes.data for plane in planes)

    def fetch(self, plane: DevicePlane) -> NDArray[np.uint8]:
        """See `TakesPictures`."""
        size = plane.rows * plane.row_bytes
        with self._fetching, self._device.current():
            if self._fetch_memory is None or self._fetch_memory.array.size < size:
                self._fetch_memory = self.hold(self._device.allocate_host(size))
            rows = self._fetch_memory.array[:size].reshape(plane.rows, plane.row_bytes)
            self._device.record(self._fetched, self._device.default_stream())
            self._device.wait(self._fetched, self._fetches)
            self._device.download(plane, rows, self._fetches)
            self._device.record(self._fetched, self._fetches)
            self._device.synchronize(self._fetched)
            return rows.copy()

    def is_pinned(self, planes: Sequence[Plane]) -> bool:
        """Whether all of `planes` came from `allocate_planes` or `adopt_planes`."""
        return all(plane.ctypes.data in self._pinned for plane in planes)

    def hold[R: Resource](self, resource: R) -> R:
        """Release `resource` when the session closes."""
        self._held.append(lambda: self._device.release(resource))
        return resource

    def rerun(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float) -> None:
        """Compute a frame with the reference session, because the device's result was not finite."""
        with self._rerunning:
            if self._second is None:
                logger.warning(
                    "%s computed NaN or infinity; such frames are computed again in fp32", self.device
                )
                self._second = self._second_opinion()
            self.reruns += 1
            self._second.run(inputs, outputs, strength).wait()

    @property
    def unfinished(self) -> int:
        """Number of frames that the device still works on. Raises EngineError if the device failed."""
        with self._device.current():
            return sum(slot.is_busy for slot in self._slots)

    def time(self) -> None:
        """Measure `pace` from now on."""
        with self._lock, self._device.current():
            if self._clock is None:
                self._clock = self.hold(self._device.stream("clock"))
                for slot in self._slots:
                    slot.settle()
                    slot.time(self._clock)

    def trace(self, trace: Trace, prefix: str = "") -> None:
        """See `DeviceBound`; `prefix` is put before the tracks' names."""
        try:
            self.time()
        except EngineError as error:
            logger.warning("the trace has no times of %s: %s", self.device, error)
            return
        self._trace, self._track_prefix, self._frames = trace, prefix, 0

    def timed(self, name: str, spans: Spans) -> None:
        """Record the times of the device's work on the frame called `name`."""
        seconds = max(end - begin for begin, end in spans)
        self.pace += (seconds - self.pace) * (_PACE_WEIGHT if self.pace else 1.0)
        if self._trace is not None:
            for stream, (begin, end) in zip(STREAMS, spans, strict=True):
                self._trace.add(self._track_prefix + stream, name, begin, end)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                for slot in self._slots:
                    slot.settle()
                if self._second is not None:
                    self._second.close()
                self._release()

    def _capture(self) -> bool:
        """Capture every slot's work as a graph, and check that the graphs give the results of direct
        launches."""
        try:
            for slot in self._slots:
                slot.adopt_graph()
        except DeviceMemoryError:
            raise  # smaller frames may fit; without graphs the same frame would not
        except EngineError as error:
            logger.warning("CUDA graphs are not used, kernels are launched one by one: %s", error)
            for slot in self._slots:
                slot.drain()
                slot.forget_graph()
            # A failed capture leaves its stream unusable.
            self._streams.compute = self.hold(self._device.stream("compute"))
            return False
        return True

    def _release(self) -> None:
        """Release everything, the latest first; errors of a failed device are logged."""
        while self._held:
            give_back = self._held.pop()
            try:
                with self._device.current():
                    give_back()
            except EngineError as error:
                logger.warning("while the engine was closed: %s", error)
        try:
            self._device.close()
        except EngineError as error:
            logger.warning("while the engine was closed: %s", error)
