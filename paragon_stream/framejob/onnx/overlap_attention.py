"""Generation 5's attention as ONNX nodes: within overlapping, blended windows, or over the whole map.

Windows are gathered into one map without overlaps, attended in, and gathered back with their weights, along
rows and columns. Formulas: `models.overlap_attention`. Only for maps of known size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.onnx.graph import OnnxGraph
from paragon_stream.framejob.onnx.windows import attend_in_parts

LOCAL_WINDOW = 32
WHOLE_PIXELS = 16384
"""Largest map, pixels, over which the efficient kind attends as a whole."""
CHUNK = 64

_LOST = -1e4
"""Added to the score of a pixel outside the map; fp16 can represent it."""


class Spans(NamedTuple):
    """Windows along one axis, each with `length` samples."""

    places: NDArray[np.int32]
    """The position on the axis of each sample of each window, window by window."""
    sizes: NDArray[np.int64]
    """Number of samples of each window that are on the axis."""
    length: int
    back: tuple[tuple[NDArray[np.int32], NDArray[np.float32]], ...]
    """For each layer of overlaps: the position in `places` that each sample of the axis is read from, and its
    weight."""

    @property
    def covered(self) -> NDArray[np.float32]:
        """1 where a window is, 0 elsewhere."""
        total: NDArray[np.float32] = np.sum([weights for _, weights in self.back], axis=0)
        return total


def spans(side: int, window: int) -> Spans:
    """Upstream's layout; it has too few windows for some sides (defect D13)."""
    length = min(window, side)
    overlap = min(8, length // 4, side // 4)
    step = length - overlap
    begins = [index * step for index in range((side + overlap - 1) // step)]
    reads: list[list[tuple[int, float]]] = [[] for _ in range(side)]
    places, sizes = [], []
    for index, begin in enumerate(begins):
        end = min(side, begin + length)
        weights = np.ones(end - begin)
        faded = min(overlap, (end - begin) // 4)
        if begin > 0:
            weights[:faded] = np.linspace(0, 1, faded)
        if end < side:
            weights[end - begin - faded :] *= np.linspace(1, 0, faded)
        places += [min(begin + place, side - 1) for place in range(length)]
        sizes.append(end - begin)
        for place, weight in enumerate(weights):
            reads[begin + place].append((index * length + place, float(weight)))
    return Spans(np.array(places, np.int32), np.array(sizes), length, _layers(reads))


def _whole(side: int) -> Spans:
    places = np.arange(side, dtype=np.int32)
    return Spans(places, np.array([side]), side, ((places, np.ones(side, np.float32)),))


def _layers(
    reads: list[list[tuple[int, float]]],
) -> tuple[tuple[NDArray[np.int32], NDArray[np.float32]], ...]:
    totals = [sum(weight for _, weight in each) for each in reads]
    layers = []
    for number in range(max(map(len, reads))):
        chosen = [each[number] if number < len(each) else (0, 0.0) for each in reads]
        weights = [
            weight / total if total else 0.0 for (_, weight), total in zip(chosen, totals, strict=True)
        ]
        layers.append((np.array([place for place, _ in chosen], np.int32), np.array(weights, np.float32)))
    return tuple(layers)


class OverlapAttention:
    """The result of attention on a map `x` of `grid`, before γ; queries, keys and values are maps."""

    def __init__(self, graph: OnnxGraph, grid: tuple[int, int], kind: str, windows: int) -> None:
        self._graph = graph
        self._windows = windows
        small = max(grid) <= LOCAL_WINDOW if kind == "local" else grid[0] * grid[1] <= WHOLE_PIXELS
        window = LOCAL_WINDOW if kind == "local" else CHUNK
        self._rows, self._columns = (_whole(side) if small else spans(side, window) for side in grid)
        self.keeps_features = kind == "efficient" and not small
        """Whether windows contain the features too, not only the result of attention."""

    def covered(self) -> NDArray[np.float32]:
        """[rows, columns]: 1 where a window is."""
        return np.outer(self._rows.covered, self._columns.covered).astype(np.float32)

    def add(self, query: str, key: str, value: str, reduced: int, features: int) -> str:
        graph, down, across = self._graph, self._rows, self._columns
        pixels = np.outer(down.sizes, across.sizes).reshape(-1, 1, 1, 1)
        tokens = [
            self._tokens(map, channels)
            for map, channels in ((query, reduced), (key, reduced), (value, features))
        ]
        sharpness = graph.constant(1 / np.sqrt(pixels), graph.conv_type)
        tokens[0] = graph.node("Mul", [tokens[0], sharpness])
        seen = self._attended(tokens, pixels)
        rows, columns = len(down.sizes), len(across.sizes)
        apart = graph.reshape(seen, [rows, columns, down.length, across.length, features])
        packed = graph.reshape(
            graph.transpose(apart, [4, 0, 2, 1, 3]),
            [1, features, rows * down.length, columns * across.length],
        )
        return self._back(self._back(packed, down, 2), across, 3)

    def _attended(self, tokens: list[str], pixels: NDArray[np.int64]) -> str:
        """Attention in every window; pixels outside the map get no weight."""
        graph, down, across = self._graph, self._rows, self._columns
        if (pixels == down.length * across.length).all():
            return attend_in_parts(graph, tokens, len(pixels), self._windows)
        rows = np.arange(down.length) < down.sizes[:, None]
        columns = np.arange(across.length) < across.sizes[:, None]
        on_map = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(len(pixels), 1, 1, -1)
        parts = []
        step = self._windows or len(pixels)
        for first in range(0, len(pixels), step):
            some = [graph.slice(each, [first], [first + step], [0]) for each in tokens]
            inside = on_map[first : first + step]
            mask = "" if inside.all() else graph.constant(np.where(inside, 0, _LOST), graph.conv_type)
            parts.append(attend_in_parts(graph, some, None, 0, mask))
        return graph.concat(parts, 0)

    def _tokens(self, map: str, channels: int) -> str:
        """[windows, 1, pixels, channels]."""
        graph, down, across = self._graph, self._rows, self._columns
        for axis, span in ((2, down), (3, across)):
            map = graph.node("Gather", [map, graph.constant(span.places, np.int32)], axis=axis)
        rows, columns = len(down.sizes), len(across.sizes)
        apart = graph.reshape(map, [channels, rows, down.length, columns, across.length])
        return graph.reshape(
            graph.transpose(apart, [1, 3, 2, 4, 0]),
            [rows * columns, 1, down.length * across.length, channels],
        )

    def _back(self, packed: str, span: Spans, axis: int) -> str:
        graph, total = self._graph, ""
        for places, weights in span.back:
            taken = graph.node("Gather", [packed, graph.constant(places, np.int32)], axis=axis)
            shaped = weights[:, None] if axis == 2 else weights
            part = graph.node("Mul", [taken, graph.constant(shaped, graph.conv_type)])
            total = graph.add(total, part) if total else part
        return total
