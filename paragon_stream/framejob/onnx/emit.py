"""A frame job as one ONNX graph: the arrays of the source's planes in, those of the target's out.

All runtimes accept this form: integers only at the first and last Cast, edges padded and cropped in float,
`Gelu` as one node, static shapes. The base path is made of slices, products and sums, never of
convolutions: runtimes that compute convolutions in 16 bits leave what follows the last of them in fp32.

TensorRT computes in the types that the graph says and has no 16-bit integers, hence `GraphTypes`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from paragon_stream.checkpoint.lines.feature import FeatureSpec
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.components import ALPHA, BaseTerm, InputPlane, Mix, OutputPlane
from paragon_stream.framejob.conv import Conv
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.onnx.body import Region, add_step
from paragon_stream.framejob.onnx.graph import OnnxGraph
from paragon_stream.framejob.onnx.older_body import OlderBody
from paragon_stream.framejob.resample import Table
from paragon_stream.framejob.tail import Detail, Pair
from paragon_stream.framejob.taps import FilterBank

STRENGTH_INPUT = "strength"
GUARD_OUTPUT = "guard"


@dataclass(frozen=True, kw_only=True)
class GraphTypes:
    """Details of a graph for runtimes that compute exactly in its types."""

    half: bool = False
    """The body and the detail it makes are fp16; base path, last addition and rounding stay fp32."""
    bytes: bool = False
    """Samples of two bytes are two uint8 along an additional last axis: low, high, as in memory."""
    filters: bool = False
    """Resampling filters are convolutions in fp32: a few large operations instead of many small ones."""
    guard: bool = False
    """Adds an output `guard`, fp32 [1]: finite unless the network computed NaN or infinity."""
    windows: int = 0
    """Number of attention windows per batch, for runtimes that store all scores; 0 for all windows."""


PLAIN = GraphTypes()


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


def graph_shapes(format: FrameFormat, types: GraphTypes = PLAIN) -> tuple[tuple[int, ...], ...]:
    """`tensor_shapes` with an axis for the two bytes of samples, if they have two."""
    pair = (2,) if types.bytes and format.pixel_format.bytes_per_sample == 2 else ()
    return tuple((*shape, *pair) for shape in tensor_shapes(format))


def emit_onnx(job: FrameJob, *, lanes: int = 16, types: GraphTypes = PLAIN) -> onnx.ModelProto:
    """The graph of `job`. Conditioned weights add an fp32 input `strength` of shape [1].

    `lanes` is the number of output channels that the machine computes at once; it changes the graph, not its
    results.
    """
    conv_type = np.float16 if types.half else np.float32
    graph = OnnxGraph("frame_job", conv_type, filters_are_convolutions=types.filters)
    components = _read_components(graph, job, types)
    padded = {
        component: graph.pad_edges(components[component], *plane.pad)
        for component, plane in job.all_inputs.items()
    }
    packed, details = _details(graph, job, padded, types, lanes)
    base = _Base(graph, job, padded)
    finished = {
        plane.component: _finish(graph, job, plane, detail, base)
        for plane, detail in zip(job.outputs, details, strict=True)
    }
    if job.alpha:
        finished[ALPHA] = _finish(graph, job, job.alpha[1], "", base)
    _write_components(graph, job, finished, types)
    if types.guard:
        _guard(graph, packed)
    return graph.model()


def _sample_type(format: FrameFormat) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(format.pixel_format.sample_type)))


def _guard(graph: OnnxGraph, packed: str) -> None:
    """The sum of every fourth value in both directions: it includes every NaN before the tail's 5×5 taps."""
    sampled = graph.slice(packed, [0, 0], [1 << 30] * 2, [2, 3], [4, 4])
    total = graph.node("ReduceSum", [graph.node("Abs", [graph.to_float(sampled)])], keepdims=0)
    graph.output(graph.reshape(total, [1]), GUARD_OUTPUT, TensorProto.FLOAT, [1])


