"""The frame job: what happens to the planes of one stream, as formats and folded arrays.

    planes → centred codes → edge-replicated margin → chroma up → network body → tail → detail ┐
                                   └────────── base path, plane by plane ──────────────────────┴→ sum
    sum → crop → round half to even, once → clip to 0 … 2ⁿ-1 → planes

Nothing here runs; runtimes compile a `FrameJob`. The picture is processed in *groups* of components that are
sampled alike: luma and the chroma pair, or all three.
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
from paragon_stream.framejob.color import ColorMap, check_chroma_location, color_map
from paragon_stream.framejob.fold import Block, Conv
from paragon_stream.framejob.taps import HALF_BAND, IDENTITY, FilterBank, chroma_down, chroma_up, magic_kernel

type Pair[T] = tuple[T, T]
"""(vertical, horizontal)."""

type Filter = tuple[float, FilterBank, FilterBank]
"""Weight, vertical bank, horizontal bank; a resampler is a sum of such separable filters."""


@dataclass(frozen=True, kw_only=True)
class InputGroup:
    """Components of the source that share a grid. `up` brings them to the luma grid (identity for luma)."""

    components: tuple[int, ...]
    factor: Pair[int]
    """Luma samples per sample."""
    pad: Pair[Pair[int]]
    """Replicated samples (top, bottom), (left, right)."""
    up: Pair[FilterBank]


@dataclass(frozen=True, kw_only=True)
class BaseTerm:
    """What one input group gives to the base of one output group: `matrix · Σ weight · rows ∘ columns`.

    Cells of the banks lie on the input group's grid, beginning at the picture's first sample.
    """

    group: int
    matrix: NDArray[np.float64]
    """Output components × input components; code values to code values."""
    filters: tuple[Filter, ...]


@dataclass(frozen=True, kw_only=True)
class Detail:
    """Where an output group finds the network's detail: channels of the tail, perhaps a convolution, a shuffle.

    `block` samples (rows, columns) per cell and component; the first cell of the padded LR grid begins
    `lead` target samples before the grid does.
    """

    channels: tuple[int, int]
    down: Conv | None
    block: Pair[int]
    lead: Pair[int]


@dataclass(frozen=True, kw_only=True)
class OutputGroup:
    """Components of the target that share a grid, their detail, base and the code of a centred zero."""

    components: tuple[int, ...]
    factor: Pair[int]
    detail: Detail
    base: tuple[BaseTerm, ...]
    offset: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FrameJob:
    """Planes of `source` in, planes of `target` out; `target` is `scale` times as large.

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
    padded: Pair[int]
    """Rows and columns of the luma grid with its margins."""
    centre: float
    """Taken off every code value of the source before anything else."""
    inputs: tuple[InputGroup, ...]
    first: Conv
    blocks: tuple[Block, ...]
    mid: Conv
    tail: Conv
    outputs: tuple[OutputGroup, ...]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}, {self.spec}"


def build_job(
    weights: Weights,
    source: FrameFormat,
    *,
    pixel_format: PixelFormat | None = None,
    color: ColorSpec | None = None,
) -> FrameJob:
    """Fold `weights` for frames of `source`.

    The target has `scale` times the size and, unless said otherwise, the pixel format and colour of the
    source; `color` matters where the family changes (RGB ↔ YUV) or the range shall. Everything is computed
    from the float result: an 8-bit source gives real 10-bit output.

    Raises FormatError for colour that is not resolved or not affine, and for alpha.
    """
    spec = weights.spec
    target = _target(source, spec.scale, pixel_format, color)
    for format in (source, target):
        _check(format)
    source_colors, target_colors = color_map(source), color_map(target)
    input_grids, output_grids = _groups(source.pixel_format), _groups(target.pixel_format)

    radius = _radius(spec)
    cell = _cell(source.pixel_format, target.pixel_format, spec.scale)
    margin = math.ceil(radius / math.lcm(2, *cell)) * math.lcm(2, *cell)
    padded = (_pad_up(source.height, margin, cell[0]), _pad_up(source.width, margin, cell[1]))

    inputs = tuple(
        InputGroup(
            components=components,
            factor=factor,
            pad=_pads(source, factor, margin, padded),
            up=_banks(chroma_up, factor, source),
        )
        for components, factor in input_grids
    )
    tail, details = _fold_tail(weights, target, target_colors, output_grids, cell)
    mix = target_colors.from_rgb @ source_colors.to_rgb
    offset = target_colors.from_rgb @ source_colors.rgb_of_centre + target_colors.code_of_black
    outputs = tuple(
        OutputGroup(
            components=components,
            factor=factor,
            detail=detail,
            base=_base(inputs, components, factor, mix, source, target, spec),
            offset=offset[list(components)],
        )
        for (components, factor), detail in zip(output_grids, details, strict=True)
    )
    return FrameJob(
        source=source,
        target=target,
        scale=spec.scale,
        spec=spec,
        weights_name=weights.name,
        weights_sha256=weights.sha256,
        radius=radius,
        margin=margin,
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
        tail=tail,
        outputs=outputs,
    )


def _target(
    source: FrameFormat, scale: int, pixel_format: PixelFormat | None, color: ColorSpec | None
) -> FrameFormat:
    return replace(
        source,
        width=source.width * scale,
        height=source.height * scale,
        pixel_format=pixel_format or source.pixel_format,
        color=color or source.color,
    )


def _check(format: FrameFormat) -> None:
    if format.width < 1 or format.height < 1:
        raise FormatError(f"a frame of {format.width}×{format.height} samples cannot be processed")
    if format.pixel_format.has_alpha:
        raise FormatError(f"pixel format {format.pixel_format.name} has alpha, which is not supported yet")
    check_chroma_location(format)


