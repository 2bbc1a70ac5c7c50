"""The frame job: what happens to the planes of one stream, as formats and folded arrays.

    planes → centred codes → edge-replicated margin → chroma up → network body → tail → detail ┐
                                   └────────── base path, plane by plane ──────────────────────┴→ sum
    sum → crop → resampling, plane by plane, to the size wanted → round half to even, once → clip to 0 … 2ⁿ-1
        → bars → planes

Nothing here runs; runtimes compile a `FrameJob`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import NetworkSpec, Variant, Weights
from paragon_stream.errors import FormatError
from paragon_stream.frame import ColorSpec, Family, FrameFormat, PixelFormat
from paragon_stream.framejob import fold
from paragon_stream.framejob.color import check_chroma_location, color_map
from paragon_stream.framejob.fold import Block, Conv, Doubles
from paragon_stream.framejob.resample import Resampling
from paragon_stream.framejob.tail import Pair, Tail, arrange_tail, collapse_tail
from paragon_stream.framejob.taps import (
    HALF_BAND,
    IDENTITY,
    FilterBank,
    chroma_down,
    chroma_up,
    magic_kernel,
    siting_offset,
)
from paragon_stream.geometry import Axis, Placement, enlarged

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


@dataclass(frozen=True, kw_only=True)
class BaseTerm:
    """`gain · Σ filters` of one input plane; cells of the filters begin at the picture's first sample."""

    plane: int
    gain: float
    filters: tuple[Filter, ...]


@dataclass(frozen=True, kw_only=True)
class OutputPlane:
    """One component of the target: base + detail + `offset`, the code that a centred zero of all planes has.

    `down` is what makes it of its component at full HR resolution (identity for luma). `size` is what the
    network's scale makes of the source; from there `resampling` and `bars` lead to the target's size.
    """

    component: int
    factor: Pair[int]
    size: Pair[int]
    down: Pair[FilterBank]
    base: tuple[BaseTerm, ...]
    offset: float
    resampling: Pair[Resampling]
    """Along rows' and columns' numbers: (vertical, horizontal), like all pairs."""
    bars: Pair[Pair[int]]
    """Target samples (above, below), (left, right) of the picture, of the code `black`."""
    black: float

    @property
    def has_bars(self) -> bool:
        return self.bars != ((0, 0), (0, 0))


@dataclass(frozen=True, kw_only=True)
class FrameJob:
    """Planes of `source` in, planes of `target` out.

    `target` is `scale` times as large, or has another size, which the planes are then resampled to.

    If `spec.conditioned`, there is one more input, the strength (fp32, shape [1], 0…1).
    """

    source: FrameFormat
    target: FrameFormat
    scale: int
    spec: NetworkSpec
    weights_name: str
    weights_sha256: str
    radius: int
    """LR samples of context that an output sample can depend on, on each side."""
    margin: int
    """Replicated luma samples around the picture: the radius, rounded up to keep every grid aligned."""
    cell: Pair[int]
    """Luma samples after which all grids repeat: what a tile's origin must be a multiple of."""
    padded: Pair[int]
    """Rows and columns of the luma grid with its margins."""
    centre: float
    """Taken off every code value of the source before anything else."""
    inputs: tuple[InputPlane, ...]
    """By canonical component."""
    first: Conv
    blocks: tuple[Block, ...]
    mid: Conv
    tail_weight: Doubles
    """The collapsed tail: see `collapse_tail`."""
    tail_bias: Doubles
    outputs: tuple[OutputPlane, ...]
    """By canonical component."""

    def tail(self, lanes: int) -> Tail:
        """The tail arranged for machines that compute `lanes` output channels at once."""
        downs = [plane.down for plane in self.outputs]
        return arrange_tail(self.tail_weight, self.tail_bias, downs, lanes=lanes)

    @property
    def resamples(self) -> bool:
        """Whether the target is anything but `scale` times the source, bars aside."""
        return any(not each.is_identity for plane in self.outputs for each in plane.resampling)

    @property
    def context(self) -> int:
        """Source luma samples around a tile that its own target samples may depend on; whole cells."""
        reach = max(
            math.ceil(Fraction(each.reach * factor, self.scale))
            for plane in self.outputs
            for each, factor in zip(plane.resampling, plane.factor, strict=True)
        )
        whole = math.lcm(2, *self.cell)
        return self.margin + math.ceil(reach / whole) * whole

    def resized(self, width: int, height: int) -> FrameJob:
        """The same job for frames, or tiles of them, of another size: up to the resampling and the bars.

        Where the job resamples, the target's samples are unrounded floats, because a tile is only a part of
        what is resampled.
        """
        pixels = self.target.pixel_format
        source = replace(self.source, width=width, height=height)
        target = replace(
            self.target,
            width=width * self.scale,
            height=height * self.scale,
            pixel_format=replace(pixels, floating=True, shift=0) if self.resamples else pixels,
        )
        padded = _padded(source, self.margin, self.cell)
        return replace(
            self,
            source=source,
            target=target,
            padded=padded,
            inputs=tuple(_input_plane(source, p.component, self.margin, padded) for p in self.inputs),
            outputs=tuple(_plain_output(p, _plane_size(target, p.factor)) for p in self.outputs),
        )

    @property
    def working_set(self) -> int:
        """Bytes of fp32 feature maps that are alive at once while one frame is computed, at most."""
        f = self.spec.features
        maps = 6 * f if self.spec.variant is Variant.REALTIME else 7 * f
        return 4 * maps * self.padded[0] * self.padded[1]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}, {self.spec}"


