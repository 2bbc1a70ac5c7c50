"""A frame job as one ONNX graph: the arrays of the source's planes in, those of the target's out.

The form that every runtime takes: integers only at the first and last Cast, edges padded and cropped in
float, `Gelu` as one node, static shapes. The base path is made of slices, products and sums, never of
convolutions: runtimes that compute convolutions in 16 bits leave what follows the last of them in fp32.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from paragon_stream.frame import FrameFormat, Layout
from paragon_stream.framejob.fold import Block, Conv, RealtimeBlock
from paragon_stream.framejob.job import BaseTerm, FrameJob, InputGroup, OutputGroup
from paragon_stream.framejob.onnx_graph import OnnxGraph
from paragon_stream.framejob.taps import IDENTITY, FilterBank

STRENGTH_INPUT = "strength"


def input_names(format: FrameFormat) -> tuple[str, ...]:
    """Names of the graph's plane inputs, in memory order."""
    return tuple(f"in{i}" for i in range(len(format.plane_shapes)))


def output_names(format: FrameFormat) -> tuple[str, ...]:
    """Names of the graph's plane outputs, in memory order."""
    return tuple(f"out{i}" for i in range(len(format.plane_shapes)))


def tensor_shapes(format: FrameFormat) -> tuple[tuple[int, ...], ...]:
    """Shapes of the plane tensors: [1, 1, H, W], or [1, H, W, C] where components are interleaved.

    Their memory equals that of `format.plane_shapes`.
    """
    return tuple((1, 1, *shape) if len(shape) == 2 else (1, *shape) for shape in format.plane_shapes)


def emit_onnx(job: FrameJob) -> onnx.ModelProto:
    """The graph of `job`. Conditioned weights add an fp32 input `strength` of shape [1]."""
    graph = OnnxGraph("frame_job")
    components = _read_components(graph, job)
    padded = [_gather(graph, components, group) for group in job.inputs]
    tail = _network(graph, job, padded)
    finished: dict[int, str] = {}
    for group in job.outputs:
        plane = _detail(graph, job, tail, group)
        if group.base:  # chroma made from gray has none
            plane = graph.add(plane, _base(graph, job, group, padded))
        plane = graph.add_constant(plane, group.offset.reshape(1, -1, 1, 1))
        plane = graph.node("Round", [plane])
        peak = float(job.target.pixel_format.peak)
        plane = graph.node("Clip", [plane, graph.constant(0.0), graph.constant(peak)])
        for position, component in enumerate(group.components):
            alone = len(group.components) == 1
            finished[component] = plane if alone else graph.channels(plane, position, position + 1)
    _write_components(graph, job, finished)
    return graph.model()


def _sample_type(format: FrameFormat) -> int:
    return int(TensorProto.UINT8 if format.pixel_format.bytes_per_sample == 1 else TensorProto.UINT16)


def _stored(format: FrameFormat) -> list[tuple[int, ...]]:
    """Canonical components held by each array, in memory order."""
    order = format.pixel_format.order
    match format.pixel_format.layout:
        case Layout.PACKED:
            return [order]
        case Layout.SEMIPLANAR:
            return [order[:1], order[1:]]
        case Layout.PLANAR:
            return [(component,) for component in order]


def _read_components(graph: OnnxGraph, job: FrameJob) -> dict[int, str]:
    """Centred float planes [1, 1, h, w] by canonical component."""
    source = job.source
    planes: dict[int, str] = {}
    for name, shape, stored in zip(input_names(source), tensor_shapes(source), _stored(source), strict=True):
        value = graph.to_float(graph.input(name, _sample_type(source), shape))
        if source.pixel_format.shift:
            value = graph.scale(value, 0.5**source.pixel_format.shift)
        value = graph.add_constant(value, -job.centre)
        if len(stored) > 1:
            value = graph.transpose(value, [0, 3, 1, 2])
        for position, component in enumerate(stored):
            if component >= 0:
                alone = len(stored) == 1
                planes[component] = value if alone else graph.channels(value, position, position + 1)
    return planes


