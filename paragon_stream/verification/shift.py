"""The shift of an enlargement's planes against the source's, to hundredths of a sample.

Least squares over all samples (Lucas and Kanade, 1981): for a small shift s, output − source = −s · gradient.
Detail that an enlargement adds is symmetric, so it does not move the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragon_stream.frame import FrameFormat
from paragon_stream.geometry import Axis, Placement
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.verification.cells import Cuts, component_names, component_shapes, components, on_plane

_MOST = 384
"""Largest number of samples along a side of the window, which lies in the middle of the picture."""
_LEAST_WINDOW = 16
"""Smallest number of samples along a side of a window that can show a shift."""
_LEAST_GRADIENT = 1.0
"""Mean square of the gradient, in 8-bit codes per sample, below which a picture shows no shift."""


@dataclass(frozen=True)
class _Part:
    """The part of one component that is compared."""

    window: tuple[slice, slice]
    """Rows and columns of the source's plane."""
    seen: slice
    """The columns of the target's plane under it."""
    rows: Cuts
    columns: Cuts
    """Each sample of the window is a cell of the target's plane."""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(part.stop - part.start for part in self.window)

    def shrunk(self, plane: Plane) -> NDArray[np.float32]:
        """The target's plane, shrunk to the samples of the window."""
        return self.columns.means_of_columns(self.rows.means_of_rows(plane[:, self.seen]))


class ShiftMeter:
    """Collects frames, then estimates the shift of each component."""

    def __init__(self, source: FrameFormat, target: FrameFormat, placement: Placement, scale: float) -> None:
        """Both formats are of one family. `scale` is the factor from the source's codes to 8-bit codes."""
        self.names = component_names(source)
        self._source, self._target, self._scale = source, target, scale
        self._code = target.pixel_format.peak / source.pixel_format.peak
        self._parts = [self._part(component, placement) for component in range(len(self.names))]
        self._sums = np.zeros((len(self.names), 5))
        """Sums of gx², gy², gx·gy, gx·d, gy·d for each component: gradient and difference."""
        self._samples = np.zeros(len(self.names))

    def add(self, source: Sequence[Plane], target: Sequence[Plane]) -> None:
        """Add a source frame and its output frame, as planes."""
        if any(min(part.shape) < _LEAST_WINDOW for part in self._parts):
            return
        pairs = zip(components(source, self._source), components(target, self._target), strict=True)
        for index, (before, after) in enumerate(pairs):
            part = self._parts[index]
            ours = before[part.window].astype(np.float32) * self._scale
            theirs = part.shrunk(after) * (self._scale / self._code)
            down, right = (axis[1:-1, 1:-1] for axis in np.gradient(ours))
            difference = (theirs - ours)[1:-1, 1:-1]
            difference = difference - difference.mean()
            products = (right * right, down * down, right * down, right * difference, down * difference)
            self._sums[index] += [product.sum(dtype=np.float64) for product in products]
            self._samples[index] += difference.size

    def shift(self, component: int) -> tuple[float, float] | None:
        """The shift to the right and down, in samples of the source's plane; None if the picture has too
        little detail."""
        xx, yy, xy, xd, yd = self._sums[component]
        least = _LEAST_GRADIENT * self._samples[component]
        determinant = xx * yy - xy * xy
        if min(xx, yy) <= least or determinant < 0.05 * xx * yy:
            return None
        return float(-(yy * xd - xy * yd) / determinant), float(-(xx * yd - xy * xd) / determinant)

    def _part(self, component: int, placement: Placement) -> _Part:
        shapes = component_shapes(self._source)[component], component_shapes(self._target)[component]
        most = int(np.iinfo(self._target.pixel_format.sample_type).max)
        windows, edges = [], []
        for axis, placed in enumerate((placement.rows, placement.columns)):
            windows.append(self._window(component, axis, placed, shapes[0][axis]))
            edges.append(self._edges_in_target(component, axis, placed, windows[axis]))
        height, width = shapes[1]
        first, last = np.clip(edges[1][[0, -1]], 0, width)
        seen = slice(min(int(first), width - 1), max(int(first) + 1, int(np.ceil(last))))
        columns = Cuts(edges[1] - seen.start, seen.stop - seen.start, most)
        return _Part((windows[0], windows[1]), seen, Cuts(edges[0], height, most), columns)

    def _window(self, component: int, axis: int, placed: Axis, size: int) -> slice:
        shown = np.array([float(placed.begin), float(placed.begin + placed.length)])
        first, last = on_plane(shown, self._source, component, axis)
        begin, end = max(0, int(np.ceil(first)) + 2), min(size, int(last) - 2)
        spare = max(0, end - begin - _MOST) // 2
        return slice(begin + spare, max(begin + spare + 1, end - spare))

    def _edges_in_target(self, component: int, axis: int, placed: Axis, window: slice) -> NDArray[np.float64]:
        """The borders of the window's samples, as positions on the target's plane."""
        borders = np.arange(window.start, window.stop + 1, dtype=np.float64)
        origin = on_plane(np.array([0.0, 1.0]), self._source, component, axis)
        luma = (borders - origin[0]) / (origin[1] - origin[0])
        in_target = placed.offset + (luma - float(placed.begin)) * float(placed.factor)
        return on_plane(in_target, self._target, component, axis)