def build_job(
    weights: Weights,
    source: FrameFormat,
    *,
    pixel_format: PixelFormat | None = None,
    color: ColorSpec | None = None,
    placement: Placement | None = None,
) -> FrameJob:
    """Fold `weights` for frames of `source`.

    The target has the network's `scale` times the size unless a `placement` says otherwise, and, unless said
    otherwise, the source's pixel format and colour; `color` matters where the family changes (RGB ↔ YUV) or
    the range shall. Everything is computed from the float result: an 8-bit source gives real 10-bit output.

    Raises FormatError for colour that is not resolved or not affine, and for alpha.
    """
    spec = weights.spec
    placement = placement or enlarged(source, spec.scale)
    target = placement.target(source, pixel_format=pixel_format, color=color)
    for format in (source, target):
        _check(format)
    source_colors, target_colors = color_map(source), color_map(target)

    radius = _radius(spec)
    cell = _cell(source.pixel_format, target.pixel_format, spec.scale)
    margin = math.ceil(radius / math.lcm(2, *cell)) * math.lcm(2, *cell)
    padded = _padded(source, margin, cell)
    inputs = tuple(_input_plane(source, component, margin, padded) for component in _components(source))
    mix = target_colors.from_rgb @ source_colors.to_rgb
    offsets = target_colors.from_rgb @ source_colors.rgb_of_centre + target_colors.code_of_black
    tail_weight, tail_bias = collapse_tail(weights.tensors, spec.scale, target_colors)
    return FrameJob(
        source=source,
        target=target,
        scale=spec.scale,
        spec=spec,
        weights_name=weights.name,
        weights_sha256=weights.sha256,
        radius=radius,
        margin=margin,
        cell=cell,
        padded=padded,
        centre=source_colors.centre,
        inputs=inputs,
        first=fold.fold_input(weights.tensors, source_colors),
        blocks=tuple(
            fold.fold_block(weights.tensors, spec, group, index)
            for group in range(spec.groups)
            for index in range(spec.blocks)
        ),
        mid=fold.fold_mid(weights.tensors),
        tail_weight=tail_weight,
        tail_bias=tail_bias,
        outputs=tuple(
            _output_plane(
                target,
                component,
                inputs,
                mix[component],
                float(offsets[component]),
                spec,
                placement=placement,
                large=(source.height * spec.scale, source.width * spec.scale),
                black=float(target_colors.code_of_black[component]),
            )
            for component in _components(target)
        ),
    )


def _check(format: FrameFormat) -> None:
    if format.width < 1 or format.height < 1:
        raise FormatError(f"a frame of {format.width}×{format.height} samples cannot be processed")
    if format.pixel_format.has_alpha:
        raise FormatError(f"pixel format {format.pixel_format.name} has alpha, which is not supported yet")
    check_chroma_location(format)


def _components(format: FrameFormat) -> range:
    """Canonical components: Y, U, V or R, G, B or the one gray."""
    return range(1 if format.pixel_format.family is Family.GRAY else 3)