def _write_components(graph: OnnxGraph, job: FrameJob, planes: dict[int, str]) -> None:
    target = job.target
    peak = float(target.pixel_format.peak)
    for name, shape, stored in zip(output_names(target), tensor_shapes(target), _stored(target), strict=True):
        parts = [planes[c] if c >= 0 else graph.constant(np.full((1, 1, *shape[1:3]), peak)) for c in stored]
        value = graph.concat(parts)
        if len(stored) > 1:
            value = graph.transpose(value, [0, 2, 3, 1])
        if target.pixel_format.shift:
            value = graph.scale(value, 2.0**target.pixel_format.shift)
        graph.output(value, name, _sample_type(target), shape)


def _gather(graph: OnnxGraph, components: dict[int, str], group: InputGroup) -> str:
    """The group's components with replicated margins, [1, n, h, w]."""
    together = graph.concat([components[c] for c in group.components])
    return graph.pad_edges(together, *group.pad)


def _network(graph: OnnxGraph, job: FrameJob, padded: list[str]) -> str:
    """The tail's channels on the padded LR grid."""
    parts = []
    for group, value in zip(job.inputs, padded, strict=True):
        parts.append(value if group.up == (IDENTITY, IDENTITY) else _upsample(graph, job, value, group))
    if job.spec.conditioned:
        strength = graph.input(STRENGTH_INPUT, TensorProto.FLOAT, [1])
        parts.append(graph.node("Expand", [strength, graph.constant([1, 1, *job.padded], np.int64)]))
    x = graph.conv(graph.concat(parts), job.first, "first")
    for block in job.blocks:
        x = graph.add(x, _residual(graph, x, block))
    return graph.conv(graph.conv(x, job.mid, "mid"), job.tail, "tail")


def _residual(graph: OnnxGraph, x: str, block: Block) -> str:
    if isinstance(block, RealtimeBlock):
        wide = graph.conv(graph.conv(x, block.expand, "expand"), block.depthwise, "depthwise")
        return graph.conv(graph.node("Gelu", [wide]), block.project, "project")
    seen = graph.concat([graph.conv(x, block.near, "near"), graph.conv(x, block.far, "far")])
    wide = graph.conv(
        graph.conv(graph.conv(seen, block.fuse, "fuse"), block.expand, "expand"), block.gate, "gate"
    )
    half = block.gate.weight.shape[0] // 2
    gated = graph.node("Mul", [graph.channels(wide, 0, half), graph.channels(wide, half, 2 * half)])
    return graph.conv(gated, block.project, "project")


