"""Window attention as ONNX nodes: maps of known or unknown size are split into squares and joined again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import helper, numpy_helper

from paragon_stream.framejob.onnx.graph import OnnxGraph

ATTENTION = "attention"
"""Label of the products and the softmax of attention, which some runtimes fuse to one operation."""

type Grid = tuple[int, int] | None
"""Rows and columns of a map; None if they are known only at run time."""

HIDDEN = -1e4
"""Added to the scores of pixels that must not be seen: their weights are 0, also in fp16."""

END = (1 << 63) - 1
"""Beyond the end of every axis. OpenVINO takes a smaller number for the largest size, and overflows."""


def attend(graph: OnnxGraph, query: str, key: str, value: str, mask: str = "") -> str:
    """Softmax of query · keyᵀ + mask, times value; all [windows, heads, pixels, channels]."""
    scores = graph.node("MatMul", [query, graph.transpose(key, [0, 1, 3, 2])], label=ATTENTION)
    if mask:
        scores = graph.node("Add", [scores, mask], label=ATTENTION)
    weights = graph.node("Softmax", [scores], axis=3, label=ATTENTION)
    return graph.node("MatMul", [weights, value], label=ATTENTION)


def attend_in_parts(
    graph: OnnxGraph, parts: Sequence[str], count: int | None, windows: int, mask: str = ""
) -> str:
    """`attend`, for `windows` of the `count` windows at once (0, or an unknown count: all)."""
    query, key, value = parts
    if not windows or count is None or count <= windows:
        return attend(graph, query, key, value, mask)
    seen = []
    for first in range(0, count, windows):
        q, k, v = (graph.slice(part, [first], [first + windows], [0]) for part in parts)
        seen.append(attend(graph, q, k, v, mask))
    return graph.concat(seen, 0)


class Squares:
    """Maps of one size in squares of `window` pixels a side; both sides are whole squares."""

    def __init__(self, graph: OnnxGraph, window: int, grid: Grid) -> None:
        self._graph = graph
        self._window = window
        self._squares = grid and (grid[0] // window, grid[1] // window)
        self._shape = ""

    @property
    def count(self) -> int | None:
        """Number of windows; None if it depends on the size of the graph's input."""
        return None if self._squares is None else self._squares[0] * self._squares[1]

    def tokens(self, x: str, heads: int, each: int) -> str:
        """[1, heads · each, rows, columns] as [squares, heads, pixels, each]."""
        graph, w = self._graph, self._window
        if self._squares is not None:
            rows, columns = self._squares
            cut = graph.reshape(x, [heads, each, rows, w, columns, w])
            return graph.reshape(
                graph.transpose(cut, [2, 4, 0, 3, 5, 1]), [rows * columns, heads, w * w, each]
            )
        packed = graph.node("SpaceToDepth", [x], blocksize=w)
        if not self._shape:
            self._shape = graph.slice(graph.node("Shape", [packed]), [2], [4], [0])
        return graph.transpose(graph.reshape(packed, [w * w, heads, each, -1]), [3, 1, 0, 2])

    def map(self, tokens: str, heads: int, each: int) -> str:
        """The inverse of `tokens`."""
        graph, w = self._graph, self._window
        if self._squares is not None:
            rows, columns = self._squares
            cut = graph.reshape(tokens, [rows, columns, heads, w, w, each])
            return graph.reshape(
                graph.transpose(cut, [2, 5, 0, 3, 1, 4]), [1, heads * each, rows * w, columns * w]
            )
        channels = graph.constant([1, w * w * heads * each], np.int64)
        shape = graph.concat([channels, self._shape], 0)
        packed = graph.node("Reshape", [graph.transpose(tokens, [2, 1, 3, 0]), shape])
        return graph.node("DepthToSpace", [packed], blocksize=w, mode="DCR")


