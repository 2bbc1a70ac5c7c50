"""Mean values of the cells of a picture, for the same cells in a source frame and in its enlargement.

A picture is divided into a grid of cells. A cell covers the same part of the picture in both sizes, in luma
and in chroma, at every chroma location. Therefore the cell means of a correct enlargement equal the source's,
regardless of the detail that a network adds, and a few hundred numbers are compared for each frame of a film.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragon_stream.frame import ColorRange, Family, FrameFormat, Layout
from paragon_stream.framejob.color import color_map
from paragon_stream.framejob.taps import siting_offset
from paragon_stream.geometry import Axis, Placement
from paragon_stream.media.ffmpeg.planes import Plane

type Cells = NDArray[np.float32]
"""Components × rows × columns."""

_MOST_ROWS, _MOST_COLUMNS = 24, 40
_LEAST_SAMPLES = 8
"""Smallest number of source samples along a side of a cell."""

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
    """The factor from differences of codes to differences of 8-bit codes."""
    pixels = format.pixel_format
    return 255 / pixels.peak if format.color.range is ColorRange.FULL else 1 / (1 << (pixels.depth - 8))


def on_plane(
    edges: NDArray[np.float64], format: FrameFormat, component: int, axis: int
) -> NDArray[np.float64]:
    """Edges in luma samples as edges in samples of a component's plane; `axis` 0 is rows, 1 is columns.

    A chroma sample covers as many luma samples as the subsampling factor, half of them on either side of its
    location.
    """
    pixels = format.pixel_format
    if pixels.family is not Family.YUV or component == 0:
        return edges
    step = 1 << (pixels.subsampling[0] if axis else pixels.subsampling[1])
    if step == 1:
        return edges
    location = format.color.chroma_location
    origin = float(siting_offset(location.horizontal if axis else location.vertical, step))
    return (edges - 0.5 - origin) / step + 0.5


class Cuts:
    """The edges of cells along one axis of a plane.

    The sum of a cell is the sum of the whole samples between its edges, corrected by the parts of samples at
    both edges. Sums are several times as fast as a product of matrices, which needs the whole plane as floats
    and starts BLAS' threads.
    """

    def __init__(self, edges: NDArray[np.float64], size: int, most: int) -> None:
        """`edges` are in samples of an axis of `size` samples; `most` is the largest code. Sample n covers
        n … n + 1. Parts of cells outside the axis are left out."""
        inside = np.clip(edges, 0, size)
        self._first = inside.astype(np.intp)
        self._part = (inside - self._first).astype(np.float32)[:, None]
        self._at_edges = np.minimum(self._first, size - 1)
        lengths = np.diff(self._first)
        self._begins = self._first[self._first < size]
        self._empty = np.flatnonzero(lengths == 0)
        """Cells without a whole sample."""
        self._lengths = np.maximum(np.diff(inside), 1e-9).astype(np.float32)[:, None]
        self._sum_type = np.uint16 if int(lengths.max()) * most < 1 << 16 else np.uint32
        self._in_parts = bool(self._part.any())
        self._equal = not self._in_parts and int(lengths.min()) == int(lengths.max())

    def means_of_rows(self, plane: NDArray[Any]) -> NDArray[np.float32]:
        """Means of the rows between edges: cells × columns. `plane` has integer samples."""
        if self._equal and plane.flags.c_contiguous:
            used = plane[self._first[0] : self._first[-1]]
            bands = used.reshape(len(self._lengths), -1, plane.shape[1])
            return self._means(np.add.reduce(bands, axis=1, dtype=self._sum_type), plane)
        sums = np.empty((len(self._lengths), plane.shape[1]), np.float32)
        for band, begin, end in zip(sums, self._first, self._first[1:], strict=False):
            band[:] = np.add.reduce(plane[begin:end], axis=0, dtype=self._sum_type)
        return self._means(sums, plane)

    def means_of_columns(self, bands: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means of the columns between edges: rows × cells."""
        sums = np.add.reduceat(bands, self._begins, axis=1)[:, : len(self._lengths)]
        if self._empty.size:
            sums[:, self._empty] = 0  # `reduceat` gives one sample there
        return self._means(sums.T, bands.T).T

    def _means(self, sums: NDArray[Any], samples: NDArray[Any]) -> NDArray[np.float32]:
        """Means of cells from the sums of their whole samples, along axis 0."""
        if self._in_parts:
            parts = samples[self._at_edges] * self._part
            sums = sums + parts[1:] - parts[:-1]
        result: NDArray[np.float32] = np.divide(sums, self._lengths, dtype=np.float32)
        return result


class CellGrid:
    """The cells of frames of one format. `rows` and `columns` are the luma edges of the cells."""

    def __init__(self, format: FrameFormat, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> None:
        self.format = format
        self.means_shape = len(component_names(format)), len(rows) - 1, len(columns) - 1
        """The shape of what `means` returns."""
        most = int(np.iinfo(format.pixel_format.sample_type).max)
        self._cuts = [
            tuple(
                Cuts(on_plane(edges, format, component, axis), size, most)
                for axis, (edges, size) in enumerate(zip((rows, columns), shape, strict=True))
            )
            for component, shape in enumerate(component_shapes(format))
        ]

    def means(self, planes: Sequence[Plane]) -> Cells:
        """The cell means of a frame, in its codes."""
        means = np.empty(self.means_shape, np.float32)
        for mean, plane, (rows, columns) in zip(
            means, components(planes, self.format), self._cuts, strict=True
        ):
            mean[:] = columns.means_of_columns(rows.means_of_rows(plane))
        return means


def cell_grids(source: FrameFormat, target: FrameFormat, placement: Placement) -> tuple[CellGrid, CellGrid]:
    """The same cells in frames of `source` and of `target`; `placement` maps one to the other."""
    rows = _edges(placement.rows, _MOST_ROWS)
    columns = _edges(placement.columns, _MOST_COLUMNS)
    return CellGrid(source, rows[0], columns[0]), CellGrid(target, rows[1], columns[1])


def _edges(axis: Axis, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges of cells along an axis, in luma samples of the source and of the target."""
    begin, length = float(axis.begin), float(axis.length)
    most = max(1, min(most, int(length // _LEAST_SAMPLES)))
    even = (n for n in range(most, most // 2, -1) if length % (2 * n) == axis.size % (2 * n) == 0)
    count = next(even, most)  # cells of whole samples, also of chroma, are fast
    return (
        np.linspace(begin, begin + length, count + 1),
        np.linspace(axis.offset, axis.offset + axis.size, count + 1),
    )


class Recoding:
    """Converts cell means from codes of one format to codes of another. Like all colour conversions, it is an
    affine map."""

    def __init__(self, source: FrameFormat, target: FrameFormat) -> None:
        old, new = color_map(source), color_map(target)
        self._matrix = (new.from_rgb @ old.to_rgb).astype(np.float32)
        constant = new.from_rgb @ (old.rgb_of_centre - old.to_rgb @ np.full(old.to_rgb.shape[1], old.centre))
        self._constant = (constant + new.code_of_black).astype(np.float32)[:, None]

    def __call__(self, cells: Cells) -> Cells:
        codes = self._matrix @ cells.reshape(len(cells), -1) + self._constant
        result: Cells = codes.reshape(-1, *cells.shape[1:])
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
