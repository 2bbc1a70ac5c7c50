"""One component in a frame job: its source grid, its filters, its resampling and its bars."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import NetworkSpec
from paragon_stream.frame import Family, FrameFormat
from paragon_stream.framejob.resample import Resampling
from paragon_stream.framejob.tail import Pair
from paragon_stream.framejob.taps import (
    HALF_BAND,
    IDENTITY,
    FilterBank,
    chroma_down,
    chroma_enlarged,
    chroma_up,
    magic_kernel,
    siting_offset,
)
from paragon_stream.geometry import Axis, Placement

type Filter = tuple[float, FilterBank, FilterBank]
"""Weight, vertical bank, horizontal bank; a resampler is a sum of such separable filters."""


@dataclass(frozen=True, kw_only=True)
class InputPlane:
    """One component of the source; `up` brings it to the luma grid (identity for luma)."""

    component: int
    factor: Pair[int]
    """Luma samples per sample."""
    pad: Pair[Pair[int]]
    """Replicated samples (top, bottom), (left, right)."""
    up: Pair[FilterBank]


type Mix = tuple[tuple[int, float], ...]
"""Gains by component of input planes that share a grid; the planes are added before filtering."""


@dataclass(frozen=True, kw_only=True)
class BaseTerm:
    """`Σ filters` of a mix of input planes; cells of the filters begin at the picture's first sample."""

    mix: Mix
    filters: tuple[Filter, ...]


@dataclass(frozen=True, kw_only=True)
class OutputPlane:
    """One component of the target: base + detail + `offset`, the code of a centred zero of all planes.

    `down` computes it from its component at full HR resolution (identity for luma). `size` is its size at the
    network's scale; `resampling` and `bars` then give the target's size.
    """

    component: int
    factor: Pair[int]
    size: Pair[int]
    down: Pair[FilterBank]
    base: tuple[BaseTerm, ...]
    offset: float
    resampling: Pair[Resampling]
    """Filters (vertical, horizontal), like all pairs."""
    bars: Pair[Pair[int]]
    """Target samples (above, below), (left, right) of the picture, of the code `black`."""
    black: float

    @property
    def has_bars(self) -> bool:
        return self.bars != ((0, 0), (0, 0))


ALPHA = 3
"""The alpha component: straight alpha from 0 to the peak, in every format."""

CURRENT = 4
"""Added to a component's number in the video mode for the frame itself; the blended frame has the plain
number."""


def colors(format: FrameFormat) -> range:
    """Canonical components of the network's input: Y, U, V or R, G, B or gray."""
    return range(1 if format.pixel_format.family is Family.GRAY else 3)


def _factor(format: FrameFormat, component: int) -> Pair[int]:
    """Luma samples per sample of the component."""
    if component % CURRENT in (0, ALPHA):
        return 1, 1
    across, down = format.pixel_format.subsampling
    return 1 << down, 1 << across


def plane_size(target: FrameFormat, factor: Pair[int]) -> Pair[int]:
    return math.ceil(target.height / factor[0]), math.ceil(target.width / factor[1])


def _banks(
    make: Callable[[int, Fraction], FilterBank], factor: Pair[int], format: FrameFormat
) -> Pair[FilterBank]:
    """`chroma_up` or `chroma_down` for both axes, at the format's chroma location."""
    location = format.color.chroma_location
    return make(factor[0], location.vertical), make(factor[1], location.horizontal)


def input_plane(source: FrameFormat, component: int, margin: int, padded: Pair[int]) -> InputPlane:
    """Luma gets the margin; chroma one more sample on every side, for its upsampling."""
    factor = _factor(source, component)
    spare = 0 if factor == (1, 1) else 1
    pads = []
    for axis, size in enumerate((source.height, source.width)):
        before = margin // factor[axis] + spare
        after = padded[axis] // factor[axis] + 2 * spare - before - math.ceil(size / factor[axis])
        pads.append((before, after))
    return InputPlane(
        component=component,
        factor=factor,
        pad=(pads[0], pads[1]),
        up=_banks(chroma_up, factor, source),
    )


