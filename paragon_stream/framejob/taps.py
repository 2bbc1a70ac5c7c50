"""One-dimensional resampling filters as exact tables, and their composition.

Base path and chroma filters are separable and linear, so each axis of each plane has one filter bank: output
sample p of cell J is a weighted sum of the input samples around J.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN

type Taps = Mapping[int, Fraction]
"""Weight by input offset; weights of zero are left out."""


@dataclass(frozen=True)
class FilterBank:
    """`output[J·len(phases) + p] = Σ phases[p][k] · input[J·step + k]` for every cell J."""

    step: int
    phases: tuple[Taps, ...]

    @property
    def reach(self) -> tuple[int, int]:
        """Lowest and highest input offset, relative to the cell's first input sample."""
        offsets = [k for taps in self.phases for k in taps]
        return min(offsets), max(offsets)

    def then(self, outer: FilterBank) -> FilterBank:
        """This filter followed by `outer`."""
        cell = math.lcm(len(self.phases), outer.step)  # samples between the two, per cell of the result
        phases = []
        for index in range(cell // outer.step * len(outer.phases)):
            outer_cell, outer_phase = divmod(index, len(outer.phases))
            total: dict[int, Fraction] = {}
            for k, weight in outer.phases[outer_phase].items():
                inner_cell, inner_phase = divmod(outer_cell * outer.step + k, len(self.phases))
                for n, inner_weight in self.phases[inner_phase].items():
                    offset = inner_cell * self.step + n
                    total[offset] = total.get(offset, Fraction(0)) + weight * inner_weight
            phases.append({k: w for k, w in sorted(total.items()) if w})
        return FilterBank(self.step * cell // len(self.phases), tuple(phases))

    def shifted(self, count: int) -> FilterBank:
        """The same filter with cells that begin `count` output samples earlier."""
        n = len(self.phases)
        phases = []
        for p in range(n):
            cell, phase = divmod(p - count, n)
            phases.append({k + cell * self.step: w for k, w in self.phases[phase].items()})
        return FilterBank(self.step, tuple(phases))

    def repeated(self, count: int) -> FilterBank:
        """The same filter with `count` cells merged into one."""
        phases = [
            {k + cell * self.step: w for k, w in taps.items()}
            for cell in range(count)
            for taps in self.phases
        ]
        return FilterBank(self.step * count, tuple(phases))


IDENTITY = FilterBank(1, ({0: Fraction(1)},))


def _exact(taps: tuple[float, ...]) -> dict[int, Fraction]:
    """Symmetric dyadic taps as fractions by offset from the centre."""
    half = len(taps) // 2
    return {i - half: Fraction(w) for i, w in enumerate(taps) if w}


HALF_BAND = FilterBank(1, (_exact(MAGIC_SHARPEN),))
"""The low-pass that the base path blends in by alpha."""


def magic_kernel(scale: int) -> FilterBank:
    """Nearest neighbour ×`scale`, then the h5 blur on the enlarged grid."""
    nearest = FilterBank(1, tuple({0: Fraction(1)} for _ in range(scale)))
    return nearest.then(FilterBank(1, (_exact(MAGIC_BLUR),)))


def siting_offset(position: Fraction, factor: int) -> Fraction:
    """Position of the first chroma sample, in luma samples, for `factor`:1 subsampling.

    `position` is `ChromaLocation.horizontal` or `.vertical`: 0 the first, 1/2 between, 1 the last of them.
    """
    return position * (factor - 1)


def chroma_up(factor: int, position: Fraction) -> FilterBank:
    """Chroma to the luma grid: linear interpolation at the sited position."""
    offset = siting_offset(position, factor)
    phases = []
    for p in range(factor):
        place = (p - offset) / factor
        left = math.floor(place)
        share = place - left
        phases.append({k: w for k, w in ((left, 1 - share), (left + 1, share)) if w})
    return FilterBank(1, tuple(phases))


def chroma_enlarged(scale: int, factor: int, position: Fraction, *, to_luma: bool = False) -> FilterBank:
    """Chroma of `factor`:1 subsampling `scale` times larger, for weights with a chroma filter: on its own
    grid, or, with `to_luma`, on the luma grid.

    Lanczos-3, sharpened: k(t) = (1 + 2γ) L(t) - γ (L(t - 1) + L(t + 1)), |t| < 3, at exact positions; weights
    in 256ths that sum to 1. Downsampling has reduced high frequencies, and γ restores a part of them. γ =
    0.02 gains twice as much after bicubic downsampling, and loses up to 0.15 dB after Lanczos
    (`benchmarks/colours.py`).
    """
    offset = siting_offset(position, factor)
    phases = []
    for p in range(scale * factor if to_luma else scale):
        luma = p if to_luma else p * factor + offset  # of the enlarged picture
        place = ((luma + Fraction(1, 2)) / scale - Fraction(1, 2) - offset) / factor
        near = range(math.floor(place) - 2, math.floor(place) + 4)
        weights = [_sharp_lanczos(float(place - k)) for k in near]
        whole = [round(256 * weight / sum(weights)) for weight in weights]
        whole[weights.index(max(weights))] += 256 - sum(whole)
        phases.append({k: Fraction(w, 256) for k, w in zip(near, whole, strict=True) if w})
    return FilterBank(1, tuple(phases))


SHARPENING = 0.01
"""γ of `chroma_enlarged`."""


def _sharp_lanczos(t: float) -> float:
    if abs(t) >= 3:
        return 0.0
    sides = _lanczos3(t - 1) + _lanczos3(t + 1)
    return (1 + 2 * SHARPENING) * _lanczos3(t) - SHARPENING * sides


def _lanczos3(t: float) -> float:
    if t == 0:
        return 1.0
    return 3 * math.sin(math.pi * t) * math.sin(math.pi * t / 3) / (math.pi * t) ** 2 if abs(t) < 3 else 0.0


def chroma_down(factor: int, position: Fraction) -> FilterBank:
    """The luma grid to chroma: [1,2,1]/4 around a co-sited luma sample, [1,1]/2 around the middle of two.

    Other factors follow the same rule: a triangle of `factor` to each side if the site is a luma sample, the
    mean of the covered luma samples if it is in the middle between them.
    """
    if factor == 1:
        return IDENTITY
    offset = siting_offset(position, factor)
    if offset.denominator != 1:
        return FilterBank(factor, ({k: Fraction(1, factor) for k in range(factor)},))
    centre = int(offset)
    triangle = {centre + k: Fraction(factor - abs(k), factor**2) for k in range(1 - factor, factor)}
    return FilterBank(factor, (triangle,))
