"""One ONNX graph for frames of many sizes, derived from graphs for four sizes.

A job's graph for another size has the same nodes; only integers differ (ends of slices, shapes, numbers of
windows), and they are linear in the frame's width and in its height. Four graphs suffice: one at a size, one
that is a period wider, one that is a period higher, one that is both. The integers that differ become
functions of the input's shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.onnx.emit import GraphTypes, emit_onnx, graph_shapes, input_names

type Size = tuple[int, int]
"""Width, height."""


@dataclass(frozen=True, kw_only=True)
class SizeRange:
    """Sizes of source frames, from `least` to `most` in both directions; the engine is optimised for
    `best`."""

    least: Size
    best: Size
    most: Size

    def __str__(self) -> str:
        return " ".join(f"{width}x{height}" for width, height in (self.least, self.best, self.most))

    @classmethod
    def usual(cls, job: FrameJob) -> SizeRange:
        """From 64×64 to 2160p, in whole windows of the network."""
        least, best, most = (
            tuple(-(-side // step) * step for side, step in zip(size, _period(job), strict=True))
            for size in ((64, 64), (960, 540), (3840, 2160))
        )
        return cls(least=(least[0], least[1]), best=(best[0], best[1]), most=(most[0], most[1]))

    @classmethod
    def parse(cls, text: str) -> SizeRange:
        """The inverse of `str`."""
        least, best, most = (tuple(map(int, each.split("x"))) for each in text.split())
        return cls(least=(least[0], least[1]), best=(best[0], best[1]), most=(most[0], most[1]))

    def admits(self, size: Size) -> bool:
        return all(low <= side <= high for low, side, high in zip(self.least, size, self.most, strict=True))

    def serves(self, job: FrameJob) -> bool:
        """Whether a graph for these sizes can compute `job`."""
        across, down = _period(job)
        width, height = job.source.width, job.source.height
        fits = job.ends_at_network_scale
        return fits and width % across == height % down == 0 and self.admits((width, height))

    def check(self, job: FrameJob) -> None:
        """Raise EngineError if no graph of `job` serves these sizes: odd sizes, `--to`, the wrong order."""
        across, down = _period(job)
        if not job.ends_at_network_scale:
            raise EngineError("an engine for many sizes enlarges by the network's scale, to no other size")
        if not (self.admits(self.best) and all(a <= b for a, b in zip(self.least, self.most, strict=True))):
            raise EngineError(f"of the sizes {self}, the second must lie between the others")
        for width, height in (self.least, self.best, self.most):
            if width % across or height % down:
                raise EngineError(
                    f"an engine for many sizes takes multiples of {across}x{down}, not {width}x{height}"
                )

    def shapes(self, job: FrameJob, types: GraphTypes) -> dict[str, tuple[tuple[int, ...], ...]]:
        """For each input plane its smallest, best and largest shape."""
        each = [graph_shapes(job.resized(*size).source, types) for size in (self.least, self.best, self.most)]
        return dict(zip(input_names(job.source), zip(*each, strict=True), strict=True))


def emit_dynamic_onnx(job: FrameJob, sizes: SizeRange, types: GraphTypes) -> onnx.ModelProto:
    """The graph of `job` for all sizes of whole periods (two samples, or a cell if that is more).

    It computes what `emit_onnx` computes for each; of `sizes`, the text depends only on `sizes.best`. Raises
    EngineError for jobs that depend on their size in more than numbers; see also `SizeRange.check`.
    """
    sizes.check(job)
    width, height = sizes.best
    across, down = _period(job)
    corners = [
        emit_onnx(job.resized(width + right, height + below), types=types)
        for below in (0, down)
        for right in (0, across)
    ]
    here = corners[0].graph
    axes = (2, 3) if len(job.source.pixel_format.stored[0]) == 1 else (1, 2)
    counts = _Counts(input_names(job.source)[0], axes, (across, down), (width // across, height // down))
    for nodes in zip(*(model.graph.node for model in corners), strict=True):
        for place in range(len(nodes[0].input)):
            values = [_constant(model, node.input[place]) for model, node in zip(corners, nodes, strict=True)]
            if any(each is None for each in values):
                continue  # the result of another node
            if not all(np.array_equal(values[0], each) for each in values):
                nodes[0].input[place] = counts.number(*values)
    used = {name for node in here.node for name in node.input}
    kept = [each for each in here.initializer if each.name in used]
    nodes_first = [*counts.nodes, *here.node]
    del here.node[:], here.initializer[:]
    here.node.extend(nodes_first)
    here.initializer.extend([*kept, *counts.constants])
    for mine, *others in zip(*(_values(model) for model in corners), strict=True):
        for axis, dimension in enumerate(mine.type.tensor_type.shape.dim):
            if any(each.type.tensor_type.shape.dim[axis] != dimension for each in others):
                dimension.Clear()
                dimension.dim_param = f"{mine.name}_{axis}"
    return corners[0]


def _period(job: FrameJob) -> Size:
    """Columns and rows in which frames may grow."""
    return max(2, job.cell[1]), max(2, job.cell[0])


def _values(model: onnx.ModelProto) -> Iterator[onnx.ValueInfoProto]:
    yield from model.graph.input
    yield from model.graph.output


def _constant(model: onnx.ModelProto, name: str) -> Any:
    """The array called `name`; None if it is none of the graph's constants."""
    for each in model.graph.initializer:
        if each.name == name:
            return numpy_helper.to_array(each)
    return None


class _Counts:
    """Numbers that depend on the size of the input, as nodes."""

    def __init__(self, source: str, axes: Sequence[int], period: Size, periods: Size) -> None:
        """`axes` are the axes of rows and columns of `source`; `periods` is the first graph's number of
        them, across and down."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._periods = periods
        self._known: dict[tuple[bytes, ...], str] = {}
        shape = self._node("Shape", [source])
        across, down = (
            self._node("Div", [self._node("Gather", [shape, self._constant(axis)]), self._constant(step)])
            for axis, step in zip(reversed(axes), period, strict=True)
        )
        self._counts = across, down, self._node("Mul", [across, down])

    def number(self, now: Any, wider: Any, higher: Any, larger: Any) -> str:
        """The value that these are of the four graphs: a + b·columns + c·rows + d·columns·rows."""
        if now.dtype != np.int64 or not now.shape == wider.shape == higher.shape == larger.shape:
            raise EngineError("this frame job depends on its size: an engine for many sizes is not possible")
        key = tuple(each.tobytes() for each in (now, wider, higher, larger))
        if key not in self._known:
            columns, rows = self._periods
            both = larger - wider - higher + now
            steps = wider - now - rows * both, higher - now - columns * both, both
            total = self._constant(now - columns * steps[0] - rows * steps[1] - columns * rows * both)
            for count, step in zip(self._counts, steps, strict=True):
                if step.any():
                    total = self._node("Add", [total, self._node("Mul", [count, self._constant(step)])])
            self._known[key] = total
        return self._known[key]

    def _constant(self, value: Any) -> str:
        name = f"size_constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.int64), name))
        return name

    def _node(self, kind: str, inputs: Sequence[str]) -> str:
        result = f"size_{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [result], name=result))
        return result
