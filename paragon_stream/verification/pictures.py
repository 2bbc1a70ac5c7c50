"""Compares the pictures of an output with those of its source, frame by frame, in bounded memory.

The means of its cells (`cells`) are compared for every frame, whole planes (`shift`) for some frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragon_stream.frame import Family, FrameFormat
from paragon_stream.geometry import Placement
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.number_text import counted
from paragon_stream.verification.cells import (
    Cells,
    Recoding,
    cell_grids,
    component_names,
    component_shapes,
    eight_bit_scale,
)
from paragon_stream.verification.findings import Check, Finding, PlaneFigures
from paragon_stream.verification.shift import ShiftMeter

CLIP_SHIFT, FRAME_SHIFT = 0.5, 2.0
"""Largest accepted differences of means from the source's, over the clip and in one frame. 8-bit codes."""
_CONTRAST = 0.03
"""Largest accepted difference of the slope of cell means from 1."""
_SHIFT = 0.12
"""Largest accepted shift, in samples of the source: half a sample of a double-size output is 0.25."""
_CELL_ERROR = 1.5
"""Largest accepted root mean square of the cells' errors, each averaged over the clip, 8-bit codes; the same
share as `_CONTRAST` of the spread of the source's cells is added in square."""
_RGB_SHARE = 2.5
"""Factor of the limits for red, green and blue: full-range colours are clipped where the network sharpens
edges between saturated areas."""
_SMALL = 64
"""Rows or columns of a plane below which its limits are larger, in proportion: the means of a small plane
depend on its borders, where samples are repeated outwards, and on clipped edges."""
_MOVEMENT = 0.3
"""Mean square difference above which two source frames are distinct."""
_CLEARLY = 0.4
"""Factor below which another frame matches clearly better."""
_FROZEN = 0.1
"""Fraction of the source's movement below which the output does not move."""
_SHIFT_FRAMES = 12
"""Frames of a clip that are compared by whole planes."""


@dataclass(frozen=True)
class _Pair:
    """The cells of an output frame, the cells expected from its source frame, and its time."""

    seconds: float
    found: Cells
    expected: Cells


