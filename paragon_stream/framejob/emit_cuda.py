"""A frame job as CUDA kernels: the source text, the launches, the weights in the kernels' order.

Two launches a frame: `body` makes features of planes, `head` makes planes of features. Nothing here needs a
GPU, or CUDA; docs/cuda.md says how the kernels were designed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from paragon_stream.checkpoint import Variant
from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.cuda_program import Buffer, BufferKind, CudaProgram, Int, Launch, PlaneLayout
from paragon_stream.framejob.cuda_source import CELLS_Y, kernel_text, preamble, source_unit
from paragon_stream.framejob.cuda_weights import FEATURES, body_weights, head_weights
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Tail

_TILE_OUTPUTS = 8  # columns of a tensor-core product
_BODY_WARPS = _HEAD_WARPS = 4
_RESIDENT = 2  # blocks of `body` that the registers of a multiprocessor hold
_MID_WIDTH = 16 * _HEAD_WARPS
_PIXEL_BYTES = 2 * FEATURES
_DEPTHS = (2, 3)  # more blocks do not fit the registers of a thread; one alone lacks a barrier between rows


def emit_cuda(
    job: FrameJob,
    *,
    multiprocessors: int = 128,
    input_pitches: Sequence[int] | None = None,
    output_pitches: Sequence[int] | None = None,
) -> CudaProgram:
    """The program of `job`.

    `multiprocessors` only decides how the rows are dealt out. Planes are C-contiguous unless pitches (bytes
    from row to row, by array) say otherwise. Raises EngineError for jobs that the kernels cannot do.
    """
    _check(job)
    tail = job.tail(_TILE_OUTPUTS)
    source = "\n".join(
        [
            kernel_text("simt.cuh"),
            preamble(job, tail),
            *(kernel_text(f"{name}.cuh") for name in ("gelu", "body", "head")),
        ]
    )
    constants = (body_weights(job, source_unit(job.source)), head_weights(job, tail))
    inputs = _layouts(job.source, input_pitches)
    outputs = _layouts(job.target, output_pitches)
    grid = _Grid(job, tail)
    return CudaProgram(
        source=source,
        launches=(
            _body(job, grid, inputs, len(constants[0]), multiprocessors),
            _head(job, tail, grid, inputs, outputs),
        ),
        constants=constants,
        workspaces=(grid.rows * grid.columns * _PIXEL_BYTES,),
        inputs=inputs,
        outputs=outputs,
    )


def _check(job: FrameJob) -> None:
    """EngineError for what no kernel does."""
    if job.spec.variant is not Variant.REALTIME:
        raise EngineError(f"the cuda engine computes realtime networks only, not {job.spec.variant}")
    if job.spec.features != FEATURES or job.spec.depth not in _DEPTHS:
        raise EngineError(f"the cuda engine computes {FEATURES} features and 2 or 3 blocks, not {job.spec}")
    if job.resamples or any(plane.has_bars for plane in job.outputs):
        raise EngineError(
            f"the cuda engine enlarges {job.scale} times and no more; engine openvino resamples"
        )
    for pixels in (job.source.pixel_format, job.target.pixel_format):
        if pixels.floating or pixels.has_alpha:
            raise EngineError(f"the cuda engine has no kernels for {pixels.name}; take engine openvino")


class _Grid:
    """Cells of the tail, and the features that they depend on, for one frame size."""

    def __init__(self, job: FrameJob, tail: Tail) -> None:
        top, left, _, _ = tail.conv.pads
        tail_rows, tail_columns = tail.conv.weight.shape[2:]
        self.cells = tuple(
            max(
                (plane.size[axis] - 1 + detail.lead[axis]) // detail.block[axis] + 1
                for plane, detail in zip(job.outputs, tail.details, strict=True)
            )
            for axis in (0, 1)
        )
        self.tile = (CELLS_Y, _MID_WIDTH - tail_columns + 1)
        self.tiles = tuple(math.ceil(count / tile) for count, tile in zip(self.cells, self.tile, strict=True))
        # The tail's support, and one more pixel on every side for conv_mid's; whole tiles across.
        self.rows = self.cells[0] + tail_rows + 1
        self.columns = self.tiles[1] * self.tile[1] + tail_columns + 1
        self.top, self.left = top + 1, left + 1


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
    """Pointers and pitches of three arrays, the last one repeated where there are fewer."""
    indices = [min(i, len(layouts) - 1) for i in range(3)]
    return [Buffer(kind=kind, index=i) for i in indices], [Int(value=layouts[i].pitch) for i in indices]


def _body(
    job: FrameJob, grid: _Grid, inputs: Sequence[PlaneLayout], weight_bytes: int, multiprocessors: int
) -> Launch:
    blocks = len(job.blocks)
    slices = math.ceil(grid.columns / (32 * _BODY_WARPS - 2 * (blocks + 1)))
    segment = _segment(grid.rows, slices, 2 * blocks + 2, multiprocessors * _RESIDENT)
    planes, pitches = _three(BufferKind.INPUT, inputs)
    sizes = (job.source.width, job.source.height, grid.columns, grid.rows, grid.left, grid.top, segment)
    ring_bytes = 2 * 4 * (32 * _BODY_WARPS + 3) * 4
    edge_bytes = blocks * 2 * (_BODY_WARPS + 2) * 4 * 16
    return Launch(
        kernel="body",
        grid=(slices, math.ceil(grid.rows / segment), 1),
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


def _segment(rows: int, slices: int, overhead: int, resident: int) -> int:
    """Rows that a block of threads computes such that the last ends soonest, if `resident` run at a time.

    `overhead` rows come on top of each segment.
    """

    def duration(segments: int) -> int:
        return math.ceil(slices * segments / resident) * (math.ceil(rows / segments) + overhead)

    segments = min(range(1, max(1, rows // 8) + 1), key=duration)
    return math.ceil(rows / segments)


def _head(
    job: FrameJob, tail: Tail, grid: _Grid, inputs: Sequence[PlaneLayout], outputs: Sequence[PlaneLayout]
) -> Launch:
    tail_rows = tail.conv.weight.shape[2]
    mid_bytes = _MID_WIDTH * (CELLS_Y + tail_rows - 1) * _PIXEL_BYTES
    cell_bytes = 4 * 16 * (len(tail.conv.weight) + 1) * _HEAD_WARPS
    sources, source_pitches = _three(BufferKind.INPUT, inputs)
    targets, target_pitches = _three(BufferKind.OUTPUT, outputs)
    sizes = (job.source.width, job.source.height, grid.columns, grid.cells[1], grid.cells[0])
    return Launch(
        kernel="head",
        grid=(grid.tiles[1], grid.tiles[0], 1),
        block=(32 * _HEAD_WARPS, 1, 1),
        shared_bytes=mid_bytes + cell_bytes,
        args=(
            *sources,
            *targets,
            Buffer(kind=BufferKind.WORKSPACE),
            Buffer(kind=BufferKind.CONSTANT, index=1),
            Buffer(kind=BufferKind.STATUS),
            *source_pitches,
            *target_pitches,
            *(Int(value=size) for size in sizes),
        ),
    )
