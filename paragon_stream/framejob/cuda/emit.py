"""A frame job as CUDA kernels: the source text, the launches, the weights in the kernels' order.

`body` computes features from planes, `head` planes from features; between them Stream has a launch of `block`
for each of its blocks. This module needs no GPU and no CUDA. docs/cuda.md describes the design of the
kernels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from paragon_stream.checkpoint import Variant
from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.cells import frame_cells
from paragon_stream.framejob.cuda.passes import TILE, Pass, tail_passes
from paragon_stream.framejob.cuda.program import Buffer, BufferKind, CudaProgram, Int, Launch, PlaneLayout
from paragon_stream.framejob.cuda.source import CELLS_Y, FEATURES, LEAD, program_text, source_unit
from paragon_stream.framejob.cuda.weights import block_weights, body_weights, head_weights
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Tail

_BODY_WARPS = _HEAD_WARPS = _STRIP_WARPS = 4
_RESIDENT = 2  # blocks of `body`, or of `block`, that the registers of a multiprocessor hold
_MID_WIDTH = 16 * _HEAD_WARPS
_DEPTHS = (2, 3)  # more blocks do not fit the registers of a thread; one alone lacks a barrier between rows
_STRIP = 28  # columns of a warp of `block`
_STRIP_REACH = 13  # columns that such a warp reads beyond its strip, in whole eights with LEAD
_BLOCK_CONTEXT = 4  # pixels on every side that a block of Stream depends on


def emit_cuda(
    job: FrameJob,
    *,
    multiprocessors: int = 128,
    input_pitches: Sequence[int] | None = None,
    output_pitches: Sequence[int] | None = None,
) -> CudaProgram:
    """The program of `job`.

    `multiprocessors` only affects the distribution of rows. Planes are C-contiguous unless pitches (bytes
    from row to row, by array) are given. Raises EngineError for jobs that the kernels do not support.
    """
    _check(job)
    tail = job.tail(TILE, sparse=False)
    passes = tail_passes(job, tail)
    inputs = _layouts(job.source, input_pitches)
    outputs = _layouts(job.target, output_pitches)
    grid = _Grid(job, tail)
    body, head = body_weights(job, source_unit(job.source)), head_weights(job, tail)
    blocks = block_weights(job)
    resident = multiprocessors * _RESIDENT
    return CudaProgram(
        source=program_text(job, tail, passes),
        launches=(
            _body(job, grid, inputs, len(body), resident),
            *(_block(grid, index, len(weights), resident) for index, weights in enumerate(blocks)),
            _head(job, tail, passes, grid, inputs, outputs),
        ),
        constants=(body, head, *blocks),
        workspaces=(grid.map_bytes,) * min(2, 1 + len(blocks)),
        inputs=inputs,
        outputs=outputs,
    )


def refusal(job: FrameJob) -> str:
    """Why there are no kernels for `job`; "" if there are."""
    try:
        emit_cuda(job)
    except EngineError as error:
        return str(error)
    return ""


def _check(job: FrameJob) -> None:
    """Raise EngineError for jobs that the kernels do not support."""
    spec = job.spec
    if job.current:
        raise EngineError("the cuda engine has no kernels for --temporal; use the engine torch or tensorrt")
    if job.older is not None or spec.variant not in FEATURES:
        raise EngineError(f"the cuda engine computes realtime and stream networks, not {spec.variant}")
    if spec.features != FEATURES[spec.variant]:
        raise EngineError(
            f"the cuda engine computes {FEATURES[spec.variant]} features of {spec.variant}, not {spec}"
        )
    if spec.variant is Variant.REALTIME and spec.depth not in _DEPTHS:
        raise EngineError(f"the cuda engine computes 2 or 3 blocks of realtime, not {spec}")
    if not job.ends_at_network_scale:
        raise EngineError(
            f"the cuda engine enlarges {job.scale} times only; use the engine openvino, which resamples"
        )
    for pixels in (job.source.pixel_format, job.target.pixel_format):
        if pixels.floating or pixels.has_alpha:
            raise EngineError(f"the cuda engine has no kernels for {pixels.name}; use the engine openvino")


class _Grid:
    """Cells of the tail, and the features that they depend on, for one frame size."""

    def __init__(self, job: FrameJob, tail: Tail) -> None:
        top, left, _, _ = tail.conv.pads
        tail_rows, tail_columns = tail.conv.weight.shape[2:]
        features = job.spec.features
        self.cells = frame_cells(job, tail).size
        self.tile = (CELLS_Y[features], _MID_WIDTH - tail_columns + 1)
        self.tiles = tuple(math.ceil(count / tile) for count, tile in zip(self.cells, self.tile, strict=True))
        # The tail's support, and one more pixel on every side for conv_mid's.
        self._rows: int = self.cells[0] + tail_rows + 1
        self._columns: int = self.cells[1] + tail_columns + 1
        self._top, self._left = top + 1, left + 1
        self.blocks = len(job.blocks) if job.spec.variant is Variant.STREAM else 0
        # `head` takes whole tiles across.
        held = self.tiles[1] * self.tile[1] + tail_columns + 1
        if self.blocks:
            held = max(held, self.columns(0), self.strips(0) * _STRIP + _STRIP_REACH)
        self.pitch = math.ceil((LEAD[features] + held) / 8) * 8
        self.map_bytes = self.rows(0) * self.pitch * 2 * features

    def rows(self, blocks: int) -> int:
        """Margin of the features after `blocks` launches of `block`."""
        return self._rows + 2 * self._context(blocks)

    def columns(self, blocks: int) -> int:
        return self._columns + 2 * self._context(blocks)

    def strips(self, index: int) -> int:
        """Distribution of the rows of launch `index` of `block`."""
        return math.ceil(self.columns(index + 1) / _STRIP)

    @property
    def origin(self) -> tuple[int, int]:
        """Rows above and columns left of the picture in the features that `body` computes."""
        return self._top + self._context(0), self._left + self._context(0)

    def _context(self, blocks: int) -> int:
        return _BLOCK_CONTEXT * (self.blocks - blocks)


def _layouts(format: FrameFormat, pitches: Sequence[int] | None) -> tuple[PlaneLayout, ...]:
    itemsize = format.pixel_format.bytes_per_sample
    shapes = format.plane_shapes
    contiguous = [math.prod(shape[1:]) * itemsize for shape in shapes]
    if pitches is not None and any(p < c or p % itemsize for p, c in zip(pitches, contiguous, strict=True)):
        raise EngineError(f"rows of {format} do not fit pitches of {list(pitches)} bytes")
    return tuple(
        PlaneLayout(shape=shape, itemsize=itemsize, pitch=pitch)
        for shape, pitch in zip(shapes, pitches or contiguous, strict=True)
    )


def _three(kind: BufferKind, layouts: Sequence[PlaneLayout]) -> tuple[list[Buffer], list[Int]]:
    """Pointers and pitches of three arrays; the last array is repeated if there are fewer."""
    indices = [min(i, len(layouts) - 1) for i in range(3)]
    return [Buffer(kind=kind, index=i) for i in indices], [Int(value=layouts[i].pitch) for i in indices]


def _body(
    job: FrameJob, grid: _Grid, inputs: Sequence[PlaneLayout], weight_bytes: int, resident: int
) -> Launch:
    blocks = len(job.blocks) if job.spec.variant is Variant.REALTIME else 0
    slices = math.ceil(grid.columns(0) / (32 * _BODY_WARPS - 2 * (blocks + 1)))
    rows, (top, left) = grid.rows(0), grid.origin
    segment = _segment(rows, slices, 2 * blocks + 2, resident)
    planes, pitches = _three(BufferKind.INPUT, inputs)
    sizes = (job.source.width, job.source.height, grid.pitch, rows, left, top, segment)
    ring_bytes = 2 * 4 * (32 * _BODY_WARPS + 3) * 4
    edge_bytes = blocks * 2 * (_BODY_WARPS + 2) * 4 * 16
    return Launch(
        kernel="body",
        grid=(slices, math.ceil(rows / segment), 1),
        block=(32 * _BODY_WARPS, 1, 1),
        shared_bytes=weight_bytes + edge_bytes + ring_bytes,
        args=(
            *planes,
            Buffer(kind=BufferKind.CONSTANT, index=0),
            Buffer(kind=BufferKind.WORKSPACE),
            Buffer(kind=BufferKind.STRENGTH),
            *pitches,
            *(Int(value=size) for size in sizes),
        ),
    )


def _block(grid: _Grid, index: int, weight_bytes: int, resident: int) -> Launch:
    """One of Stream's blocks, from one workspace to the other."""
    rows, strips = grid.rows(index + 1), grid.strips(index)
    across = math.ceil(strips / _STRIP_WARPS)
    segment = _segment(rows, across, 2, resident)
    return Launch(
        kernel="block",
        grid=(across, math.ceil(rows / segment), 1),
        block=(32 * _STRIP_WARPS, 1, 1),
        shared_bytes=weight_bytes,
        args=(
            Buffer(kind=BufferKind.WORKSPACE, index=index % 2),
            Buffer(kind=BufferKind.WORKSPACE, index=1 - index % 2),
            Buffer(kind=BufferKind.CONSTANT, index=2 + index),
            *(Int(value=size) for size in (grid.pitch, rows, strips, segment)),
        ),
    )