class PictureCheck:
    """Takes each output frame with its source frame, in order, then returns `findings`."""

    def __init__(self, source: FrameFormat, target: FrameFormat, placement: Placement, frames: int) -> None:
        """`frames` is the approximate number of frames."""
        self._grids = cell_grids(source, target, placement)
        self._recode = Recoding(source, target)
        self._scale = eight_bit_scale(target)
        self._names = component_names(target)
        same_family = source.pixel_format.family is target.pixel_format.family
        same_grid = source.pixel_format.subsampling == target.pixel_format.subsampling
        same_codes = same_family and source.color == target.color
        self._meter = (
            ShiftMeter(source, target, placement, eight_bit_scale(source))
            if same_grid and same_codes
            else None
        )
        self._every = max(1, frames // _SHIFT_FRAMES)
        self._yuv = target.pixel_format.family is Family.YUV
        count = len(self._names)
        slack = [max(1.0, _SMALL / min(shape)) for shape in component_shapes(source)]
        self._slack = np.resize(slack, count)  # all components come from the one of gray
        """The factor of the limits of each component."""
        self._errors = np.zeros(self._grids[1].means_shape, np.float64)
        self._largest = np.zeros(count)
        self._moments = np.zeros((5, count))
        """Sums over cells of x, y, x² and xy, and the number of cells; x is the source, y the output."""
        self._crossed = np.zeros((count, count))
        """Squared differences of output component (row) and source component (column), summed over frames."""
        self._window: deque[_Pair] = deque(maxlen=3)
        self._offsets = np.zeros(3)
        """Sums of squared differences to the source frame before, of the same time, and after it."""
        self._wrong: dict[str, list[float]] = {}
        """Kind of fault → the times of frames that have it."""
        self.frames = 0

    def add(self, seconds: float, source: Sequence[Plane], target: Sequence[Plane]) -> None:
        """Add the planes of a source frame and of its output frame, which is shown at `seconds`."""
        expected = self._recode(self._grids[0].means(source)) * self._scale
        found = self._grids[1].means(target) * self._scale
        if self._meter is not None and self.frames % self._every == self._every // 2:
            self._meter.add(source, target)
        self.frames += 1
        self._note(_Pair(seconds, found, expected))

    def _note(self, pair: _Pair) -> None:
        self._errors += pair.found - pair.expected
        x, y = (cells.reshape(len(cells), -1) for cells in (pair.expected, pair.found))
        count = x.shape[1]
        sum_x, sum_y = x.sum(1), y.sum(1)
        xx, xy, yy = (x * x).sum(1), y @ x.T, (y * y).sum(1)
        shifts = np.abs(sum_y - sum_x) / count
        self._largest = np.maximum(self._largest, shifts)
        if (shifts > FRAME_SHIFT * self._slack).any():
            self._wrong.setdefault(self._kind(pair), []).append(pair.seconds)
        self._moments[:4] += np.array((sum_x, sum_y, xx, xy.diagonal()))
        self._moments[4] += count
        self._crossed += (yy[:, None] - 2 * xy + xx[None]) / count
        self._window.append(pair)
        if len(self._window) == 3:
            self._compare_neighbours(*self._window)

    def _kind(self, pair: _Pair) -> str:
        """The kind of fault of a frame with wrong means."""
        means = pair.found.mean((1, 2))
        if self._yuv and means[1] < 60 and means[2] < 60:
            return "green pictures that the source does not have"
        if means[0] < 20 and pair.expected[0].mean() > 24:
            return "black pictures that the source does not have"
        return "pictures of another brightness or colour"

    def _compare_neighbours(self, before: _Pair, now: _Pair, after: _Pair) -> None:
        """Note it if `now` shows the picture of the frame before or after it."""
        distances = np.array([_distance(now.found, pair.expected) for pair in (before, now, after)])
        movement = np.array([_distance(now.expected, pair.expected) for pair in (before, after)])
        if movement.min() > _MOVEMENT:
            self._offsets += distances
        moved = movement[0] > _MOVEMENT and distances[1] > movement[0] / 2
        if moved and _distance(now.found, before.found) < _FROZEN * movement[0]:
            self._wrong.setdefault("frozen pictures, while the source moves", []).append(now.seconds)
            return
        for neighbour, moved, name in ((0, movement[0], "before"), (2, movement[1], "after")):
            better = distances[neighbour] < _CLEARLY * distances[1]
            if moved > _MOVEMENT and better and distances[1] > moved / 4:
                self._wrong.setdefault(f"pictures of the frame {name}", []).append(now.seconds)

    def findings(self) -> Iterator[Finding]:
        """The faults of the pictures so far."""
        if not self.frames:
            return
        exchanged = self._exchanged()
        if exchanged:
            yield Finding(check=Check.PICTURE, message=f"the planes {exchanged} are exchanged")
        if self._is_offset(0) or self._is_offset(2):
            way = "earlier" if self._is_offset(0) else "later"
            yield Finding(check=Check.PICTURE, message=f"all pictures are those of one frame {way}")
        else:
            for kind, times in self._wrong.items():
                count = counted(len(times), "frame")
                yield Finding(check=Check.PICTURE, message=f"{count}: {kind}", seconds=times[0])
        if exchanged:
            return
        errors = self._errors / self.frames
        for plane, error, slack, moments in zip(
            self.planes(), errors, self._slack, self._moments.T, strict=True
        ):
            allowed = float(np.hypot(_CELL_ERROR, _CONTRAST * _variance(moments) ** 0.5))
            yield from _plane_findings(plane, error, slack, allowed)

    def planes(self) -> tuple[PlaneFigures, ...]:
        """The figures of each plane."""
        return tuple(
            PlaneFigures(
                name=name,
                mean_shift=float(self._errors[index].mean() / max(1, self.frames)),
                largest_shift=float(self._largest[index]),
                contrast=_slope(self._moments[:, index]),
                offset=None if self._meter is None else self._meter.shift(index),
            )
            for index, name in enumerate(self._names)
        )

    def _is_offset(self, neighbour: int) -> bool:
        """Whether the frame before (0) or after (2) matches clearly better, over the clip."""
        return bool(self._offsets[1] > 0 and self._offsets[neighbour] < _CLEARLY * self._offsets[1])

    def _exchanged(self) -> str:
        """The names of two planes of the output that match each other's source plane; "" if there are
        none."""
        count, crossed = len(self._names), self._crossed / max(1, self.frames)
        for a in range(count):
            for b in range(a + 1, count):
                straight, cross = crossed[a, a] + crossed[b, b], crossed[a, b] + crossed[b, a]
                if cross < _CLEARLY * straight and straight > 4:
                    return f"{self._names[a]} and {self._names[b]}"
        return ""


def _plane_findings(
    plane: PlaneFigures, error: NDArray[np.float64], slack: float, allowed: float
) -> Iterator[Finding]:
    """`allowed` is the largest root mean square of the cells' errors."""
    share = slack * (_RGB_SHARE if plane.name in ("R", "G", "B") else 1)
    if abs(plane.mean_shift) > CLIP_SHIFT * share:
        yield Finding(
            check=Check.PICTURE,
            message=f"{plane.name} is {plane.mean_shift:+.2f} codes off in the mean: wrong matrix or range?",
        )
    if plane.contrast is not None and abs(plane.contrast - 1) > _CONTRAST * share:
        yield Finding(
            check=Check.PICTURE,
            message=f"the contrast of {plane.name} is {plane.contrast:.3f} of the source's:"
            " wrong range or matrix?",
        )
    rms = float(np.sqrt(((error - error.mean()) ** 2).mean()))
    if rms > allowed * share:
        yield Finding(
            check=Check.PICTURE,
            message=f"{plane.name} differs by {rms:.2f} codes (root mean square of cells)",
        )
    if plane.offset is not None and max(map(abs, plane.offset)) > _SHIFT:
        right, down = plane.offset
        yield Finding(
            check=Check.PICTURE,
            message=f"{plane.name} is shifted by {right:+.2f} samples to the right and {down:+.2f} down"
            " (samples of the source)",
        )


def _distance(a: Cells, b: Cells) -> float:
    """Mean square difference without the difference of the means, because a fade is not movement."""
    difference = (a - b).reshape(len(a), -1)
    means = difference.sum(1) / difference.shape[1]
    return float(np.vdot(difference, difference) / difference.size - np.vdot(means, means) / len(means))


def _variance(moments: NDArray[np.float64]) -> float:
    """The variance of the source's cells."""
    x, _, xx, _, count = moments
    return max(0.0, float(xx / count - (x / count) ** 2)) if count else 0.0


def _slope(moments: NDArray[np.float64]) -> float | None:
    """Least-squares slope of y over x; None if x hardly varies."""
    x, y, _, xy, count = moments
    variance = _variance(moments)
    if variance < 25:
        return None
    return float((xy / count - x * y / count**2) / variance)
