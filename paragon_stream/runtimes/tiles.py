"""Frames too large to be computed at once, in tiles.

A tile whose origin lies on all grids and which has the margin as context gives the samples that the whole
frame would give, so seams do not exist (up to the order of sums: a value half-way between two codes may be
rounded either way).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from paragon_stream.frame import Family, FrameFormat, Layout
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.planes import Plane, allocate_planes
from paragon_stream.pipeline.slot import DONE, Completion
from paragon_stream.runtimes.base import Session
from paragon_stream.runtimes.buffers import check_planes

logger = logging.getLogger(__name__)

WORKING_SET = 4 << 30
"""Bytes of feature maps, over all frames in flight, beyond which a session takes fewer frames or tiles."""


def in_tiles_if_large(job: FrameJob, compile_whole: Callable[[FrameJob], Session]) -> Session:
    """The session of `job`; of tiles, where the frame's feature maps would take more than `WORKING_SET`."""
    if job.working_set <= WORKING_SET:
        return compile_whole(job)
    rows, columns = tile_size(job, WORKING_SET)
    return TiledSession(job, rows, columns, compile_whole)


class Span(NamedTuple):
    """A tile along one axis: where it begins, and the samples [first, last) that it answers for."""

    begin: int
    first: int
    last: int


def spans(size: int, tile: int, margin: int, cell: int) -> list[Span]:
    """Tiles of `tile` samples that cover `size`, each with `margin` samples of context inside the frame.

    All tiles begin at multiples of `cell`, and so must `size - tile` be one; the last tile overlaps more.
    """
    found: list[Span] = []
    begin = first = 0
    while True:
        last = size if begin + tile >= size else (begin + tile - margin) // cell * cell
        found.append(Span(begin, first, last))
        if last == size:
            return found
        begin, first = min(last - margin, size - tile), last


def tile_size(job: FrameJob, working_set: int) -> tuple[int, int]:
    """Rows and columns of the largest tiles whose working set is at most `working_set` bytes.

    Halves the longer side until it fits, so tiles stay near square and the context cheap.
    """
    height, width = job.source.height, job.source.width
    smallest = 4 * job.margin
    while job.resized(width, height).working_set > working_set and max(height, width) > smallest:
        if height >= width:
            height = _shorter(job.source.height, height, job.margin, job.cell[0])
        else:
            width = _shorter(job.source.width, width, job.margin, job.cell[1])
    return height, width


def _shorter(size: int, tile: int, margin: int, cell: int) -> int:
    """About half of `tile`, such that the last tile of `size` begins on the grid."""
    half = max(tile // 2 + margin, 3 * margin)
    return min(half + (size - half) % cell, tile - cell)


class TiledSession:
    """A session that runs another, compiled for tiles of `rows` × `columns`, over each frame."""

    def __init__(
        self, job: FrameJob, rows: int, columns: int, compile_tile: Callable[[FrameJob], Session]
    ) -> None:
        self.job = job
        tile = job.resized(columns, rows)
        self._session = compile_tile(tile)
        self.engine = self._session.engine
        self.precision = self._session.precision
        self.device = self._session.device
        self.in_flight = 1
        self._inputs, self._outputs = allocate_planes(tile.source), allocate_planes(tile.target)
        self._tiles = [
            (down, across)
            for down in spans(job.source.height, rows, job.margin, job.cell[0])
            for across in spans(job.source.width, columns, job.margin, job.cell[1])
        ]
        logger.info("%s is computed in %d tiles of %d×%d", job.source, len(self._tiles), columns, rows)

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        """See `Session.run`; everything is done when it returns."""
        check_planes(inputs, self.job.source)
        check_planes(outputs, self.job.target)
        scale = self.job.scale
        for down, across in self._tiles:
            for plane, tile, (fy, fx) in _with_factors(inputs, self._inputs, self.job.source):
                y, x = down.begin // fy, across.begin // fx
                tile[:] = plane[y : y + tile.shape[0], x : x + tile.shape[1]]
            self._session.run(self._inputs, self._outputs, strength).wait()
            for plane, tile, (fy, fx) in _with_factors(outputs, self._outputs, self.job.target):
                top, bottom, y = (-(-scale * n // fy) for n in (down.first, down.last, down.begin))
                left, right, x = (-(-scale * n // fx) for n in (across.first, across.last, across.begin))
                plane[top:bottom, left:right] = tile[top - y : bottom - y, left - x : right - x]
        return DONE

    def close(self) -> None:
        self._session.close()


def _with_factors(
    planes: Sequence[Plane], tiles: Sequence[Plane], format: FrameFormat
) -> Iterator[tuple[Plane, Plane, tuple[int, int]]]:
    """Each plane with the tile's and its luma samples per sample, (vertical, horizontal)."""
    pixels = format.pixel_format
    across, down = (1 << n for n in pixels.subsampling)
    for index, (plane, tile) in enumerate(zip(planes, tiles, strict=True)):
        is_chroma = pixels.family is Family.YUV and pixels.layout is not Layout.PACKED and index in (1, 2)
        yield plane, tile, ((down, across) if is_chroma else (1, 1))
