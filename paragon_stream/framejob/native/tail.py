"""The collapsed tail as one convolution per plane, chroma downsampling included, for cells of whole samples.

A cell is the least number of source pixels that gives whole samples of the plane: one, or two for chroma of
half the size at ×3. The start of the cells is chosen for the fewest taps. So luma at ×2 begins one sample
early, and needs 4 × 4 taps instead of 5 × 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from paragon_stream.framejob.conv import Doubles
from paragon_stream.framejob.tail import Pair
from paragon_stream.framejob.taps import FilterBank

_FIRST_TAP = -2  # of the collapsed tail, in source pixels


@dataclass(frozen=True, kw_only=True)
class PlaneTail:
    """Cell J's samples are sums over source pixels J·step + first …; pairs are (vertical, horizontal).

    weight (rows, columns, features, taps, taps) and bias (rows, columns) of the cell's samples; cell 0 begins
    `lead` samples before sample 0.
    """

    weight: Doubles
    bias: Doubles
    first: Pair[int]
    step: Pair[int]
    lead: Pair[int]

    @property
    def taps(self) -> Pair[int]:
        return self.weight.shape[3], self.weight.shape[4]

    @property
    def window(self) -> tuple[Pair[int], Pair[int], Pair[int]]:
        """The properties that planes must share to be computed together."""
        return self.first, self.taps, self.step

    def same(self, other: PlaneTail) -> bool:
        """Whether both planes get the same detail."""
        return (
            (self.window, self.lead) == (other.window, other.lead)
            and np.array_equal(self.weight, other.weight)
            and np.array_equal(self.bias, other.bias)
        )

    @property
    def reach(self) -> Pair[Pair[int]]:
        """Source pixels (before, after) that samples of whole cells depend on, per axis."""
        before, after = (
            (-first, first + taps - (0 if lead else step))
            for first, taps, step, lead in zip(self.first, self.taps, self.step, self.lead, strict=True)
        )
        return before, after


def plane_tail(weight: Doubles, bias: Doubles, down: Pair[FilterBank]) -> PlaneTail:
    """The tail of one component, from `weight` (scale, scale, features, 4, 4) and `bias` (scale, scale) of
    `collapse_tail`; `down` is the filter from full resolution to the plane's."""
    scale = len(bias)
    first, step, lead = [0, 0], [0, 0], [0, 0]
    for axis, bank in enumerate(down):
        cell = math.lcm(scale, bank.step)
        whole = bank.repeated(cell // bank.step)
        choices = [(*_along(weight, bias, whole.shifted(n), axis), n) for n in range(len(whole.phases))]
        weight, bias, first[axis], lead[axis] = min(choices, key=lambda choice: choice[0].shape[3 + axis])
        step[axis] = cell // scale
    return PlaneTail(
        weight=weight, bias=bias, first=(first[0], first[1]), step=(step[0], step[1]), lead=(lead[0], lead[1])
    )


def _along(weight: Doubles, bias: Doubles, bank: FilterBank, axis: int) -> tuple[Doubles, Doubles, int]:
    """One axis combined with `bank`: weight and bias of its samples, and the first source pixel."""
    low, matrix = _composed(bank, bias.shape[axis])
    moved = np.moveaxis(weight, (axis, 3 + axis), (0, 1))
    wide = np.tensordot(matrix, moved, axes=([1, 3], [0, 1]))
    used = np.flatnonzero(wide.any(axis=(0, *range(2, wide.ndim))))
    start, end = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
    sums = matrix[:, :, :, 0].sum(axis=2)
    return (
        np.moveaxis(wide[:, start:end], (0, 1), (axis, 3 + axis)),
        np.moveaxis(np.tensordot(sums, bias, axes=(1, axis)), 0, axis),
        low + start,
    )


def _composed(bank: FilterBank, scale: int) -> tuple[int, Doubles]:
    """A bank on HR samples combined with the tail's four taps: the first source pixel, and the tail's taps
    that each result uses."""
    parts = [
        (sample, phase, cell + _FIRST_TAP + tap, tap, float(share))
        for sample, taps in enumerate(bank.phases)
        for offset, share in taps.items()
        for cell, phase in [divmod(offset + 1, scale)]  # the tail's cells begin one HR sample early
        for tap in range(4)
    ]
    low, high = min(part[2] for part in parts), max(part[2] for part in parts)
    matrix = np.zeros((len(bank.phases), scale, high - low + 1, 4))
    for sample, phase, place, tap, share in parts:
        matrix[sample, phase, place - low, tap] += share
    return low, matrix
