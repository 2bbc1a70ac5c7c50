"""The frame job: the complete computation from source planes to target planes, as formats and folded arrays.

    planes → centred codes → edge-replicated margin → chroma up → network body → tail → detail ┐
                                   └────────── base path, plane by plane ──────────────────────┴→ sum
    sum → crop → resampling, plane by plane, to the size wanted → round half to even, once → clip to 0 … 2ⁿ-1
        → bars → planes

Nothing here runs; runtimes compile a `FrameJob`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from paragon_stream.checkpoint import NetworkSpec, Variant, Weights
from paragon_stream.checkpoint.lines.feature import FeatureSpec
from paragon_stream.checkpoint.lines.further import CategorySpec, UltimateSpec
from paragon_stream.checkpoint.spec import ReleaseSpec
from paragon_stream.errors import FormatError, UsageError
from paragon_stream.frame import ColorSpec, FrameFormat, PixelFormat
from paragon_stream.framejob import fold
from paragon_stream.framejob.color import check_chroma_location, color_map
from paragon_stream.framejob.color_paths import color_paths
from paragon_stream.framejob.components import (
    ALPHA,
    CURRENT,
    InputPlane,
    OutputPlane,
    colors,
    input_plane,
    output_plane,
    plain_output,
    plane_size,
)
from paragon_stream.framejob.conv import Conv, Doubles
from paragon_stream.framejob.fold import Block
from paragon_stream.framejob.older import (
    OlderNetwork,
    check_has_job,
    fold_fuse,
    fold_older,
    tail_layers,
)
from paragon_stream.framejob.tail import Pair, Tail, arrange_tail, collapse_tail
from paragon_stream.framejob.temporal import doubled
from paragon_stream.geometry import Placement, enlarged

_MAPS: dict[str, int] = {Variant.REALTIME: 6, Variant.STREAM: 7, Variant.PHOTO: 16, Variant.PRO: 16}
"""The largest number of feature maps (with the body's channels) that are alive at once."""

_OLDER_MAPS = 8
_FURTHER_MAPS = 24
"""Number of maps of the networks that attend to dictionaries made from the picture: see
`checkpoint.lines.further`."""


@dataclass(frozen=True, kw_only=True)
class FrameJob:
    """Planes of `source` in, planes of `target` out.

    `target` is `scale` times as large; for another size the planes are resampled.

    If `spec.conditioned`, there is one more input, the strength (fp32, shape [1], 0…1).
    """

    source: FrameFormat
    target: FrameFormat
    scale: int
    spec: NetworkSpec
    weights_name: str
    weights_sha256: str
    margin: int
    """Replicated luma samples around the picture: the network's, rounded up to keep every grid aligned,
    windows of attention among them."""
    cell: Pair[int]
    """Luma samples after which all grids repeat: the origin of a tile must be a multiple."""
    padded: Pair[int]
    """Rows and columns of the luma grid with its margins."""
    centre: float
    """Subtracted from every code value of the source."""
    inputs: tuple[InputPlane, ...]
    """The planes of the network's input, by canonical component."""
    first: Conv
    blocks: tuple[Block, ...]
    """The steps of the body."""
    mid: Conv
    tail_weight: Doubles
    """The collapsed tail: see `collapse_tail`."""
    tail_bias: Doubles
    outputs: tuple[OutputPlane, ...]
    """The planes of the target without alpha, by canonical component."""
    older: OlderNetwork | None = None
    """The folded network that is not of the release line: then `blocks` is empty, and `mid` is conv_fuse or
    conv_mid."""
    current: tuple[InputPlane, ...] = ()
    """In the video mode, the planes of the frame itself, for the base path; `inputs` are the blended
    planes."""
    alpha: tuple[InputPlane, OutputPlane] | None = None
    """Alpha, if source and target have it: only the base path processes it."""

    def tail(self, lanes: int, *, sparse: bool = True) -> Tail:
        """The tail arranged for machines that compute `lanes` output channels at once; see `arrange_tail`."""
        downs = [plane.down for plane in self.outputs]
        return arrange_tail(self.tail_weight, self.tail_bias, downs, lanes=lanes, sparse=sparse)

    @property
    def resamples(self) -> bool:
        """Whether the target, without bars, is not `scale` times the source."""
        return any(not each.is_identity for plane in self.outputs for each in plane.resampling)

    @property
    def ends_at_network_scale(self) -> bool:
        """Whether the network's result is the target: neither resampled nor beside bars."""
        return not self.resamples and not any(plane.has_bars for plane in self.outputs)

    @property
    def context(self) -> int:
        """Source luma samples around a tile that its own target samples may depend on; whole cells."""
        reach = max(
            math.ceil(Fraction(each.reach * factor, self.scale))
            for plane in self.outputs
            for each, factor in zip(plane.resampling, plane.factor, strict=True)
        )
        whole = math.lcm(2, *self.cell)
        network = max(self.margin, math.ceil(self.spec.reach / whole) * whole)
        return network + math.ceil(reach / whole) * whole

    def resized(self, width: int, height: int) -> FrameJob:
        """The same job for frames, or tiles of them, of another size: up to the resampling and the bars.

        If the job resamples, the target's samples are unrounded floats, because resampling needs neighbouring
        tiles.
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

        def into(plane: InputPlane) -> InputPlane:
            return input_plane(source, plane.component, self.margin, padded)

        def out_of(plane: OutputPlane) -> OutputPlane:
            return plain_output(plane, plane_size(target, plane.factor))

        return replace(
            self,
            source=source,
            target=target,
            padded=padded,
            inputs=tuple(map(into, self.inputs)),
            current=tuple(map(into, self.current)),
            outputs=tuple(map(out_of, self.outputs)),
            alpha=(into(self.alpha[0]), out_of(self.alpha[1])) if self.alpha else None,
        )

    @property
    def all_inputs(self) -> dict[int, InputPlane]:
        """All planes of the source by component, with alpha."""
        planes = (*self.inputs, *self.current, *(self.alpha or ())[:1])
        return {plane.component: plane for plane in planes if isinstance(plane, InputPlane)}

    @property
    def all_outputs(self) -> dict[int, OutputPlane]:
        """All planes of the target by component, with alpha."""
        planes = (*self.outputs, *(self.alpha or ())[1:])
        return {plane.component: plane for plane in planes if isinstance(plane, OutputPlane)}

    @property
    def all_in_features(self) -> bool:
        """Whether the picture itself, not only detail, passes through the network: bfloat16 is then
        visible."""
        return isinstance(self.spec, FeatureSpec)

    @property
    def sorts_pixels(self) -> bool:
        """Whether pixels are sorted by the largest of close numbers: 16 bits would change the order."""
        return isinstance(self.spec, CategorySpec)

    @property
    def working_set(self) -> int:
        """The largest size of the fp32 feature maps that are alive at once during one frame, bytes."""
        maps = _MAPS.get(self.spec.variant, 8) if self.older is None else _OLDER_MAPS + self._maps_at_hr
        if isinstance(self.spec, CategorySpec | UltimateSpec):
            maps = _FURTHER_MAPS
        return 4 * maps * self.spec.features * self.padded[0] * self.padded[1]

    @property
    def _maps_at_hr(self) -> int:
        """Memory of the feature maps at the large size that exist at the same time, in maps of the source's
        size."""
        return 3 * self.scale**2 if self.older and self.older.head else 0

    def __str__(self) -> str:
        return f"{self.source} → {self.target}, {self.spec}"


def build_job(
    weights: Weights,
    source: FrameFormat,
    *,
    pixel_format: PixelFormat | None = None,
    color: ColorSpec | None = None,
    placement: Placement | None = None,
    temporal: bool = False,
) -> FrameJob:
    """Fold `weights` for frames of `source`, or with `temporal` for the frames of `framejob.temporal`.

    By default the target has `scale` times the source's size, and its pixel format and colour. `placement`
    sets another size; `color` is for a change of the family (RGB ↔ YUV) or the range. The target is rounded
    from the float result: an 8-bit source gives real 10-bit output.

    Alpha is straight (not premultiplied), and the base path enlarges it; if the source has none the target's
    is opaque, and if the target has none the source's is left out.

    Raises FormatError for colour that is not resolved or not affine, UsageError for discriminators.
    """
    spec = weights.spec
    if not isinstance(spec, ReleaseSpec):
        check_has_job(spec)
    placement = placement or enlarged(source, spec.scale)
    target = placement.target(source, pixel_format=pixel_format, color=color)
    for format in (source, target):
        _check(format)
    if temporal:
        if isinstance(spec, FeatureSpec):
            raise UsageError(f"{spec} has no video mode, because it has no base path")
        source = doubled(source)
    source_colors, target_colors = color_map(source), color_map(target)

    cell = _cell(source.pixel_format, target.pixel_format, spec)
    margin = _margin(spec, source, cell)
    padded = _padded(source, margin, cell)
    inputs = tuple(input_plane(source, component, margin, padded) for component in colors(source))
    current = tuple(
        input_plane(source, component + CURRENT, margin, padded)
        for component in (colors(source) if temporal else ())
    )
    paths = color_paths(spec, source, target, source_colors, target_colors, current or inputs)
    tensors, older = weights.tensors, None
    if not isinstance(spec, ReleaseSpec):
        older = fold_older(tensors, spec, source_colors, target_colors)
        tensors = tail_layers(tensors, spec)
    tail_weight, tail_bias = collapse_tail(tensors, spec.scale, paths.learned)
    return FrameJob(
        source=source,
        target=target,
        scale=spec.scale,
        spec=spec,
        weights_name=weights.name,
        weights_sha256=weights.sha256,
        margin=margin,
        cell=cell,
        padded=padded,
        centre=source_colors.centre,
        inputs=inputs,
        current=current,
        first=fold.fold_input(weights.tensors, source_colors),
        blocks=fold.fold_blocks(weights.tensors, spec) if isinstance(spec, ReleaseSpec) else (),
        mid=fold.fold_mid(weights.tensors) if older is None else fold_fuse(weights.tensors, spec),
        older=older,
        tail_weight=tail_weight,
        tail_bias=tail_bias,
        outputs=tuple(
            output_plane(
                source,
                target,
                component,
                paths.base,
                paths.mix[component],
                float(paths.offsets[component]),
                spec,
                placement=placement,
                black=float(target_colors.code_of_black[component]),
                filtered=paths.filtered[component],
            )
            for component in colors(target)
        ),
        alpha=_alpha(source, target, spec, placement, margin, padded, source_colors.centre),
    )


def _alpha(
    source: FrameFormat,
    target: FrameFormat,
    spec: NetworkSpec,
    placement: Placement,
    margin: int,
    padded: Pair[int],
    centre: float,
) -> tuple[InputPlane, OutputPlane] | None:
    """The alpha plane: opaque stays opaque at all depths, and bars are opaque."""
    if not (source.pixel_format.has_alpha and target.pixel_format.has_alpha):
        return None
    peak = float(target.pixel_format.peak)
    gain = peak / source.pixel_format.peak
    before = input_plane(source, ALPHA, margin, padded)
    after = output_plane(
        source,
        target,
        ALPHA,
        (before,),
        np.array([gain]),
        centre * gain,
        spec,
        placement=placement,
        black=peak,
    )
    return before, after


def _margin(spec: NetworkSpec, source: FrameFormat, cell: Pair[int]) -> int:
    """Luma samples of replicated edge on each side; whole cells. The chroma filter reaches three samples of
    its plane; the plane has one more."""
    filter_reach = 3 * max(1 << shift for shift in source.pixel_format.subsampling)
    whole = math.lcm(2, *cell)
    return math.ceil(max(spec.margin, filter_reach if spec.filters_chroma else 0) / whole) * whole


def _check(format: FrameFormat) -> None:
    if format.width < 1 or format.height < 1:
        raise FormatError(f"a frame of {format.width}×{format.height} samples cannot be processed")
    check_chroma_location(format)


def _cell(source: PixelFormat, target: PixelFormat, spec: NetworkSpec) -> Pair[int]:
    """Luma samples per period: whole windows, and chroma samples of the source and, scaled, of the target."""

    def along(axis: int) -> int:
        factor = 1 << target.subsampling[axis]
        chroma = factor // math.gcd(factor, spec.scale)
        return math.lcm(1 << source.subsampling[axis], chroma, spec.window or 1)

    return along(1), along(0)


def _padded(source: FrameFormat, margin: int, cell: Pair[int]) -> Pair[int]:
    rows, columns = (
        2 * margin + math.ceil(size / period) * period
        for size, period in zip((source.height, source.width), cell, strict=True)
    )
    return rows, columns
