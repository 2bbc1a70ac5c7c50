"""The engine `native`: our own kernels on the CPU (docs/cpu.md). Needs the compiled library, no package."""

from __future__ import annotations

import functools
import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.native.emit import NativeProgram, emit_native, refusal
from paragon_stream.framejob.native.weights import Packing
from paragon_stream.native import abi
from paragon_stream.native.library import Kernels, kernels
from paragon_stream.pipeline.slot import Completion
from paragon_stream.runtimes.base import Flavour, Plane, Precision, Session, SessionOptions
from paragon_stream.runtimes.buffers import check_planes
from paragon_stream.runtimes.cpu import check_device, cores, in_words

logger = logging.getLogger(__name__)

_STRIP = 512
"""Columns that one task computes, about: its maps' rows should stay in a core's own cache."""

_LEAST_BAND = 64
"""Rows below which a frame is not split further: a band computes `reach` rows on either side again."""


class NativeRuntime:
    """Frame jobs by our own kernels, in fp32 or, where the CPU multiplies them faster, bf16."""

    name = "native"

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """Raises EngineError without kernels for this CPU, for the job, or in the precision."""
        check_device(self.name, options)
        chosen = form_for(options.precision)
        session = NativeSession(job, chosen, options.threads or cores(), options.flavour)
        logger.info("engine: native, %s, %s", session.precision, session.device)
        return session


def drawback(job: FrameJob, options: SessionOptions) -> str:
    """Why another engine is the better choice for `job` on this CPU; "" if none is."""
    if reason := refusal(job):
        return reason
    try:
        form_for(options.precision)
    except EngineError as error:
        return str(error)
    return ""


def form_for(precision: Precision) -> Kernels:
    """The fastest form of that precision that this CPU has. Raises EngineError."""
    for each in reversed(kernels()):
        fits = each.is_fast if precision is Precision.AUTO else _precision(each) is precision
        if fits:
            return each
    raise EngineError(f"the engine native does not compute in {precision} on this CPU")


def _precision(chosen: Kernels) -> Precision:
    return Precision.FP32 if chosen.form.operands == 1 else Precision.BF16


class NativeSession:
    """See `Session`. A pool of threads works on frames, each frame split into tasks."""

    engine = "native"

    def __init__(self, job: FrameJob, chosen: Kernels, threads: int, flavour: Flavour) -> None:
        self.job = job
        self.precision = _precision(chosen)
        self.device = f"{in_words(threads)}, {chosen.form.name}"
        self._kernels = chosen
        self._program = emit_native(job, Packing(block=chosen.block, channels=chosen.form.operands))
        together = flavour is Flavour.LATENCY
        self.in_flight = 1 if together else threads
        self._tasks = tasks(self._program, threads if together else 1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="native")
        self._splits = together and threads > 1
        self._room = threading.BoundedSemaphore(self.in_flight)
        self._lock = threading.Lock()
        self._own = threading.local()
        self._closed = False

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        check_planes(inputs, self.job.source)
        check_planes(outputs, self.job.target)
        self._room.acquire()
        try:
            with self._lock:
                if self._closed:
                    raise EngineError("the session is closed")
                return self._start(inputs, outputs, strength)
        except BaseException:
            self._room.release()
            raise

    def _start(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float) -> Completion:
        frame = _Frame(self._program, inputs, outputs, strength)
        parts = [[task] for task in self._tasks] if self._splits else [self._tasks]
        run = _Run(self._room)
        run.begin(self._pool, [functools.partial(self._compute, frame, part) for part in parts])
        return run

    def _compute(self, frame: _Frame, part: Sequence[abi.Task]) -> None:
        entry, program = self._kernels.entry, self._program.program
        for task in part:
            entry.realtime(program, frame.frame, task, self._scratch(task))

    def _scratch(self, task: abi.Task) -> int:
        """The address of this thread's memory for `task`, which is kept for the next."""
        size = self._kernels.entry.realtime_scratch(self._program.program, task)
        memory = getattr(self._own, "memory", None)
        if memory is None or memory.nbytes < size + 64:
            memory = self._own.memory = np.zeros(size + 64, np.uint8)
        address = int(memory.ctypes.data)
        return address + -address % 64

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=True)


class _Frame:
    """One frame's planes as the kernels take them; keeps the arrays alive."""

    def __init__(
        self, program: NativeProgram, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float
    ) -> None:
        job = program.job
        self._kept = (inputs, outputs, program.first_bias(strength))
        self._inputs = _views(inputs, job.source, [plane.component for plane in program.inputs])
        self._outputs = _views(outputs, job.target, [plane.component for plane in program.outputs])
        self.frame = abi.Frame(
            inputs=self._inputs, outputs=self._outputs, first_bias=self._kept[2].ctypes.data
        )
        pixels = job.target.pixel_format
        for array, held in zip(outputs, pixels.stored, strict=True):
            for position, component in enumerate(held):
                if component not in job.all_outputs:  # padding, and alpha where the source has none
                    part = array[..., position] if len(held) > 1 else array
                    part[...] = pixels.peak << pixels.shift


def _views(planes: Sequence[Plane], format: FrameFormat, components: Sequence[int]) -> Any:
    """`Plane`s of the components, in that order."""
    pixels = format.pixel_format
    size = pixels.bytes_per_sample
    found = {}
    for array, held in zip(planes, pixels.stored, strict=True):
        for position, component in enumerate(held):
            found[component] = abi.Plane(
                samples=array.ctypes.data + position * size,
                row_bytes=array.strides[0],
                step=len(held) * size,
                bytes=size,
                shift=pixels.shift,
                rows=array.shape[0],
                columns=array.shape[1],
            )
    return (abi.Plane * len(components))(*(found[component] for component in components))


class _Run:
    """The completion of one frame: of all its parts."""

    def __init__(self, room: threading.BoundedSemaphore) -> None:
        self._room = room
        self._parts: list[Future[None]] = []
        self._left = 0
        self._lock = threading.Lock()

    def begin(self, pool: ThreadPoolExecutor, work: Sequence[Callable[[], None]]) -> None:
        self._left = len(work)
        for each in work:
            part = pool.submit(each)
            self._parts.append(part)
            part.add_done_callback(self._one_less)

    def _one_less(self, _: Future[None]) -> None:
        with self._lock:
            self._left -= 1
            over = self._left == 0
        if over:
            self._room.release()

    def wait(self) -> None:
        for part in self._parts:
            part.result()


def tasks(program: NativeProgram, threads: int) -> list[abi.Task]:
    """The frame in strips of columns, and for several threads in bands of rows too."""
    width, height = program.program.width, program.program.height
    strips = max(1, round(width / _STRIP))
    bands = 1
    while strips * bands % threads and height // (bands + 1) >= _LEAST_BAND:
        bands += 1
    return [
        abi.Task(left=left, right=right, top=top, bottom=bottom)
        for left, right in _cuts(width, strips, program.step[1])
        for top, bottom in _cuts(height, bands, program.step[0])
    ]


def _cuts(size: int, parts: int, step: int) -> list[tuple[int, int]]:
    """`size` in about equal parts that begin at multiples of `step`."""
    edges = [round(size * part / parts / step) * step for part in range(parts)] + [size]
    return [(begin, end) for begin, end in itertools.pairwise(edges) if begin < end]


RUNTIME = NativeRuntime()