class Filling:
    """Fills the maps of a picture up to whole windows, below and to the right, and cuts them back."""

    def __init__(self, graph: OnnxGraph, picture: str, size: Grid) -> None:
        self._graph = graph
        self._size = size
        self._sides = "" if size else graph.slice(graph.node("Shape", [picture]), [2], [4], [0])
        self._amounts: dict[int, str] = {}

    def grid(self, window: int) -> Grid:
        """The size of filled maps."""
        if self._size is None:
            return None
        rows, columns = (-(-side // window) * window for side in self._size)
        return rows, columns

    def fill(self, x: str, window: int, mode: str = "constant") -> str:
        """Zeros, or with the mode "reflect" the picture mirrored."""
        graph = self._graph
        if window not in self._amounts:
            if self._size is not None:
                after = [-side % window for side in self._size]
                self._amounts[window] = graph.constant([0] * 6 + after, np.int64) if any(after) else ""
            else:
                whole = graph.constant([window], np.int64)
                over = graph.node("Mod", [self._sides, whole])
                left = graph.node("Mod", [graph.node("Sub", [whole, over]), whole])
                self._amounts[window] = graph.concat([graph.constant([0] * 6, np.int64), left], 0)
        amounts = self._amounts[window]
        if not amounts:
            return x
        filling = [graph.constant(0, graph.conv_type)] if mode == "constant" else []
        return graph.node("Pad", [x, amounts, *filling], mode=mode)

    def hiding(self, squares: Squares, window: int, shift: int) -> str:
        """A mask for `attend` that hides what `fill` has added, [squares, 1, 1, pixels], for a picture that
        fits into one window; zeros for larger ones. `shift` is that of `rolled` maps.

        "" if the size is known and nothing has to be hidden.
        """
        graph, kind = self._graph, self._graph.conv_type
        if self._size is not None:
            if max(self._size) > window or min(self._size) == window:
                return ""
            added = np.ones((1, 1, window, window))
            added[..., : self._size[0], : self._size[1]] = 0
            outside, hidden = graph.constant(added, kind), graph.constant(HIDDEN, kind)
        else:
            shape = graph.concat([graph.constant([1, 1], np.int64), self._sides], 0)
            nothing = numpy_helper.from_array(np.zeros(1, kind))
            inside = graph.node("ConstantOfShape", [shape], value=nothing)
            self.fill(inside, window)
            outside = graph.node("Pad", [inside, self._amounts[window], graph.constant(1, kind)])
            longer = graph.node("ReduceMax", [graph.to_float(self._sides)], keepdims=1)
            fits = graph.node("LessOrEqual", [longer, graph.constant(window)])
            number = graph.node("Cast", [fits], to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
            hidden = graph.node("Mul", [number, graph.constant(HIDDEN, kind)])
        outside = rolled(graph, outside, shift) if shift else outside
        pixels = graph.transpose(squares.tokens(outside, 1, 1), [0, 1, 3, 2])
        return graph.node("Mul", [pixels, hidden])

    def cut(self, x: str) -> str:
        """The picture's part of `x`."""
        graph = self._graph
        if self._size is not None:
            return graph.slice(x, [0, 0], self._size, [2, 3])
        start, axes, steps = (graph.constant(each, np.int64) for each in ([0, 0], [2, 3], [1, 1]))
        return graph.node("Slice", [x, start, self._sides, axes, steps])


def rolled(graph: OnnxGraph, x: str, by: int) -> str:
    """Rows and columns moved upwards and to the left by `by` (negative: back); what leaves comes in again."""
    for axis in (2, 3):
        head = graph.slice(x, [by], [END], [axis])
        x = graph.concat([head, graph.slice(x, [0], [by], [axis])], axis)
    return x


def relative_bias(graph: OnnxGraph, name: str, table: object, window: int) -> str:
    """A bias per pair of a window's pixels and head, [heads, pixels, pixels], from its table."""
    values = np.asarray(table)
    places = np.arange(window)
    rows, columns = (each.ravel() for each in np.meshgrid(places, places, indexing="ij"))
    across = (rows[:, None] - rows + window - 1) * (2 * window - 1)
    index = (across + columns[:, None] - columns + window - 1).ravel()
    stored = graph.stored(name, values)
    taken = graph.node("Gather", [stored, graph.constant(index, np.int32)], axis=0)
    size = window * window
    return graph.transpose(graph.reshape(taken, [size, size, values.shape[1]]), [2, 0, 1])