def _segment(rows: int, slices: int, overhead: int, resident: int) -> int:
    """Rows of a block of threads for the shortest total time, if `resident` blocks run at a time.

    Each block computes `overhead` additional rows.
    """

    def duration(segments: int) -> int:
        return math.ceil(slices * segments / resident) * (math.ceil(rows / segments) + overhead)

    segments = min(range(1, max(1, rows // 8) + 1), key=duration)
    return math.ceil(rows / segments)


def _head(
    job: FrameJob,
    tail: Tail,
    passes: Sequence[Pass],
    grid: _Grid,
    inputs: Sequence[PlaneLayout],
    outputs: Sequence[PlaneLayout],
) -> Launch:
    tail_rows = tail.conv.weight.shape[2]
    features = job.spec.features
    mid_bytes = _MID_WIDTH * (CELLS_Y[features] + tail_rows - 1) * 2 * features
    cell_bytes = 4 * 16 * (TILE * max(each.tiles for each in passes) + 1) * _HEAD_WARPS
    sources, source_pitches = _three(BufferKind.INPUT, inputs)
    targets, target_pitches = _three(BufferKind.OUTPUT, outputs)
    sizes = (job.source.width, job.source.height, grid.pitch, grid.cells[1], grid.cells[0])
    return Launch(
        kernel="head",
        grid=(grid.tiles[1], grid.tiles[0], 1),
        block=(32 * _HEAD_WARPS, 1, 1),
        shared_bytes=mid_bytes + cell_bytes,
        args=(
            *sources,
            *targets,
            Buffer(kind=BufferKind.WORKSPACE, index=grid.blocks % 2),
            Buffer(kind=BufferKind.CONSTANT, index=1),
            Buffer(kind=BufferKind.STATUS),
            *source_pitches,
            *target_pitches,
            *(Int(value=size) for size in sizes),
        ),
    )
