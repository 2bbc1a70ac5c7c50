"""A device that is none: host memory, a virtual clock, failures on request, and an eye for misuse.

Work is queued as on the real thing and done as late as possible: when the host waits for an event, only what
that event depends on is done. So whoever looks too early sees poison, and what is not ordered by streams,
events or the host is found by vector clocks, whatever the order it happened to run in.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragon_stream.device import Argument, DeviceInfo, DevicePlane, Size3
from paragon_stream.errors import DeviceMemoryError, EngineError

UNINITIALISED = 0xCD
UNDER_WAY = 0xA5
_GAP = 1 << 20  # between allocations, so that nothing is a little beyond anything

type Clock = dict[int, int]
"""Stream number → how many of its operations have certainly happened before."""


class Misuse(AssertionError):
    """Something that the real device would not notice, and that would be wrong now and then."""


@dataclass(frozen=True)
class FakeKernel:
    """`run` gets the arguments; pointers come as the bytes from there to the end of their allocation."""

    run: Callable[..., None]
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    seconds: float = 2.0
    name: str = ""


@dataclass(eq=False)
class FakeResource:
    kind: str
    handle: int
    name: str = ""
    size: int = 0
    array: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    accesses: list[Access] = field(default_factory=list)
    clock: Clock = field(default_factory=dict)
    time: float = 0.0
    timed: bool = False
    recorded: list[Operation] | None = None
    """The work that a stream has captured so far, or that a graph contains."""


@dataclass(frozen=True)
class Access:
    begin: int
    end: int
    stream: int
    number: int
    writes: bool
    what: str


@dataclass(frozen=True)
class Operation:
    """`touches` are (memory, first byte, last byte + 1, writes)."""

    name: str
    seconds: float
    touches: tuple[tuple[FakeResource, int, int, bool], ...]
    begin: Callable[[], Callable[[], None]]
    """Called when it is queued; returns what is called when it is done."""


@dataclass(frozen=True)
class Span:
    """One operation on the virtual timeline."""

    stream: str
    name: str
    begin: float
    end: float


class FakeHost:
    """The shared parts of the devices of one machine: the host's memory, its clocks, and numbers for
    everything."""

    def __init__(self) -> None:
        self.handles = itertools.count(1)
        self.memory: list[FakeResource] = []
        self.clock: Clock = {}
        self.time: dict[int, float] = {}
        """Each host thread has a clock of its own, which the events it waits for push on."""
        self.failed = False
        """Whether any device has, whose work nobody can wait for then."""


class FakeDevice:
    """See `Device`. `calls` are the names of all calls; the one numbered `fail_at` raises EngineError.

    `broken_after` makes every later call but `release` and `close` fail too and drops what was queued, as a
    lost device does. Copies take `copy_seconds` (a number per copy, or a function of the bytes), kernels what
    they say. Devices of one machine have the same `host`.
    """

    def __init__(
        self,
        kernels: Mapping[str, FakeKernel] | None = None,
        *,
        memory_limit: int | None = None,
        fail_at: int | None = None,
        broken_after: bool = False,
        copy_seconds: float | Callable[[int], float] = 1.0,
        refuses: frozenset[str] = frozenset(),
        host: FakeHost | None = None,
        ordinal: int = 0,
    ) -> None:
        self.info = DeviceInfo(
            name="Fake GPU",
            ordinal=ordinal,
            compute_capability=(8, 9),
            memory=1 << 30,
            multiprocessors=16,
            driver="13.0",
        )
        self.kernels = dict(kernels or {})
        self.memory_limit, self.fail_at, self.broken_after = memory_limit, fail_at, broken_after
        self.refuses = refuses
        self.calls: list[str] = []
        self.timeline: list[Span] = []
        self.misuse: list[str] = []
        self.live: list[FakeResource] = []
        self.closed = False
        self.peak_memory = 0
        self._default = FakeResource("stream", 0, "default")
        self._copy_seconds = copy_seconds if callable(copy_seconds) else lambda bytes: copy_seconds
        self.host = host or FakeHost()
        self._address = 1 << 32
        self._pending: list[tuple[int, int, Callable[[], None]]] = []
        self._error: EngineError | None = None
        self._failed = False
        self._inside = threading.local()
        self._lock = threading.RLock()

    # What tests ask.

    @property
    def memory(self) -> int:
        return sum(r.size for r in self.live if r.kind == "memory")

    def busy(self, stream: str) -> float:
        return sum(span.end - span.begin for span in self.timeline if span.stream == stream)

    @property
    def makespan(self) -> float:
        return max(s.end for s in self.timeline) - min(s.begin for s in self.timeline)

    # Lasting things.

    @contextmanager
    def current(self) -> Iterator[None]:
        if self.closed:
            raise EngineError("the device is closed")
        depth = getattr(self._inside, "depth", 0)
        self._inside.depth = depth + 1
        try:
            yield
        finally:
            self._inside.depth = depth

    def free_memory(self) -> int:
        self._enter("free_memory")
        return (self.memory_limit or self.info.memory) - self.memory

    def allocate(self, size: int) -> FakeResource:
        self._enter("allocate")
        with self._lock:
            if size <= 0:
                self._wrong(f"{size} bytes were allocated")
            if self.memory_limit is not None and self.memory + size > self.memory_limit:
                raise DeviceMemoryError(f"CUDA: out of memory ({size} bytes)")
            made = self._make("memory", size=size, array=np.full(size, UNINITIALISED, np.uint8))
            made.handle, self._address = self._address, self._address + -(-size // _GAP) * _GAP + _GAP
            self.peak_memory = max(self.peak_memory, self.memory)
            return made

    def allocate_host(self, size: int) -> FakeResource:
        self._enter("allocate_host")
        made = self._make("host", size=size, array=np.zeros(size, np.uint8))
        made.handle = made.array.ctypes.data
        self.host.memory.append(made)
        return made

    def stream(self, name: str) -> FakeResource:
        self._enter("stream")
        return self._make("stream", name=name)

    def default_stream(self) -> FakeResource:
        return self._default

    def event(self, *, timed: bool = False) -> FakeResource:
        self._enter("event")
        return self._make("event", timed=timed)

    def load(self, image: bytes) -> FakeResource:
        self._enter("load")
        return self._make("module", name=image.decode())

    def kernel(self, module: Any, name: str, *, shared_bytes: int = 0) -> FakeKernel:
        self._enter("kernel")
        self._alive(module)
        if name not in self.kernels:
            raise EngineError(f"CUDA: named symbol not found ({name})")
        kernel = self.kernels[name]
        return FakeKernel(kernel.run, kernel.reads, kernel.writes, kernel.seconds, name)

    def release(self, resource: Any) -> None:
        with self._lock:
            self._enter("release")
            if resource not in self.live:
                self._wrong(f"{resource.kind} {resource.name} was released twice")
            for access in resource.accesses:
                if not self._happened(access, self.host.clock) and not self.host.failed:
                    self._wrong(f"{resource.kind} was released while {access.what} may use it")
            self.live.remove(resource)
            if resource in self.host.memory:
                self.host.memory.remove(resource)

    # Queued things.

    def upload(self, source: NDArray[Any], target: DevicePlane, stream: Any) -> None:
        self._enter("upload")
        host, bytes_ = self._pinned(source), source.reshape(-1).view(np.uint8)
        memory, start = self._find(target.pointer)
        rows = _rows(memory, start, target)

        def begin() -> Callable[[], None]:
            before = bytes_.copy()

            def done() -> None:
                if not np.array_equal(before, bytes_):
                    self._wrong("a host buffer was changed while it was being uploaded")
                rows[:] = before.reshape(rows.shape)

            return done

        touches = (*_host_touch(host, source, False), (memory, start, start + _extent(target), True))
        self._queue(Operation("upload", self._copy_seconds(source.nbytes), touches, begin), stream)

    def download(self, source: DevicePlane, target: NDArray[Any], stream: Any) -> None:
        self._enter("download")
        host, bytes_ = self._pinned(target), target.reshape(-1).view(np.uint8)
        memory, start = self._find(source.pointer)
        rows = _rows(memory, start, source)

        def begin() -> Callable[[], None]:
            bytes_[:] = UNDER_WAY

            def done() -> None:
                if (bytes_ != UNDER_WAY).any():
                    self._wrong("a host buffer was written into while it was being downloaded to")
                bytes_[:] = rows.reshape(-1)

            return done

        touches = ((memory, start, start + _extent(source), False), *_host_touch(host, target, True))
        self._queue(Operation("download", self._copy_seconds(target.nbytes), touches, begin), stream)

    def move(self, source: DevicePlane, target: DevicePlane, stream: Any) -> None:
        self._enter("move")
        (memory, start), (other, there) = self._find(source.pointer), self._find(target.pointer)
        rows, results = _rows(memory, start, source), _rows(other, there, target)
        touches = (
            (memory, start, start + _extent(source), False),
            (other, there, there + _extent(target), True),
        )
        run = lambda: lambda: np.copyto(results, rows)  # noqa: E731
        self._queue(Operation("move", self._copy_seconds(rows.size) / 8, touches, run), stream)

    def clear(self, pointer: int, words: int, stream: Any) -> None:
        self._enter("clear")
        memory, start = self._find(pointer)
        piece = memory.array[start : start + 4 * words]
        touches = ((memory, start, start + 4 * words, True),)
        self._queue(Operation("clear", 0.0, touches, lambda: lambda: piece.fill(0)), stream)

    def launch(
        self,
        kernel: Any,
        *,
        grid: Size3,
        block: Size3,
        shared_bytes: int,
        arguments: Sequence[Argument],
        stream: Any,
    ) -> None:
        self._enter("launch")
        found = {i: self._find(a) for i, a in enumerate(arguments) if isinstance(a, int)}
        for index in (*kernel.reads, *kernel.writes):
            if index not in found:
                self._wrong(f"argument {index} of {kernel.name} is no pointer")
        values = [found[i][0].array[found[i][1] :] if i in found else a for i, a in enumerate(arguments)]
        touches = tuple(
            (found[i][0], found[i][1], found[i][0].size, i in kernel.writes)
            for i in dict.fromkeys((*kernel.reads, *kernel.writes))
        )
        run = lambda: lambda: kernel.run(*values)  # noqa: E731
        self._queue(Operation(kernel.name or "kernel", kernel.seconds, touches, run), stream)

    def record(self, event: Any, stream: Any) -> None:
        self._enter("record")
        self._alive(event, stream)
        with self._lock:
            if stream.recorded is not None:
                self._wrong("an event was recorded into a capture")
            event.clock, event.time = dict(stream.clock), max(stream.time, self._now)

    def wait(self, event: Any, stream: Any) -> None:
        self._enter("wait")
        self._alive(event, stream)
        with self._lock:
            _merge(stream.clock, event.clock)
            stream.time = max(stream.time, event.time)

    def begin_capture(self, stream: Any) -> None:
        self._enter("begin_capture")
        self._alive(stream)
        stream.recorded = []

    def end_capture(self, stream: Any) -> FakeResource:
        recorded, stream.recorded = stream.recorded, None
        self._enter("end_capture")
        if recorded is None:
            raise EngineError("CUDA: the stream is not capturing")
        return self._make("graph", recorded=recorded)

    def launch_graph(self, graph: Any, stream: Any) -> None:
        self._enter("launch_graph")
        self._alive(graph, stream)
        for operation in graph.recorded:
            self._queue(operation, stream)

    def synchronize(self, event: Any) -> None:
        self._enter("synchronize")
        self._alive(event)
        with self._lock:
            left = []
            for stream, number, done in self._pending:
                if number > event.clock.get(stream, 0):
                    left.append((stream, number, done))
                    continue
                try:
                    done()
                except EngineError as error:
                    self._error = self._error or error
            self._pending = left
            _merge(self.host.clock, event.clock)
            self.host.time[threading.get_ident()] = max(self._now, event.time)
            for resource in (*self.live, *self.host.memory):
                resource.accesses = [a for a in resource.accesses if not self._happened(a, self.host.clock)]
            if self._error is not None:
                raise self._error

    def elapsed(self, start: Any, end: Any) -> float:
        self._enter("elapsed")
        if not (start.timed and end.timed):
            raise EngineError("CUDA: invalid resource handle (an event without timing)")
        return float(np.float32(1000 * (end.time - start.time))) / 1000  # what CUDA gives: float32 ms

    def has_happened(self, event: Any) -> bool:
        self._enter("has_happened")
        self._alive(event)
        return bool(event.time <= self._now)

    def close(self) -> None:
        self.calls.append("close")
        self.closed = True

    # Inside.

    @property
    def _now(self) -> float:
        return self.host.time.get(threading.get_ident(), 0.0)

    def _enter(self, kind: str) -> None:
        with self._lock:
            number = len(self.calls)
            self.calls.append(kind)
            if self.closed:
                self._wrong(f"{kind} was called after close")
            if not getattr(self._inside, "depth", 0):
                self._wrong(f"{kind} was called outside current()")
            lost = self.broken_after and self._failed and kind != "release"
            if number == self.fail_at or lost or kind in self.refuses:
                self._failed = self.host.failed = True
                if self.broken_after:
                    self._abort()
                raise EngineError(f"CUDA: injected failure at call {number} ({kind})")

    def _abort(self) -> None:
        """A lost device does nothing any more, not even what was queued."""
        self._pending.clear()
        mine = {each.handle for each in self.live if each.kind == "stream"}
        for resource in (*self.live, *self.host.memory):
            resource.accesses = [access for access in resource.accesses if access.stream not in mine]

    def _make(self, kind: str, **facts: Any) -> FakeResource:
        with self._lock:
            made = FakeResource(kind, next(self.host.handles), **facts)
            self.live.append(made)
            return made

    def _alive(self, *resources: FakeResource) -> None:
        for resource in resources:
            if resource not in (*self.live, *self.host.memory, self._default):
                self._wrong(f"{resource.kind} {resource.name} was used after its release")

    def _find(self, pointer: int) -> tuple[FakeResource, int]:
        for each in self.live:
            if each.kind == "memory" and each.handle <= pointer < each.handle + each.size:
                return each, pointer - each.handle
        self._wrong(f"{pointer:#x} points at nothing")
        raise AssertionError

    def _pinned(self, array: NDArray[Any]) -> FakeResource:
        address = array.ctypes.data
        for each in self.host.memory:
            if each.handle <= address <= each.handle + each.size - array.nbytes:
                return each
        self._wrong("pageable memory was handed to an asynchronous copy")
        raise AssertionError

    def _queue(self, operation: Operation, stream: FakeResource) -> None:
        self._alive(stream, *(memory for memory, *_ in operation.touches))
        if stream.recorded is not None:
            stream.recorded.append(operation)
            return
        with self._lock:
            _merge(stream.clock, self.host.clock)
            number = stream.clock.get(stream.handle, 0) + 1
            stream.clock[stream.handle] = number
            what = f"{operation.name} in stream {stream.name}"
            for memory, begin, end, writes in operation.touches:
                for other in memory.accesses:
                    overlap = other.begin < end and begin < other.end and (writes or other.writes)
                    if overlap and not self._happened(other, stream.clock):
                        self._wrong(f"{what} and {other.what} use the same bytes at the same time")
                memory.accesses.append(Access(begin, end, stream.handle, number, writes, what))
            start = max(stream.time, self._now)
            stream.time = start + operation.seconds
            self.timeline.append(Span(stream.name, operation.name, start, stream.time))
            self._pending.append((stream.handle, number, operation.begin()))

    @staticmethod
    def _happened(access: Access, clock: Clock) -> bool:
        return access.number <= clock.get(access.stream, 0)

    def _wrong(self, what: str) -> None:
        self.misuse.append(what)
        raise Misuse(what)


def _merge(clock: Clock, other: Clock) -> None:
    for stream, number in other.items():
        clock[stream] = max(clock.get(stream, 0), number)


def _extent(plane: DevicePlane) -> int:
    return plane.pitch * (plane.rows - 1) + plane.row_bytes


def _rows(memory: FakeResource, start: int, plane: DevicePlane) -> NDArray[np.uint8]:
    """The plane's bytes, (rows, row_bytes), as a view."""
    if start + _extent(plane) > memory.size:
        raise Misuse("a copy runs beyond its memory")
    flat = memory.array[start:]
    return np.lib.stride_tricks.as_strided(flat, (plane.rows, plane.row_bytes), (plane.pitch, 1))


def _host_touch(
    host: FakeResource, array: NDArray[Any], writes: bool
) -> tuple[tuple[FakeResource, int, int, bool], ...]:
    begin = array.ctypes.data - host.handle
    return ((host, begin, begin + array.nbytes, writes),)
