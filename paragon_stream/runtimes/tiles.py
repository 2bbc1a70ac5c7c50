"""Computes frames that are too large to be computed at once, in tiles.

A tile whose origin lies on all grids and which has the job's context gives the same samples as the whole
frame, so there are no seams (up to the order of sums: a value half-way between two codes may be rounded
either way). Networks that depend on the whole frame, such as Pro by its means, are not computed in tiles. If
a job resizes its result, tiles give unrounded samples, and this module resamples each part of the target
with the filters of the whole frame's graph.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Container, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import EngineError
from paragon_stream.framejob.components import OutputPlane
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.planes import Plane, allocate_planes
from paragon_stream.number_text import size as as_text
from paragon_stream.pipeline.slot import DONE, Completion
from paragon_stream.runtimes.base import Session
from paragon_stream.runtimes.buffers import check_planes
from paragon_stream.runtimes.cpu import free_memory

type Array = NDArray[Any]

logger = logging.getLogger(__name__)

WORKING_SET = 4 << 30
"""Bytes of feature maps, over all frames in flight, beyond which a session takes fewer frames or tiles."""


def in_tiles_if_large(job: FrameJob, compile_whole: Callable[[FrameJob], Session]) -> Session:
    """The session of `job`, in tiles if the frame's feature maps would need more than `WORKING_SET`.

    A network that depends on the whole frame may use all memory that is free. Raises EngineError if that is
    too little.
    """
    if job.working_set <= WORKING_SET:
        return compile_whole(job)
    if job.spec.sees_whole_frame:
        free = free_memory()
        if free is not None and job.working_set > free:
            raise EngineError(needs_whole_frame(job, f"and {as_text(free)} are free"))
        return compile_whole(job)
    rows, columns = tile_size(job, WORKING_SET)
    return TiledSession(job, rows, columns, compile_whole)


def needs_whole_frame(job: FrameJob, shortage: str) -> str:
    """The message for a frame that would need tiles with a network that does not allow them."""
    return (
        f"{job.source} needs about {as_text(job.working_set)} of memory, {shortage}; {job.spec} depends on "
        "the whole frame, which therefore cannot be computed in tiles"
    )


class Span(NamedTuple):
    """A tile along one axis: its beginning, and the samples [first, last) that are taken from it."""

    begin: int
    first: int
    last: int


def spans(size: int, tile: int, margin: int, cell: int) -> list[Span]:
    """Tiles of `tile` samples that cover `size`, each with `margin` samples of context inside the frame.

    All begin at multiples of `cell`, and `margin` is a multiple too. The last one may extend beyond the end
    by less than a cell, a single one by any length.
    """
    last_begin = -(-max(0, size - tile) // cell) * cell
    found: list[Span] = []
    begin = first = 0
    while True:
        last = size if begin >= last_begin else (begin + tile - margin) // cell * cell
        found.append(Span(begin, first, last))
        if last == size:
            return found
        begin, first = min(last - margin, last_begin), last


def tile_size(job: FrameJob, working_set: int) -> tuple[int, int]:
    """Rows and columns of the largest tiles whose working set is at most `working_set` bytes.

    Halves the longer side until it fits, so tiles are nearly square and have little context.
    """
    height, width = job.source.height, job.source.width
    smallest = 4 * job.context
    while job.resized(width, height).working_set > working_set and max(height, width) > smallest:
        if height >= width:
            height = _shorter(height, job.context, job.cell[0])
        else:
            width = _shorter(width, job.context, job.cell[1])
    return height, width


def _shorter(tile: int, context: int, cell: int) -> int:
    """About half of `tile`, in whole cells."""
    half = max(tile // 2 + context, 3 * context)
    return min(-(-half // cell) * cell, tile - 1)


class Tiling:
    """Computes the frames of `job` with a session of `tile`, the same job for `rows` × `columns` samples.

    Arrays may have any strides and byte order. It owns the tile's buffers and is not thread-safe.
    """

    def __init__(self, job: FrameJob, rows: int, columns: int) -> None:
        self.job = job
        self.tile = job.resized(columns, rows)
        self._inputs, self._outputs = allocate_planes(self.tile.source), allocate_planes(self.tile.target)
        self._tiles = [
            (down, across)
            for down in spans(job.source.height, rows, job.context, job.cell[0])
            for across in spans(job.source.width, columns, job.context, job.cell[1])
        ]
        self._planes = _planes(job)

    def __len__(self) -> int:
        return len(self._tiles)

    @property
    def across(self) -> int:
        """The number of tiles in a row; tiles are numbered row by row."""
        return sum(down == self._tiles[0][0] for down, _ in self._tiles)

    def run(
        self,
        session: Session,
        inputs: Sequence[Array],
        outputs: Sequence[Array],
        strength: float = 0.0,
        on_tile: Callable[[int, int], None] | None = None,
        only: Container[int] | None = None,
    ) -> None:
        """Compute one frame. `on_tile` is called with the number of finished tiles and their total; `only`
        selects tiles."""
        fill_bars(self.job, outputs)
        known = self.job.all_inputs  # alpha that the target does not have is not among them
        factors = [known.get(held[0], known[0]).factor for held in self.job.source.pixel_format.stored]
        for done, (down, across) in enumerate(self._tiles, 1):
            if only is not None and done - 1 not in only:
                continue
            for array, tile, (fy, fx) in zip(inputs, self._inputs, factors, strict=True):
                _cut(array, down.begin // fy, across.begin // fx, tile)
            session.run(self._inputs, self._outputs, strength).wait()
            for plane, tile, output in zip(self._planes, self._outputs, outputs, strict=True):
                self._paste(plane, tile, output, (down, across))
            if on_tile is not None:
                on_tile(done, len(self._tiles))

    def _paste(self, plane: OutputPlane, tile: Array, output: Array, place: tuple[Span, Span]) -> None:
        """Copy the samples that are taken from a tile, resampled if the job resizes, into the frame."""
        part, target = tile, []
        for axis, (span, whole) in enumerate(zip(place, plane.resampling, strict=True)):
            per_sample = Fraction(self.job.scale, plane.factor[axis])
            begin = int(span.begin * per_sample)
            first = whole.count_before(span.first * per_sample - Fraction(1, 2)) if span.first else 0
            at_end = span.last == (self.job.source.height, self.job.source.width)[axis]
            last = whole.size if at_end else whole.count_before(span.last * per_sample - Fraction(1, 2))
            length = min(tile.shape[axis], whole.length - begin)
            part = whole.part(begin, length, first, last - first).apply(part, axis)
            bar = plane.bars[axis][0]
            target.append(slice(bar + first, bar + last))
        pixels = self.job.target.pixel_format
        if self.tile.target.pixel_format.floating:
            codes = np.clip(np.rint(part), 0, pixels.peak).astype(np.uint16)
            part = codes << pixels.shift if pixels.shift else codes
        output[tuple(target)] = part


class TiledSession:
    """A session that runs another, compiled for tiles of `rows` × `columns`, over each frame."""

    def __init__(
        self, job: FrameJob, rows: int, columns: int, compile_tile: Callable[[FrameJob], Session]
    ) -> None:
        self.job = job
        self._tiling = Tiling(job, rows, columns)
        self._session = compile_tile(self._tiling.tile)
        self.engine = self._session.engine
        self.precision = self._session.precision
        self.device = self._session.device
        self.in_flight = 1
        self._lock = threading.Lock()
        logger.info("%s is computed in %d tiles of %d×%d", job.source, len(self._tiling), columns, rows)

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        """See `Session.run`; everything is done when it returns."""
        check_planes(inputs, self.job.source)
        check_planes(outputs, self.job.target)
        with self._lock:
            self._tiling.run(self._session, inputs, outputs, strength)
        return DONE

    def close(self) -> None:
        self._session.close()


def _cut(plane: Array, top: int, left: int, tile: Array) -> None:
    """Fill `tile` from `plane` at (top, left), repeating the last row and column where the frame ends."""
    part = plane[top : top + tile.shape[0], left : left + tile.shape[1]]
    rows, columns = part.shape[:2]
    tile[:rows, :columns] = part
    tile[:rows, columns:] = tile[:rows, columns - 1 : columns]
    tile[rows:] = tile[rows - 1 : rows]


def _planes(job: FrameJob) -> list[OutputPlane]:
    """The planes of the target's arrays; where an array holds several, the first."""
    whole = job.all_outputs
    # Alpha that the source does not have is opaque, so any plane's geometry serves.
    return [whole.get(held[0], whole[0]) for held in job.target.pixel_format.stored]


def fill_bars(job: FrameJob, outputs: Sequence[Array]) -> None:
    """Fill the arrays that have bars with the codes of these."""
    for plane, output in zip(_planes(job), outputs, strict=True):
        if plane.has_bars:
            output[:] = _black(job, plane)


def _black(job: FrameJob, plane: OutputPlane) -> NDArray[np.uint16]:
    """The code values of a bar in the array of `plane`: one, or one per interleaved component."""
    pixels = job.target.pixel_format
    held = next(components for components in pixels.stored if plane.component in components)
    black = {component: round(each.black) for component, each in job.all_outputs.items()}
    codes = [black.get(component, pixels.peak) << pixels.shift for component in held]
    return np.array(codes if len(codes) > 1 else codes[0], np.uint16)
