"""One frame in the engine `native`: its planes in the kernels' structures, and its completion."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor
from typing import Any

from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.native.emit import NativeProgram
from paragon_stream.native import abi
from paragon_stream.runtimes.base import Plane

type Stage = Sequence[Callable[[], None]]
"""Parts of the work on a frame that can run in any order; all must end before the next stage."""


class NativeFrame:
    """The structures of one frame; keeps its arrays alive."""

    def __init__(
        self, program: NativeProgram, inputs: Sequence[Plane], outputs: Sequence[abi.Plane], strength: float
    ) -> None:
        """`outputs` are the planes of the components, in the program's order."""
        bias = program.first_bias(strength)
        components = [plane.component for plane in program.inputs]
        came = _array(views(inputs, program.job.source, components))
        made = _array(outputs)
        self._kept = (inputs, outputs, bias, came, made)
        self.frame = abi.Frame(inputs=came, outputs=made, first_bias=bias.ctypes.data)


def fill_padding(job: FrameJob, outputs: Sequence[Plane]) -> None:
    """Padding, and alpha if the source has none, have the peak value."""
    pixels = job.target.pixel_format
    for array, held in zip(outputs, pixels.stored, strict=True):
        for position, component in enumerate(held):
            if component not in job.all_outputs:
                part = array[..., position] if len(held) > 1 else array
                part[...] = pixels.peak << pixels.shift


def views(planes: Sequence[Plane], format: FrameFormat, components: Sequence[int]) -> list[abi.Plane]:
    """The planes of the components, in that order. They do not keep the arrays alive."""
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
    return [found[component] for component in components]


def _array(planes: Sequence[abi.Plane]) -> Any:
    return (abi.Plane * len(planes))(*planes)


class NativeRun:
    """The completion of one frame. Its stages run in sequence; the pool's threads share each stage."""

    def __init__(self, pool: Executor, stages: Generator[Stage], over: Callable[[], None]) -> None:
        """`over` is called once, when the frame is finished, failed or cancelled."""
        self._pool = pool
        self._stages = stages
        self._over = over
        self._left = 0
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._done = threading.Event()

    def begin(self) -> None:
        self._next()

    def wait(self) -> None:
        self._done.wait()
        if self._error is not None:
            raise self._error

    def _next(self) -> None:
        """Submit the next stage. Called by the thread that finished the one before."""
        try:
            if self._error:
                self._stages.close()
            if stage := next(self._stages, None):
                self._left = len(stage)
                for part in stage:
                    self._pool.submit(self._do, part)
                return
        except BaseException as error:
            self._error = error
        self._done.set()
        self._over()

    def _do(self, part: Callable[[], None]) -> None:
        try:
            part()
        except BaseException as error:
            self._error = error
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._next()