def _groups(pixels: PixelFormat) -> list[tuple[tuple[int, ...], Pair[int]]]:
    """Canonical components that share a grid, with that grid's luma samples per sample."""
    if pixels.family is Family.GRAY:
        return [((0,), (1, 1))]
    across, down = pixels.subsampling
    if (across, down) == (0, 0):
        return [((0, 1, 2), (1, 1))]
    return [((0,), (1, 1)), ((1, 2), (1 << down, 1 << across))]


def _radius(spec: NetworkSpec) -> int:
    """conv_in 1, conv_mid 1, tail 2, and per block 1 (Realtime) or 3 + 1 (Stream: dilated, then gate)."""
    per_block = 1 if spec.variant is Variant.REALTIME else 4
    return 4 + spec.depth * per_block


def _cell(source: PixelFormat, target: PixelFormat, scale: int) -> Pair[int]:
    """Luma samples per period of everything: whole chroma samples of the source and, scaled, of the target."""

    def along(axis: int) -> int:
        factor = 1 << target.subsampling[axis]
        return math.lcm(1 << source.subsampling[axis], factor // math.gcd(factor, scale))

    return along(1), along(0)


def _pad_up(size: int, margin: int, cell: int) -> int:
    return 2 * margin + math.ceil(size / cell) * cell


def _pads(source: FrameFormat, factor: Pair[int], margin: int, padded: Pair[int]) -> Pair[Pair[int]]:
    """Luma gets the margin; chroma one sample more on every side, which its upsampling consumes."""
    pads = []
    for axis, size in enumerate((source.height, source.width)):
        spare = 1 if factor != (1, 1) else 0
        before = margin // factor[axis] + spare
        after = padded[axis] // factor[axis] + 2 * spare - before - math.ceil(size / factor[axis])
        pads.append((before, after))
    return pads[0], pads[1]


def _banks(
    make: Callable[[int, Fraction], FilterBank], factor: Pair[int], format: FrameFormat
) -> Pair[FilterBank]:
    """`chroma_up` or `chroma_down` for both axes, at the format's chroma location."""
    location = format.color.chroma_location
    return make(factor[0], location.vertical), make(factor[1], location.horizontal)


def _base(
    inputs: tuple[InputGroup, ...],
    components: tuple[int, ...],
    factor: Pair[int],
    mix: NDArray[np.float64],
    source: FrameFormat,
    target: FrameFormat,
    spec: NetworkSpec,
) -> tuple[BaseTerm, ...]:
    """Source planes → luma grid → MagicKernel → target planes, as one filter per pair of groups."""
    down = _banks(chroma_down, factor, target)
    terms = []
    for index, group in enumerate(inputs):
        matrix = mix[np.ix_(components, group.components)]
        matrix = np.where(np.abs(matrix) < 1e-9 * np.abs(mix).max(), 0.0, matrix)
        if not matrix.any():
            continue
        filters = []
        for weight, sharpen in ((1 - spec.alpha, IDENTITY), (spec.alpha, HALF_BAND)):
            if weight:
                rows, columns = (
                    up.then(sharpen).then(magic_kernel(spec.scale)).then(to_target)
                    for up, to_target in zip(group.up, down, strict=True)
                )
                filters.append((weight, rows, columns))
        terms.append(BaseTerm(group=index, matrix=matrix, filters=tuple(filters)))
    return tuple(terms)


def _fold_tail(
    weights: Weights,
    target: FrameFormat,
    colors: ColorMap,
    grids: list[tuple[tuple[int, ...], Pair[int]]],
    cell: Pair[int],
) -> tuple[Conv, list[Detail]]:
    """The tail as one convolution for all output groups, and how each of them is got out of it."""
    scale = weights.spec.scale
    weight, bias = fold.collapse_tail(weights.tensors, scale, colors)
    parts, biases, details = [], [], []
    channel = 0
    for components, factor in grids:
        part, part_bias = weight[list(components)], bias[list(components)]
        down = None
        block, lead = (scale, scale), (1, 1)
        if factor != (1, 1):
            merged = _merged_down(part, part_bias, factor, target)
            if merged is not None:
                part, part_bias, lead = merged
                block = (scale // factor[0], scale // factor[1])
            else:
                rows, columns = (
                    bank.repeated(scale * cell[axis] // bank.step)
                    for axis, bank in enumerate(_banks(chroma_down, factor, target))
                )
                down = fold.down_conv((rows, columns), scale, len(components))
                block, lead = (len(rows.phases), len(columns.phases)), (0, 0)
        count = part_bias.size
        details.append(Detail(channels=(channel, channel + count), down=down, block=block, lead=lead))
        channel += count
        parts.append(part)
        biases.append(part_bias)
    return fold.tail_conv(parts, biases), details


def _merged_down(
    weight: NDArray[np.float64], bias: NDArray[np.float64], factor: Pair[int], target: FrameFormat
) -> tuple[NDArray[np.float64], NDArray[np.float64], Pair[int]] | None:
    """Chroma straight from the tail's 4 taps, where some start of the cells makes that fit (×4, ×8)."""
    scale = weight.shape[1]
    if any(scale % f for f in factor):
        return None
    banks = [bank.repeated(scale // bank.step) for bank in _banks(chroma_down, factor, target)]
    for lead in np.ndindex(len(banks[0].phases), len(banks[1].phases)):
        moved = (banks[0].shifted(lead[0]), banks[1].shifted(lead[1]))
        merged = fold.merge_down(weight, bias, moved)
        if merged is not None:
            return *merged, (lead[0], lead[1])
    return None