def _factor(format: FrameFormat, component: int) -> Pair[int]:
    """Luma samples per sample of the component."""
    if component == 0:
        return 1, 1
    across, down = format.pixel_format.subsampling
    return 1 << down, 1 << across


def _radius(spec: NetworkSpec) -> int:
    """conv_in 1, conv_mid 1, tail 2, and per block 1 (Realtime) or 3 + 1 (Stream: dilated, then gate)."""
    per_block = 1 if spec.variant is Variant.REALTIME else 4
    return 4 + spec.depth * per_block


def _cell(source: PixelFormat, target: PixelFormat, scale: int) -> Pair[int]:
    """Luma samples per period: whole chroma samples of the source and, scaled, of the target."""

    def along(axis: int) -> int:
        factor = 1 << target.subsampling[axis]
        return math.lcm(1 << source.subsampling[axis], factor // math.gcd(factor, scale))

    return along(1), along(0)


def _padded(source: FrameFormat, margin: int, cell: Pair[int]) -> Pair[int]:
    rows, columns = (
        2 * margin + math.ceil(size / period) * period
        for size, period in zip((source.height, source.width), cell, strict=True)
    )
    return rows, columns


def _plane_size(target: FrameFormat, factor: Pair[int]) -> Pair[int]:
    return math.ceil(target.height / factor[0]), math.ceil(target.width / factor[1])


def _banks(
    make: Callable[[int, Fraction], FilterBank], factor: Pair[int], format: FrameFormat
) -> Pair[FilterBank]:
    """`chroma_up` or `chroma_down` for both axes, at the format's chroma location."""
    location = format.color.chroma_location
    return make(factor[0], location.vertical), make(factor[1], location.horizontal)


def _input_plane(source: FrameFormat, component: int, margin: int, padded: Pair[int]) -> InputPlane:
    """Luma gets the margin; chroma one sample more on every side, which its upsampling consumes."""
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


def _output_plane(
    target: FrameFormat,
    component: int,
    inputs: tuple[InputPlane, ...],
    mix: NDArray[np.float64],
    offset: float,
    spec: NetworkSpec,
    *,
    placement: Placement,
    large: Pair[int],
    black: float,
) -> OutputPlane:
    """`mix` is what one code of each input plane is worth in codes of this component; `large` is the size of
    the network's result, (rows, columns) of luma."""
    factor = _factor(target, component)
    down = _banks(chroma_down, factor, target)
    terms = []
    for plane, gain in zip(inputs, mix, strict=True):
        if abs(gain) < 1e-9 * np.abs(mix).max():
            continue  # 0 but for rounding: the colour matrices undo each other
        filters = []
        for weight, sharpen in ((1 - spec.alpha, IDENTITY), (spec.alpha, HALF_BAND)):
            if weight:
                rows, columns = (
                    up.then(sharpen).then(magic_kernel(spec.scale)).then(to_target)
                    for up, to_target in zip(plane.up, down, strict=True)
                )
                filters.append((weight, rows, columns))
        terms.append(BaseTerm(plane=plane.component, gain=float(gain), filters=tuple(filters)))
    size = math.ceil(large[0] / factor[0]), math.ceil(large[1] / factor[1])
    location = target.color.chroma_location
    down_by, across_by = (
        Resampling.of_plane(axis, spec.scale, each, siting_offset(position, each), length)
        for axis, each, position, length in zip(
            (placement.rows, placement.columns),
            factor,
            (location.vertical, location.horizontal),
            size,
            strict=True,
        )
    )
    return OutputPlane(
        component=component,
        factor=factor,
        size=size,
        down=down,
        base=tuple(terms),
        offset=offset,
        resampling=(down_by, across_by),
        bars=(_bars(placement.rows, factor[0]), _bars(placement.columns, factor[1])),
        black=black,
    )


def _bars(axis: Axis, factor: int) -> Pair[int]:
    """In samples of a plane with one every `factor` luma samples; the picture begins on one."""
    before = axis.offset // factor
    return before, math.ceil(axis.total / factor) - before - math.ceil(axis.size / factor)


def _plain_output(plane: OutputPlane, size: Pair[int]) -> OutputPlane:
    """The plane as the network's scale makes it."""
    return replace(
        plane,
        size=size,
        resampling=(Resampling.identity(size[0]), Resampling.identity(size[1])),
        bars=((0, 0), (0, 0)),
    )