def _read_components(graph: OnnxGraph, job: FrameJob, types: GraphTypes) -> dict[int, str]:
    """Centred float planes [1, 1, h, w] by canonical component."""
    source = job.source
    planes: dict[int, str] = {}
    arrays = zip(input_names(source), tensor_shapes(source), source.pixel_format.stored, strict=True)
    for name, shape, stored in arrays:
        if types.bytes and source.pixel_format.bytes_per_sample == 2:
            pairs = graph.to_float(graph.input(name, TensorProto.UINT8, [*shape, 2]))
            low, high = (graph.slice(pairs, [n], [n + 1], [len(shape)]) for n in (0, 1))
            value = graph.reshape(graph.add(low, graph.scale(high, 256.0)), shape)
        else:
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


def _write_components(graph: OnnxGraph, job: FrameJob, planes: dict[int, str], types: GraphTypes) -> None:
    target = job.target
    peak = float(target.pixel_format.peak)
    arrays = zip(output_names(target), tensor_shapes(target), target.pixel_format.stored, strict=True)
    for name, shape, stored in arrays:
        grid = shape[1:3] if len(stored) > 1 else shape[2:]
        # Padding, and alpha if the source has none, have the peak value.
        parts = [
            planes[component] if component in planes else graph.constant(np.full((1, 1, *grid), peak))
            for component in stored
        ]
        value = graph.concat(parts)
        if len(stored) > 1:
            value = graph.transpose(value, [0, 2, 3, 1])
        if target.pixel_format.shift:
            value = graph.scale(value, 2.0**target.pixel_format.shift)
        if types.bytes and target.pixel_format.bytes_per_sample == 2:
            high = graph.node("Floor", [graph.scale(value, 1 / 256)])
            low = graph.add(value, graph.scale(high, -256.0))
            pair = graph.concat([graph.reshape(part, [*shape, 1]) for part in (low, high)], len(shape))
            graph.output(pair, name, TensorProto.UINT8, [*shape, 2])
        else:
            graph.output(value, name, _sample_type(target), shape)


def _details(
    graph: OnnxGraph, job: FrameJob, padded: dict[int, str], types: GraphTypes, lanes: int
) -> tuple[str, list[str]]:
    """The network's last map, then its detail for every plane, [1, 1, h, w] at the target's size, "" for
    none."""
    first, planes = _planes(graph, job, padded)
    x = graph.conv(planes, first, "first")
    region = Region(job.margin, job.margin, job.source.height, job.source.width, job.padded)
    if job.older is None:
        for step in job.blocks:
            x = add_step(graph, x, step, region, windows=types.windows)
        x = graph.conv(x, job.mid, "mid")
    else:
        older = OlderBody(graph, job.older, job.spec, region, windows=types.windows)
        fused = graph.conv(older.body(x), job.mid, "mid")
        x = older.content(graph.add(fused, x) if isinstance(job.spec, FeatureSpec) else fused)
        if job.older.head:
            large = older.head(x)
            return large, [
                _from_large(graph, job, graph.channels(large, number, number + 1), plane)
                for number, plane in enumerate(job.outputs)
            ]
    tail = job.tail(lanes)
    packed = graph.conv(x, tail.conv, "tail")
    by_detail: dict[int, str] = {}  # planes that get the same detail share the object
    for plane, detail in zip(job.outputs, tail.details, strict=True):
        if detail is not None and id(detail) not in by_detail:
            by_detail[id(detail)] = _detail(graph, job, packed, plane, detail)
    details = [by_detail[id(detail)] if detail else "" for detail in tail.details]
    if job.older is not None and job.older.analyse is not None:
        gain = older.gain(planes, _on_planes(job.older.analyse, graph, job))
        details = [graph.node("Mul", [detail, gain]) if detail else "" for detail in details]
    return packed, details


