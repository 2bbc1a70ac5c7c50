"""The number and the position of a frame's cells of detail, for engines that compute only those."""

from __future__ import annotations

from dataclasses import dataclass

from paragon_stream.framejob.components import OutputPlane
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Detail, Pair, Tail


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of detail that a frame has."""

    size: Pair[int]
    """Rows and columns."""
    lead: Pair[int]
    """Rows and columns of cells before the picture's first cell, for planes that are filtered from detail at
    full resolution."""


def frame_cells(job: FrameJob, tail: Tail) -> Cells:
    spans = [
        [_span(job.scale, plane, detail, axis) for axis in (0, 1)]
        for plane, detail in zip(job.outputs, tail.details, strict=True)
        if detail is not None
    ]
    lead = [max(-each[axis][0] for each in spans) for axis in (0, 1)]
    size = [max(each[axis][1] for each in spans) + lead[axis] + 1 for axis in (0, 1)]
    return Cells(size=(size[0], size[1]), lead=(lead[0], lead[1]))


def _span(scale: int, plane: OutputPlane, detail: Detail, axis: int) -> Pair[int]:
    """The first and the last cell that a plane's samples are made of, 0 and more for the picture's own."""
    last = plane.size[axis] - 1
    if detail.down is None:
        return 0, (last + detail.lead[axis]) // detail.block[axis]
    bank = plane.down[axis]
    low, high = bank.reach
    return min(0, (low + 1) // scale), (last * bank.step + high + 1) // scale
