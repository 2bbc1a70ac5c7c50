"""A frame job as WebGPU dispatches: the texts, the grids, the weights in the texts' order.

    conv_in and block 1 → block 2 → block 3 → conv_mid → tail (cells of detail) → every array of the target

A map of features goes beyond the picture by what the next pass reads around a pixel, as in the shaders for
players; the tail's outputs are cells, as on every engine. Nothing here needs a GPU, or wgpu.
"""

from __future__ import annotations

import math

import numpy as np

from paragon_stream.checkpoint import Variant
from paragon_stream.checkpoint.spec import ReleaseSpec
from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.cuda.program import Buffer, BufferKind, PlaneLayout
from paragon_stream.framejob.fold import RealtimeBlock
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Tail
from paragon_stream.framejob.wgsl.planes import WORDS, source_text, target_text
from paragon_stream.framejob.wgsl.program import Dispatch, WgslProgram
from paragon_stream.framejob.wgsl.text import SIDE, WEIGHTS, block_text, conv_text, head
from paragon_stream.framejob.wgsl.weights import base_table, block_weights, conv_weights, first_weights

_LANES = 4
_FEATURES = 16  # more do not fit into 32 KiB of workgroup memory
_STATUS, _STRENGTH = Buffer(kind=BufferKind.STATUS), Buffer(kind=BufferKind.STRENGTH)


def emit_wgsl(job: FrameJob, *, half: bool = False, single: bool = False) -> WgslProgram:
    """The program of `job`.

    `half` computes the network in 16 bits, which the GPU must have; `single` stores features and detail in
    32 bits instead of 16. Base path, last addition and rounding are fp32. Raises EngineError for jobs that no
    text computes.
    """
    check_wgsl(job)
    tail = job.tail(_LANES)
    unit = float(2.0 ** (1 - job.source.pixel_format.depth))
    blocks = [block for block in job.blocks if isinstance(block, RealtimeBlock)]
    constants = [
        first_weights(job, 1 / unit) + block_weights(blocks[0]),
        *map(block_weights, blocks[1:]),
        conv_weights(job.mid),
        conv_weights(tail.conv),
    ]
    table, places = _tables(job)
    constants.append(table)
    maps = _Maps(job, tail, len(blocks))
    features = job.spec.features
    texel = 16 if single else 8
    map_bytes = features // 4 * texel * max(rows * columns for rows, columns in maps.sizes)
    cell_bytes = len(tail.conv.weight) // 2 * texel // 2 * math.prod(maps.cells)
    inputs = _layouts(job.source, padded=False)
    outputs = _layouts(job.target, padded=True)

    planes = [f"<storage, read> plane_{n}: array<u32>" for n in range(len(inputs))]
    pitches = [f"pitch_{n}" for n in range(len(inputs))]
    sources = tuple(Buffer(kind=BufferKind.INPUT, index=n) for n in range(len(inputs)))
    source_sizes = (*(layout.pitch for layout in inputs), job.source.width, job.source.height)
    kind = {"half": half, "single": single}
    dispatches: list[Dispatch] = []

    def add(
        text: str, name: str, declared: list[str], buffers: tuple[Buffer, ...], sizes: dict[str, int]
    ) -> None:
        rows, columns = maps.sizes[len(dispatches)]
        sizes = {**sizes, "columns": columns, "rows": rows}
        dispatches.append(
            Dispatch(
                name=name,
                text=head(declared, [*sizes], **kind) + text,
                grid=(math.ceil(columns / SIDE), math.ceil(rows / SIDE), 1),
                buffers=buffers,
                sizes=tuple(sizes.values()),
            )
        )

    came = "<storage, read> came: array<Texel>"
    went = "<storage, read_write> went: array<Texel>"
    from_source = dict(zip([*pitches, "width", "height"], source_sizes, strict=True))
    for index in range(len(blocks)):
        first = index == 0
        text = block_text(
            features, first=first, components=len(job.inputs), margin=maps.margin, unit=1 / unit
        )
        constant = Buffer(kind=BufferKind.CONSTANT, index=index)
        target = Buffer(kind=BufferKind.WORKSPACE, index=index % 2)
        if first:
            declared = [*planes, "<storage, read> strength: array<f32>", WEIGHTS, went]
            buffers = (*sources, _STRENGTH, constant, target)
            add(source_text(job) + text, "block 1", declared, buffers, from_source)
        else:
            source = Buffer(kind=BufferKind.WORKSPACE, index=1 - index % 2)
            add(text, f"block {index + 1}", [came, WEIGHTS, went], (source, constant, target), {})
    for name, conv, number in (("mid", job.mid, len(blocks)), ("tail", tail.conv, len(blocks) + 1)):
        cells = name == "tail"
        text = conv_text(features, len(conv.weight), conv.weight.shape[2:], cells=cells)
        target = Buffer(kind=BufferKind.WORKSPACE, index=2 if cells else number % 2)
        buffers = (
            Buffer(kind=BufferKind.WORKSPACE, index=1 - number % 2),
            Buffer(kind=BufferKind.CONSTANT, index=number),
            target,
        )
        into = "<storage, read_write> went: array<Pair>" if cells else went
        add(_unit(job) + text, name, [came, WEIGHTS, into], buffers, {})
    for array, layout in enumerate(outputs):
        dispatches.append(
            _array(job, tail, array, layout, maps, planes, sources, from_source, places, single)
        )
    return WgslProgram(
        dispatches=tuple(dispatches),
        constants=tuple(constants),
        workspaces=(map_bytes, map_bytes, cell_bytes),
        inputs=inputs,
        outputs=outputs,
        macs=_macs(job, tail),
    )