def _from_large(graph: OnnxGraph, job: FrameJob, value: str, plane: OutputPlane) -> str:
    """A plane of the target from `value`, its component on the padded grid at the large size."""
    value = graph.widened(value)
    first = (job.scale * job.margin, job.scale * job.margin)
    if plane.factor == (1, 1):
        ends = [place + side for place, side in zip(first, plane.size, strict=True)]
        return graph.slice(value, first, ends, [2, 3])
    cells = tuple(-(-side // len(bank.phases)) for side, bank in zip(plane.size, plane.down, strict=True))
    value = _filter(graph, value, plane.down, first=first, cells=(cells[0], cells[1]))
    return graph.slice(value, [0, 0], plane.size, [2, 3])


def _on_planes(conv: Conv, graph: OnnxGraph, job: FrameJob) -> Conv:
    """`conv`, which is for centred codes, for the values that `_planes` returns."""
    if not graph.is_half:
        return conv
    colors = len(job.inputs)
    scales = np.ones(conv.weight.shape[1], np.float32)
    scales[:colors] = _half_unit(job)
    return replace(conv, weight=conv.weight * scales[:, None, None])


def _half_unit(job: FrameJob) -> float:
    """The scale for fp16, whose range is small: codes become -1 … 1, and weights grow by the same power of
    two, without a loss."""
    return 2.0 ** (job.source.pixel_format.depth - 1)


def _planes(graph: OnnxGraph, job: FrameJob, padded: dict[int, str]) -> tuple[Conv, str]:
    """conv_in and its input: all components on the padded luma grid, and the strength if there is one."""
    parts = [_upsample(graph, job, plane, padded[plane.component]) for plane in job.inputs]
    if graph.is_half:
        parts = [graph.scale(part, 1 / _half_unit(job)) for part in parts]
    if job.spec.conditioned:
        strength = graph.input(STRENGTH_INPUT, TensorProto.FLOAT, [1])
        parts.append(graph.node("Expand", [strength, graph.constant([1, 1, *job.padded], np.int64)]))
    return _on_planes(job.first, graph, job), graph.narrowed(graph.concat(parts))


def _upsample(graph: OnnxGraph, job: FrameJob, plane: InputPlane, value: str) -> str:
    """The plane on the padded luma grid; chroma has one spare sample on each side."""
    if plane.factor == (1, 1):
        return value
    cells = (job.padded[0] // plane.factor[0], job.padded[1] // plane.factor[1])
    return _filter(graph, value, plane.up, first=(1, 1), cells=cells)


def _detail(graph: OnnxGraph, job: FrameJob, packed: str, plane: OutputPlane, detail: Detail) -> str:
    """The network's detail for the plane, [1, 1, h, w] at the target's size."""
    value = graph.channels(packed, *detail.channels)
    grid = job.padded
    if detail.down is not None:
        value = graph.conv(value, detail.down, "down")
        grid = (grid[0] // detail.down.stride[0], grid[1] // detail.down.stride[1])
    value = graph.shuffle(value, detail.block, grid)
    top, left = (job.scale * job.margin // plane.factor[axis] + detail.lead[axis] for axis in (0, 1))
    value = graph.slice(value, [top, left], [top + plane.size[0], left + plane.size[1]], [2, 3])
    return graph.widened(value)


def _finish(graph: OnnxGraph, job: FrameJob, plane: OutputPlane, value: str, base: _Base) -> str:
    """Detail (`value`, "" for none) plus base, resampled to the target's size, as code values."""
    for term in plane.base:  # empty for chroma from gray
        part = base.enlarged(term, plane.size)
        value = graph.add(value, part) if value else part
    if not value:
        value = graph.node(
            "Expand", [graph.constant([[[[0.0]]]]), graph.constant([1, 1, *plane.size], np.int64)]
        )
    for axis, resampling in zip((2, 3), plane.resampling, strict=True):
        if not resampling.is_identity:
            value = _resample(graph, value, resampling.table(), axis)
    value = graph.add_constant(value, plane.offset)
    if job.target.pixel_format.floating:
        return value
    limits = graph.constant(0.0), graph.constant(float(job.target.pixel_format.peak))
    value = graph.node("Clip", [graph.node("Round", [value]), *limits])
    return graph.pad_with(value, *plane.bars, plane.black) if plane.has_bars else value


def _resample(graph: OnnxGraph, value: str, table: Table, axis: int) -> str:
    """One gather, product and sum per tap."""
    total = ""
    for places, weights in zip(table.places, table.weights, strict=True):
        taken = graph.node("Gather", [value, graph.constant(places, np.int32)], axis=axis)
        part = graph.scale(taken, weights[:, None] if axis == 2 else weights)
        total = graph.add(total, part) if total else part
    return total


class _Base:
    """The base path of a graph; results that several planes of the target share are computed once."""

    def __init__(self, graph: OnnxGraph, job: FrameJob, padded: dict[int, str]) -> None:
        self._graph = graph
        self._job = job
        self._padded = padded
        self._mixed: dict[Mix, str] = {}
        self._made: list[tuple[BaseTerm, Pair[int], str]] = []

    def enlarged(self, term: BaseTerm, size: Pair[int]) -> str:
        """`term` at the target's size, in centred codes of the target."""
        for known, its_size, value in self._made:
            if (known, its_size) == (term, size):
                return value
        value, gain = self._source(term.mix)
        graph = self._graph
        (top, _), (left, _) = self._job.all_inputs[term.mix[0][0]].pad
        total = ""
        for weight, rows, columns in term.filters:
            cells = (-(-size[0] // len(rows.phases)), -(-size[1] // len(columns.phases)))
            part = _filter(graph, value, (rows, columns), first=(top, left), cells=cells, gain=weight * gain)
            if (cells[0] * len(rows.phases), cells[1] * len(columns.phases)) != size:
                part = graph.slice(part, [0, 0], size, [2, 3])
            total = graph.add(total, part) if total else part
        self._made.append((term, size, total))
        return total

    def _source(self, mix: Mix) -> tuple[str, float]:
        """The padded plane to filter, and the gain to apply afterwards."""
        if len(mix) == 1:
            return self._padded[mix[0][0]], mix[0][1]
        if mix not in self._mixed:
            total = ""
            for component, gain in mix:
                part = self._graph.scale(self._padded[component], gain)
                total = self._graph.add(total, part) if total else part
            self._mixed[mix] = total
        return self._mixed[mix], 1.0


def _filter(
    graph: OnnxGraph,
    value: str,
    banks: Pair[FilterBank],
    *,
    first: Pair[int],
    cells: Pair[int],
    gain: float = 1.0,
) -> str:
    """`value` [1, 1, h, w] through separable `banks`, for the cells that begin at sample `first`."""
    rows, columns = banks
    if graph.filters_are_convolutions:
        weight, begins = _filter_kernel(rows, columns, gain)
        starts = [place + begin for place, begin in zip(first, begins, strict=True)]
        steps = rows.step, columns.step
        ends = [
            start + (count - 1) * step + taps
            for start, count, step, taps in zip(starts, cells, steps, weight.shape[2:], strict=True)
        ]
        seen = graph.slice(value, starts, ends, [2, 3])
        attributes = {"kernel_shape": list(weight.shape[2:]), "strides": list(steps)}
        maps = graph.node("Conv", [seen, graph.constant(weight)], label="filter", **attributes)
        return graph.shuffle(maps, (len(rows.phases), len(columns.phases)), cells)
    wide = _filter_axis(graph, value, columns, axis=3, first=first[1], cells=cells[1], gain=gain)
    by_column = [_filter_axis(graph, each, rows, axis=2, first=first[0], cells=cells[0]) for each in wide]
    phases = [phase for row in zip(*by_column, strict=True) for phase in row]
    return graph.shuffle(graph.concat(phases), (len(rows.phases), len(columns.phases)), cells)


def _filter_kernel(
    rows: FilterBank, columns: FilterBank, gain: float
) -> tuple[NDArray[np.float32], Pair[int]]:
    """Separable banks as the weights of one convolution, (phases, 1, h, w), and where its taps begin."""
    axes = []
    for bank in (rows, columns):
        low, high = bank.reach
        taps = np.zeros((len(bank.phases), high - low + 1))
        for phase, weights in zip(taps, bank.phases, strict=True):
            for k, weight in weights.items():
                phase[k - low] = float(weight)
        axes.append(taps)
    weight = gain * np.einsum("ri,cj->rcij", *axes)
    shape = (-1, 1, axes[0].shape[1], axes[1].shape[1])
    return weight.reshape(shape).astype(np.float32), (rows.reach[0], columns.reach[0])


def _filter_axis(
    graph: OnnxGraph, value: str, bank: FilterBank, *, axis: int, first: int, cells: int, gain: float = 1.0
) -> list[str]:
    """One map per phase: weighted sums of slices along `axis`."""
    slices: dict[int, str] = {}
    results = []
    for taps in bank.phases:
        total = ""
        for k, weight in taps.items():
            if k not in slices:
                start = first + k
                slices[k] = graph.slice(
                    value, [start], [start + (cells - 1) * bank.step + 1], [axis], [bank.step]
                )
            factor = float(weight) * gain
            part = slices[k] if factor == 1 else graph.scale(slices[k], factor)
            total = graph.add(total, part) if total else part
        results.append(total)
    return results