def _upsample(graph: OnnxGraph, job: FrameJob, value: str, group: InputGroup) -> str:
    """Chroma on the luma grid; consumes the one spare sample on each side."""
    rows, columns = (_three_taps(bank) for bank in group.up)
    one = np.einsum("ry,qx->rqyx", rows, columns).reshape(-1, 1, 3, 3)
    count = len(group.components)
    weight = np.tile(one, (count, 1, 1, 1)).astype(np.float32)
    conv = Conv(weight=weight, bias=np.zeros(len(weight), np.float32), groups=count)
    phases = graph.conv(value, conv, "chroma_up")
    grid = (job.padded[0] // group.factor[0], job.padded[1] // group.factor[1])
    return graph.shuffle(phases, count, group.factor, grid)


def _three_taps(bank: FilterBank) -> NDArray[np.float64]:
    """(phases, 3): weights at the offsets -1, 0, 1."""
    matrix = np.zeros((len(bank.phases), 3))
    for p, taps in enumerate(bank.phases):
        for k, weight in taps.items():
            matrix[p, k + 1] = weight
    return matrix


def _detail(graph: OnnxGraph, job: FrameJob, tail: str, group: OutputGroup) -> str:
    """What the network adds to the group's planes, [1, n, h, w] at the target's size."""
    detail = group.detail
    value = graph.channels(tail, *detail.channels)
    grid = job.padded
    if detail.down is not None:
        value = graph.conv(value, detail.down, "chroma_down")
        grid = (grid[0] // detail.down.stride[0], grid[1] // detail.down.stride[1])
    value = graph.shuffle(value, len(group.components), detail.block, grid)
    starts = [job.scale * job.margin // group.factor[axis] + detail.lead[axis] for axis in (0, 1)]
    ends = [start + size for start, size in zip(starts, _plane_size(job, group), strict=True)]
    return graph.slice(value, starts, ends, [2, 3])


def _plane_size(job: FrameJob, group: OutputGroup) -> tuple[int, int]:
    """Rows and columns of the group's planes in the target."""
    return -(-job.target.height // group.factor[0]), -(-job.target.width // group.factor[1])


def _base(graph: OnnxGraph, job: FrameJob, group: OutputGroup, padded: list[str]) -> str:
    """The resampled source, in centred codes of the target, [1, n, h, w]."""
    total = ""
    for term in group.base:
        plane = _mix(graph, _resample(graph, job, group, term, padded[term.group]), term.matrix)
        total = graph.add(total, plane) if total else plane
    return total


def _mix(graph: OnnxGraph, value: str, matrix: NDArray[np.float64]) -> str:
    """`matrix` over the channels, elementwise."""
    outputs, inputs = matrix.shape
    if outputs == inputs and not (matrix - np.diag(np.diag(matrix))).any():
        gains = np.diag(matrix)
        if np.allclose(gains, 1, rtol=1e-12):
            return value
        return graph.scale(value, gains.reshape(1, -1, 1, 1))
    total = ""
    for j in range(inputs):
        if matrix[:, j].any():
            part = graph.scale(graph.channels(value, j, j + 1), matrix[:, j].reshape(1, -1, 1, 1))
            total = graph.add(total, part) if total else part
    return total


def _resample(graph: OnnxGraph, job: FrameJob, group: OutputGroup, term: BaseTerm, value: str) -> str:
    source = job.inputs[term.group]
    rows, columns = _plane_size(job, group)
    phases: list[str] = []
    for weight, down, across in term.filters:
        cells = (-(-rows // len(down.phases)), -(-columns // len(across.phases)))
        wide = _filter(graph, value, across, axis=3, first=source.pad[1][0], cells=cells[1], gain=weight)
        both = [
            one
            for row_phase in zip(
                *(
                    _filter(graph, each, down, axis=2, first=source.pad[0][0], cells=cells[0])
                    for each in wide
                ),
                strict=True,
            )
            for one in row_phase
        ]
        phases = [graph.add(a, b) for a, b in zip(phases, both, strict=True)] if phases else both
    count = len(source.components)
    block = (len(down.phases), len(across.phases))
    plane = graph.shuffle(graph.concat(phases), count, block, cells, components_last=True)
    if (cells[0] * block[0], cells[1] * block[1]) != (rows, columns):
        plane = graph.slice(plane, [0, 0], [rows, columns], [2, 3])
    return plane


def _filter(
    graph: OnnxGraph, value: str, bank: FilterBank, *, axis: int, first: int, cells: int, gain: float = 1.0
) -> list[str]:
    """One map per phase: weighted sums of slices along `axis`, whose sample `first` begins cell 0."""
    slices: dict[int, str] = {}
    results = []
    for taps in bank.phases:
        total = ""
        for k, weight in taps.items():
            if k not in slices:
                start = first + k
                end = start + (cells - 1) * bank.step + 1
                slices[k] = graph.slice(value, [start], [end], [axis], [bank.step])
            part = graph.scale(slices[k], float(weight) * gain)
            total = graph.add(total, part) if total else part
        results.append(total)
    return results