def output_plane(
    source: FrameFormat,
    target: FrameFormat,
    component: int,
    inputs: tuple[InputPlane, ...],
    mix: NDArray[np.float64],
    offset: float,
    spec: NetworkSpec,
    *,
    placement: Placement,
    black: float,
    filtered: NDArray[np.float64] | None = None,
) -> OutputPlane:
    """`mix` has the gains from codes of each of `inputs` to codes of this component through the base path,
    `filtered` those through the chroma filter, for weights that use one."""
    factor = _factor(target, component)
    down = _banks(chroma_down, factor, target)

    def base(plane: InputPlane) -> tuple[Filter, ...]:
        return _base_filters(plane, down, spec)

    def chroma(plane: InputPlane) -> tuple[Filter, ...]:
        return _chroma_filters(source, target, plane.factor, factor, spec.scale)

    filtered = np.zeros_like(mix) if filtered is None else filtered
    least = 1e-9 * np.abs(mix + filtered).max(initial=0)  # smaller values are rounding errors of the matrices
    size = plane_size(
        replace(target, width=source.width * spec.scale, height=source.height * spec.scale), factor
    )
    return OutputPlane(
        component=component,
        factor=factor,
        size=size,
        down=down,
        base=(*_terms(inputs, mix, least, base), *_terms(inputs, filtered, least, chroma)),
        offset=offset,
        resampling=_resampling(target, placement, spec.scale, factor, size),
        bars=(_bars(placement.rows, factor[0]), _bars(placement.columns, factor[1])),
        black=black,
    )


def _terms(
    inputs: tuple[InputPlane, ...],
    gains: NDArray[np.float64],
    least: float,
    filters: Callable[[InputPlane], tuple[Filter, ...]],
) -> list[BaseTerm]:
    """The sums of `inputs` through `filters`: one term for all planes of one grid."""
    grids: dict[Pair[int], list[int]] = {}
    for index, plane in enumerate(inputs):
        grids.setdefault(plane.factor, []).append(index)
    terms = []
    for members in grids.values():
        parts = tuple(
            (inputs[index].component, float(gains[index])) for index in members if abs(gains[index]) > least
        )
        if parts:
            terms.append(BaseTerm(mix=parts, filters=filters(inputs[members[0]])))
    return terms


def _resampling(
    target: FrameFormat, placement: Placement, scale: int, factor: Pair[int], size: Pair[int]
) -> Pair[Resampling]:
    """The resampling of rows and of columns from the network's scale to the target's grid."""
    location = target.color.chroma_location
    down, across = (
        Resampling.of_plane(axis, scale, each, siting_offset(position, each), length)
        for axis, each, position, length in zip(
            (placement.rows, placement.columns),
            factor,
            (location.vertical, location.horizontal),
            size,
            strict=True,
        )
    )
    return down, across


def _base_filters(plane: InputPlane, down: Pair[FilterBank], spec: NetworkSpec) -> tuple[Filter, ...]:
    """The base path: the plane to the luma grid, enlarged by the MagicKernel, down to the target's grid."""
    filters = []
    for weight, sharpen in ((1 - spec.alpha, IDENTITY), (spec.alpha, HALF_BAND)):
        if weight:
            rows, columns = (
                up.then(sharpen).then(magic_kernel(spec.scale)).then(to_target)
                for up, to_target in zip(plane.up, down, strict=True)
            )
            filters.append((weight, rows, columns))
    return tuple(filters)


def _chroma_filters(
    source: FrameFormat, target: FrameFormat, before: Pair[int], after: Pair[int], scale: int
) -> tuple[Filter, ...]:
    """The filter that enlarges chroma from the source's grid to the target's. `before` and `after` are their
    luma samples per sample. It works on the source's grid if both grids are equal, otherwise on the luma
    grid."""
    banks = []
    old, new = source.color.chroma_location, target.color.chroma_location
    sitings = ((old.vertical, new.vertical), (old.horizontal, new.horizontal))
    for old_factor, new_factor, (old_siting, new_siting) in zip(before, after, sitings, strict=True):
        if old_factor == new_factor and (old_factor == 1 or old_siting == new_siting):
            banks.append(chroma_enlarged(scale, old_factor, old_siting))
        else:
            to_luma = chroma_enlarged(scale, old_factor, old_siting, to_luma=True)
            banks.append(to_luma.then(chroma_down(new_factor, new_siting)))
    return ((1.0, banks[0], banks[1]),)


def _bars(axis: Axis, factor: int) -> Pair[int]:
    """The widths of the bars before and after the picture, in samples of a plane with one sample for every
    `factor` luma samples."""
    before = axis.offset // factor
    return before, math.ceil(axis.total / factor) - before - math.ceil(axis.size / factor)


def plain_output(plane: OutputPlane, size: Pair[int]) -> OutputPlane:
    """The plane at the network's scale, without resampling and bars."""
    return replace(
        plane,
        size=size,
        resampling=(Resampling.identity(size[0]), Resampling.identity(size[1])),
        bars=((0, 0), (0, 0)),
    )
