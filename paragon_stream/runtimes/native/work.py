"""Divides the work on a frame among the threads of the engine `native`."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.native.emit import NativeProgram
from paragon_stream.native import abi
from paragon_stream.runtimes import tiles
from paragon_stream.runtimes.base import Flavour, Plane
from paragon_stream.runtimes.cpu import cores_differ
from paragon_stream.runtimes.native.frame import NativeFrame, Stage, fill_padding, views

_STRIP = 512
"""Approximate number of columns of one part for Realtime: its maps' rows should fit a core's own cache."""

_RANGE = 400
"""Approximate number of columns of one part for a block of Stream: its widest maps should fit a cache."""

_LEAST_BAND = 64
"""Least number of rows of a band: a band of Realtime computes 14 additional rows."""

_FINER = 3
"""Parts for each thread where cores differ."""

_LINE = 64


class Memory:
    """Scratch memory of each thread, reused for the next part. It is zeroed at first, so that kernels read no
    NaN."""

    def __init__(self) -> None:
        self._own = threading.local()

    def address(self, size: int) -> int:
        held: NDArray[np.uint8] | None = getattr(self._own, "memory", None)
        if held is None or held.nbytes < size + _LINE:
            held = self._own.memory = np.zeros(size + _LINE, np.uint8)
        return aligned(held)


def aligned(memory: NDArray[np.uint8]) -> int:
    """The first address in `memory` on a cache line."""
    address = int(memory.ctypes.data)
    return address + -address % _LINE


type Stages = Callable[[Sequence[Plane], Sequence[Plane], float], Generator[Stage]]
"""The stages of one frame, from its planes, the target's planes and the strength."""


class Work(Protocol):
    """The work on every frame of a program."""

    program: NativeProgram
    in_flight: int
    """Frames that can be computed at once."""

    def stages_of(self, frame: NativeFrame) -> Generator[Stage]:
        """The stages of `frame`."""


def stages_into(
    work: Work, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float
) -> Generator[Stage]:
    """The stages of a frame whose results are the target's samples."""
    program = work.program
    components = [plane.component for plane in program.outputs]
    planes = views(outputs, program.job.target, components)
    fill_padding(program.job, outputs)
    yield from work.stages_of(NativeFrame(program, inputs, planes, strength))


class RealtimeWork:
    """One stage: strips of columns, and if several threads share one frame, bands of rows too."""

    def __init__(self, program: NativeProgram, entry: abi.Form, threads: int, flavour: Flavour) -> None:
        self.program = program
        self._entry = entry
        self._memory = Memory()
        together = flavour is Flavour.LATENCY
        self.in_flight = 1 if together else threads
        width, height = program.program.width, program.program.height
        strips = max(1, round(width / _STRIP))
        bands = _bands(height, strips, threads) if together else 1
        tasks = [
            abi.Task(left=left, right=right, top=top, bottom=bottom)
            for left, right in cuts(0, width, strips, program.step[1])
            for top, bottom in cuts(0, height, bands, program.step[0])
        ]
        # Several frames in flight: one thread for each.
        self._parts = [[task] for task in tasks] if together else [tasks]

    def stages_of(self, frame: NativeFrame) -> Generator[Stage]:
        yield [functools.partial(self._compute, frame, part) for part in self._parts]

    def _compute(self, frame: NativeFrame, tasks: list[abi.Task]) -> None:
        run, program = self._entry.realtime, self.program.program
        for task in tasks:
            run(program, frame.frame, task, self._memory.address(run(program, None, task, None)))


class StreamWork:
    """A stage for conv_in, one for each block, and one for the rest; whole feature maps are stored between
    them."""

    def __init__(self, program: NativeProgram, entry: abi.Form, threads: int, flavour: Flavour) -> None:
        self.program = program
        self._entry = entry
        self._memory = Memory()
        self._plan = abi.StreamPlan()
        entry.stream_plan(program.program, self._plan)
        # A second frame in flight keeps threads busy at the ends of stages.
        room = tiles.WORKING_SET // (2 * self._plan.map_bytes)
        self.in_flight = 1 if flavour is Flavour.LATENCY else max(1, min(2, threads, room))
        self._maps: SimpleQueue[list[NDArray[np.uint8]]] = SimpleQueue()
        for _ in range(self.in_flight):
            self._maps.put([np.zeros(self._plan.map_bytes + _LINE, np.uint8) for _ in range(2)])
        self._passes = [self._tasks(number, threads) for number in range(self._plan.passes)]

    def _tasks(self, number: int, threads: int) -> list[abi.Task]:
        whole = abi.Task()
        self._entry.stream_rows(self.program.program, number, whole)
        ranges = 1
        if 0 < number < self._plan.passes - 1:
            ranges = max(1, round(self._plan.vectors * self._entry.lanes / _RANGE))
        bands = _bands(whole.bottom - whole.top, ranges, threads)
        step = self.program.step[0] if number == self._plan.passes - 1 else 1
        return [
            abi.Task(left=left, right=right, top=top, bottom=bottom)
            for left, right in cuts(0, self._plan.vectors, ranges, 1)
            for top, bottom in cuts(whole.top, whole.bottom, bands, step)
        ]

    def stages_of(self, frame: NativeFrame) -> Generator[Stage]:
        pair = self._maps.get()
        try:
            maps = [aligned(each) for each in pair]
            for number, tasks in enumerate(self._passes):
                come, made = maps[(number + 1) % 2], maps[number % 2]
                yield [functools.partial(self._compute, frame, number, task, come, made) for task in tasks]
                if number < len(self._passes) - 1:
                    whole = abi.Task()
                    self._entry.stream_rows(self.program.program, number, whole)
                    self._entry.stream_close(self.program.program, whole, made)
        finally:
            self._maps.put(pair)

    def _compute(self, frame: NativeFrame, number: int, task: abi.Task, come: int, made: int) -> None:
        run: Callable[..., int] = self._entry.stream_pass
        program = self.program.program
        size = run(program, frame.frame, number, task, come, made, None)
        run(program, frame.frame, number, task, come, made, self._memory.address(size))


def _bands(height: int, columns: int, threads: int) -> int:
    """The number of bands for `height` rows in `columns` strips, so that all threads get equal work; several
    parts each if cores differ, because a fast core then computes more parts than a slow one."""
    parts = threads * (_FINER if cores_differ() else 1)
    bands = 1
    while columns * bands % parts and height // (bands + 1) >= _LEAST_BAND:
        bands += 1
    return bands


def cuts(begin: int, end: int, parts: int, step: int) -> list[tuple[int, int]]:
    """begin … end in nearly equal parts, whose inner edges are at multiples of `step` from the beginning."""
    size = end - begin
    edges = [begin + round(size * part / parts / step) * step for part in range(parts)] + [end]
    return [(first, last) for first, last in itertools.pairwise(edges) if first < last]