def check_wgsl(job: FrameJob) -> None:
    """EngineError for what no text computes."""
    spec = job.spec
    realtime = isinstance(spec, ReleaseSpec) and spec.variant is Variant.REALTIME
    if not realtime or spec.features != _FEATURES:
        raise EngineError(f"the engine webgpu computes realtime networks of {_FEATURES} features, not {spec}")
    if job.current:
        raise EngineError("the engine webgpu has no text for --temporal; take engine native or openvino")
    if job.resamples or any(plane.has_bars for plane in job.outputs):
        raise EngineError(
            f"the engine webgpu enlarges {job.scale} times and no more; engine openvino resamples"
        )
    for pixels in (job.source.pixel_format, job.target.pixel_format):
        if pixels.floating or pixels.has_alpha or -1 in pixels.order:
            raise EngineError(f"the engine webgpu has no text for {pixels.name}; take engine openvino")
    if any(detail and detail.down is not None for detail in job.tail(_LANES).details):
        raise EngineError(
            f"the engine webgpu cannot make {job.target.pixel_format.name} at ×{job.scale}: chroma samples "
            "do not fit the network's cells; take another pixel format or engine openvino"
        )


class _Maps:
    """Rows and columns of every map that is written, in order; how far the first goes beyond the picture."""

    def __init__(self, job: FrameJob, tail: Tail, blocks: int) -> None:
        top, left, _, _ = tail.conv.pads
        rows, columns = tail.conv.weight.shape[2:]
        if top != left:
            raise EngineError("the engine webgpu has no text for this tail")
        self.cells = tuple(
            max(
                (plane.size[axis] - 1 + detail.lead[axis]) // detail.block[axis] + 1
                for plane, detail in zip(job.outputs, tail.details, strict=True)
                if detail is not None
            )
            for axis in (0, 1)
        )
        before = top + 1  # of the last block's map: conv_mid reads one more
        whole = (self.cells[0] + rows - 1, self.cells[1] + columns - 1)
        self.sizes = [
            *((whole[0] + 2 + 2 * n, whole[1] + 2 + 2 * n) for n in reversed(range(blocks))),
            whole,
            self.cells,
        ]
        self.margin = before + blocks - 1


def _unit(job: FrameJob) -> str:
    """What cells are divided by, so that detail of every depth fits halves."""
    return f"const UNIT: f32 = {2.0 ** (job.target.pixel_format.depth - 8)};\n"


def _array(
    job: FrameJob,
    tail: Tail,
    array: int,
    layout: PlaneLayout,
    maps: _Maps,
    planes: list[str],
    sources: tuple[Buffer, ...],
    from_source: dict[str, int],
    places: dict[int, list[int]],
    single: bool,
) -> Dispatch:
    """The dispatch that writes one array of the target."""
    row_bytes = math.prod(layout.shape[1:]) * layout.itemsize
    sizes = {
        **from_source,
        "cell_columns": maps.cells[1],
        "cell_rows": maps.cells[0],
        "row_bytes": row_bytes,
        "rows": layout.shape[0],
        "pitch": layout.pitch,
    }
    declared = [
        *planes,
        "<storage, read> weights: array<f32>",
        "<storage, read> cells: array<Pair>",
        "<storage, read_write> status: array<atomic<u32>>",
        "<storage, read_write> went: array<u32>",
    ]
    text = _unit(job) + source_text(job) + target_text(job, tail.details, array, places)
    return Dispatch(
        name=f"array {array}",
        text=head(declared, [*sizes], half=False, single=single) + text,
        grid=(math.ceil(layout.pitch / 4 / WORDS[0]), math.ceil(layout.shape[0] / WORDS[1]), 1),
        buffers=(
            *sources,
            Buffer(kind=BufferKind.CONSTANT, index=len(job.blocks) + 2),
            Buffer(kind=BufferKind.WORKSPACE, index=2),
            _STATUS,
            Buffer(kind=BufferKind.OUTPUT, index=array),
        ),
        sizes=tuple(sizes.values()),
    )


def _tables(job: FrameJob) -> tuple[bytes, dict[int, list[int]]]:
    """The filters of the base path, and where those of every component begin, in floats."""
    parts: list[bytes] = []
    places: dict[int, list[int]] = {}
    position = 0
    for plane in job.outputs:
        places[plane.component] = []
        for term in plane.base:
            table = base_table(term)[0]
            places[plane.component].append(position)
            parts.append(np.ascontiguousarray(table).tobytes())
            position += table.size
    return b"".join(parts), places


def _layouts(format: FrameFormat, *, padded: bool) -> tuple[PlaneLayout, ...]:
    """Rows without gaps, or, where words of 32 bits are written, whole ones."""
    itemsize = format.pixel_format.bytes_per_sample
    pitches = [math.prod(shape[1:]) * itemsize for shape in format.plane_shapes]
    return tuple(
        PlaneLayout(shape=shape, itemsize=itemsize, pitch=-(-pitch // 4) * 4 if padded else pitch)
        for shape, pitch in zip(format.plane_shapes, pitches, strict=True)
    )


def _macs(job: FrameJob, tail: Tail) -> int:
    per_pixel = job.first.macs + job.mid.macs + tail.conv.macs
    for block in job.blocks:
        if isinstance(block, RealtimeBlock):
            per_pixel += block.expand.macs + block.depthwise.macs + block.project.macs
    return per_pixel * job.source.width * job.source.height
