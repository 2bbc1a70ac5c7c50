"""Frames of the engine `native` whose target is not the network's result: resized afterwards, with bars."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.native.emit import NativeProgram
from paragon_stream.framejob.native.resize import NativeResize, emit_resizes
from paragon_stream.native import abi
from paragon_stream.runtimes import tiles
from paragon_stream.runtimes.base import Flavour, Plane
from paragon_stream.runtimes.native.frame import NativeFrame, Stage, fill_padding, views
from paragon_stream.runtimes.native.work import Memory, Work, aligned, cuts

_LANES = 16
"""Rows of floats have room for the widest vectors."""


class ResizedWork:
    """The stages of another work, into floats, and one that resizes these in bands of rows."""

    def __init__(self, job: FrameJob, work: Work, entry: abi.Form, threads: int, flavour: Flavour) -> None:
        """`work` computes `at_network_scale(job)`."""
        self._job = job
        self._work = work
        self._entry = entry
        self._memory = Memory()
        self._resizes = emit_resizes(job)
        first = _LargeFrame(work.program)
        self.in_flight = max(1, min(work.in_flight, tiles.WORKING_SET // first.nbytes))
        self._large: SimpleQueue[_LargeFrame] = SimpleQueue()
        self._large.put(first)
        for _ in range(self.in_flight - 1):
            self._large.put(_LargeFrame(work.program))
        # Several frames in flight: one thread for each.
        self._bands = threads if flavour is Flavour.LATENCY else 1

    @property
    def program(self) -> NativeProgram:
        return self._work.program

    def stages(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float) -> Generator[Stage]:
        large = self._large.get()
        try:
            frame = NativeFrame(self.program, inputs, large.planes, strength)
            yield from self._work.stages_of(frame)
            fill_padding(self._job, outputs)
            tiles.fill_bars(self._job, outputs)
            yield list(self._parts(large, outputs))
        finally:
            self._large.put(large)

    def _parts(self, large: _LargeFrame, outputs: Sequence[Plane]) -> Generator[Callable[[], None]]:
        components = [each.plane.component for each in self._resizes]
        planes = views(outputs, self._job.target, components)
        for band in range(self._bands):
            yield functools.partial(self._resize, large, planes, band)

    def _resize(self, large: _LargeFrame, planes: Sequence[abi.Plane], band: int) -> None:
        """One band of every plane."""
        run = self._entry.resize
        for resize, came, made in zip(self._resizes, large.planes, planes, strict=True):
            to = _without_bars(made, resize)
            bands = cuts(0, to.rows, self._bands, 1)
            if band < len(bands):
                task = abi.Task(top=bands[band][0], bottom=bands[band][1])
                how = resize.structure
                run(how, came, to, task, self._memory.address(run(how, came, to, task, None)))


class _LargeFrame:
    """A frame at the network's scale: one plane of floats for each component."""

    def __init__(self, program: NativeProgram) -> None:
        self._memory: list[NDArray[np.uint8]] = []
        self.planes = [self._plane(*plane.size) for plane in program.outputs]

    @property
    def nbytes(self) -> int:
        return sum(memory.nbytes for memory in self._memory)

    def _plane(self, rows: int, columns: int) -> abi.Plane:
        pitch = 4 * (-(-columns // _LANES) * _LANES)
        memory = np.zeros(rows * pitch + 64, np.uint8)
        self._memory.append(memory)
        return abi.Plane(
            samples=aligned(memory), row_bytes=pitch, step=4, bytes=4, rows=rows, columns=columns
        )


def _without_bars(plane: abi.Plane, resize: NativeResize) -> abi.Plane:
    """The part of `plane` that the picture covers."""
    (above, _), (left, _) = resize.plane.bars
    rows, columns = (axis.size for axis in resize.plane.resampling)
    return abi.Plane(
        samples=plane.samples + above * plane.row_bytes + left * plane.step,
        row_bytes=plane.row_bytes,
        step=plane.step,
        bytes=plane.bytes,
        shift=plane.shift,
        rows=rows,
        columns=columns,
    )
