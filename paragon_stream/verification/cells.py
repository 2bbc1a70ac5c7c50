"""Mean values of the cells of a picture, the same cells in a source frame and in its enlargement.

A picture is cut into a grid of cells. The same part of the picture is one cell in both sizes, in luma and in
chroma, wherever chroma samples sit. So the cell means of a faithful enlargement equal the source's, whatever
detail a network adds, and a whole film is compared by a few hundred numbers a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragon_stream.frame import ColorRange, Family, FrameFormat, Layout
from paragon_stream.framejob.color import color_map
from paragon_stream.geometry import Axis, Placement
from paragon_stream.media.ffmpeg.planes import Plane

type Cells = NDArray[np.float32]
"""Components × rows × columns."""

_MOST_ROWS, _MOST_COLUMNS = 24, 40
_LEAST_SAMPLES = 8
"""Of the source along a side of a cell."""

_COMPONENTS = {Family.RGB: "RGB", Family.YUV: "YUV", Family.GRAY: "Y"}


def component_names(format: FrameFormat) -> str:
    """One letter for each component: "YUV", "RGB" or "Y". Alpha is not compared."""
    return _COMPONENTS[format.pixel_format.family]


def components(planes: Sequence[Plane], format: FrameFormat) -> list[NDArray[Any]]:
    """The components of a frame, in the order of `component_names`, each as rows × columns of its plane."""
    pixels = format.pixel_format
    count = len(component_names(format))
    if pixels.layout is Layout.PACKED:
        return [planes[0][:, :, pixels.order.index(component)] for component in range(count)]
    if pixels.layout is Layout.SEMIPLANAR:
        return [planes[0], planes[1][:, :, 0], planes[1][:, :, 1]]
    return [planes[pixels.order.index(component)] for component in range(count)]


def eight_bit_scale(format: FrameFormat) -> float:
    """What turns differences of codes into those of 8-bit codes."""
    pixels = format.pixel_format
    return 255 / pixels.peak if format.color.range is ColorRange.FULL else 1 / (1 << (pixels.depth - 8))


def area_weights(edges: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Weights of the means of `size` samples between neighbouring `edges`: (len(edges) - 1) × size.

    Sample n covers n … n + 1; what lies outside 0 … size is left out. Rows sum to 1.
    """
    start = np.arange(size)
    covered = np.minimum(edges[1:, None], start + 1) - np.maximum(edges[:-1, None], start)
    weights = np.clip(covered, 0, None)
    total = weights.sum(1, keepdims=True)
    result: NDArray[np.float32] = (weights / np.where(total > 0, total, 1)).astype(np.float32)
    return result


def on_plane(
    edges: NDArray[np.float64], format: FrameFormat, component: int, axis: int
) -> NDArray[np.float64]:
    """Edges in luma samples as edges in samples of a component's plane; `axis` 0 is rows, 1 is columns.

    A chroma sample covers as many luma samples as chroma is subsampled by, half of them on either side of its
    location.
    """
    pixels = format.pixel_format
    if pixels.family is not Family.YUV or component == 0:
        return edges
    step = 1 << (pixels.subsampling[0] if axis else pixels.subsampling[1])
    if step == 1:
        return edges
    location = format.color.chroma_location
    origin = float(location.horizontal if axis else location.vertical) if step == 2 else 0.0
    return (edges - 0.5 - origin) / step + 0.5


class CellGrid:
    """The cells of frames of one format. `rows` and `columns` are the luma edges of the cells."""

    def __init__(self, format: FrameFormat, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> None:
        self.format = format
        self._weights = []
        for component, shape in enumerate(component_shapes(format)):
            tall = area_weights(on_plane(rows, format, component, 0), shape[0])
            wide = area_weights(on_plane(columns, format, component, 1), shape[1])
            self._weights.append((tall, np.ascontiguousarray(wide.T)))

    @property
    def means_shape(self) -> tuple[int, int, int]:
        """The shape of what `means` returns."""
        tall, wide = self._weights[0]
        return len(self._weights), tall.shape[0], wide.shape[1]

    def means(self, planes: Sequence[Plane]) -> Cells:
        """The cell means of a frame, in its codes."""
        return np.stack(
            [
                tall @ (component.astype(np.float32) @ wide)
                for component, (tall, wide) in zip(
                    components(planes, self.format), self._weights, strict=True
                )
            ]
        )


def cell_grids(source: FrameFormat, target: FrameFormat, placement: Placement) -> tuple[CellGrid, CellGrid]:
    """The same cells in frames of `source` and in frames of `target`, which `placement` makes of them."""
    rows = _edges(placement.rows, _MOST_ROWS)
    columns = _edges(placement.columns, _MOST_COLUMNS)
    return CellGrid(source, rows[0], columns[0]), CellGrid(target, rows[1], columns[1])


def _edges(axis: Axis, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges of cells along an axis, in luma samples of the source and of the target."""
    begin, length = float(axis.begin), float(axis.length)
    count = max(1, min(most, int(length // _LEAST_SAMPLES)))
    return (
        np.linspace(begin, begin + length, count + 1),
        np.linspace(axis.offset, axis.offset + axis.size, count + 1),
    )


class Recoding:
    """Cell means in the codes of one format as codes of another: an affine map, as colour conversions are."""

    def __init__(self, source: FrameFormat, target: FrameFormat) -> None:
        old, new = color_map(source), color_map(target)
        self._matrix = (new.from_rgb @ old.to_rgb).astype(np.float32)
        constant = new.from_rgb @ (old.rgb_of_centre - old.to_rgb @ np.full(old.to_rgb.shape[1], old.centre))
        self._constant = (constant + new.code_of_black).astype(np.float32)[:, None, None]

    def __call__(self, cells: Cells) -> Cells:
        result: Cells = np.tensordot(self._matrix, cells, axes=1) + self._constant
        return result


def component_shapes(format: FrameFormat) -> list[tuple[int, int]]:
    """Rows and columns of each component's plane."""
    luma = format.height, format.width
    if format.pixel_format.family is Family.GRAY:
        return [luma]
    if format.pixel_format.family is Family.RGB:
        return [luma] * 3
    width, height = format.pixel_format.chroma_size(format.width, format.height)
    return [luma, (height, width), (height, width)]
