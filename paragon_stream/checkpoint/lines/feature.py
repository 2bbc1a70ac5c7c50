"""The feature-space line: ParagonSR (v1), and ParagonSR2 r0 … r3 and v0 … v4.

    x₀ = conv_in(x);  x₂ = conv_fuse(body(x₀)) + x₀;  y = conv_out(tail(x₂))

All enlarge feature maps, not pictures. They differ in the mixer of their blocks and in the tail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.lines.measure import body_size, count, has, shuffled_scale, size
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.shapes import (
    Shapes,
    affine,
    conv,
    inception,
    layer_scale,
    magic_kernel,
    squeeze_excite,
    within,
)
from paragon_stream.checkpoint.spec import Generation, NetworkSpec
from paragon_stream.errors import CheckpointError, UsageError

_OLDEST = (Generation.R0_V1, Generation.R1_V1)
_V1_LINE = (*_OLDEST, Generation.R2_V1, Generation.R3_V1, Generation.R4_V1)
GATED = (*_V1_LINE, Generation.PS, Generation.NC, Generation.MK)
"""ParagonSR, version 1."""
REPARAMETERISED = (Generation.V0, Generation.R1)
TRACKED = (Generation.R2, Generation.R3, Generation.V1, Generation.V2, Generation.V3)
FEATURE_LINE = (*GATED, *REPARAMETERISED, *TRACKED, Generation.V4)
"""Generations that `FeatureSpec` describes."""

_UNSAID_SCALE = (Generation.NC, Generation.MK, Generation.R1, *TRACKED, Generation.V4)
_CHOOSES_ALPHA = (Generation.R3, Generation.V1, Generation.V2, Generation.V3, Generation.V4)
_CHOOSES_NORM = (Generation.V1, Generation.V3, Generation.V4)


class Tail(StrEnum):
    """How feature maps become a picture `scale` times as large."""

    SHUFFLE = "shuffle"
    """3×3 convolution to s² times the channels, PixelShuffle."""
    NEAREST = "nearest"
    """Repetition, 3×3 convolution."""
    MAGIC = "magic"
    """MagicKernel, 3×3 convolution."""
    HEAD = "head"
    """MagicKernel, 3×3 convolution, residual blocks at the large size."""


class Dynamic(StrEnum):
    """What makes the depthwise kernels of a tracked generation in training. Evaluation uses their average."""

    FULL = "full"
    """A generator: one kernel per picture."""
    CHEAP = "cheap"
    """Nothing: a squeeze-and-excitation stands in its place, in training alone."""
    OFF = "off"
    """Nothing; also what remains of a fused network."""


@dataclass(frozen=True, kw_only=True)
class FeatureSpec(NetworkSpec):
    """`hidden` is the number of channels inside the blocks' mixers, `band` the long side of the widest
    depthwise filters, `hr_blocks` the number of residual blocks at the large size.

    `use_norm`: parameterless group norms in the HR head (v4: behind every block). `modulated`: v4 has a
    squeeze-and-excitation in its blocks. `fused`: the depthwise kernels are plain ones, as `fuse` makes them.
    """

    hidden: int
    band: int
    dynamic: Dynamic = Dynamic.OFF
    hr_blocks: int = 0
    use_norm: bool = False
    modulated: bool = False
    fused: bool = False

    @property
    def tail(self) -> Tail:
        match self.generation:
            case Generation.NC:
                return Tail.NEAREST
            case Generation.MK | Generation.R1 | Generation.R2:
                return Tail.MAGIC
            case Generation.R3 | Generation.V1 | Generation.V2 | Generation.V3 | Generation.V4:
                return Tail.HEAD
        return Tail.SHUFFLE

    @property
    def upsampler(self) -> str:
        """The name of the tail's first convolution."""
        if self.tail is Tail.HEAD:
            return "hr_conv_in"
        if self.generation in (Generation.R1, Generation.R2):
            return "upsampler"
        return "upsampler.1" if self.tail is Tail.NEAREST else "upsampler.0"

    @property
    def gated(self) -> bool:
        return self.generation in GATED

    @property
    def pixel_norm(self) -> bool:
        """Whether blocks begin with norms over the channels of each pixel."""
        return self.generation in _OLDEST

    @property
    def picture_norm(self) -> bool:
        """Whether blocks begin with norms over the whole picture."""
        return self.generation is Generation.V0 or (self.gated and not self.pixel_norm)

    @property
    def scaled(self) -> bool:
        """Whether branches have layer scales."""
        return self.generation not in (Generation.R0_V1, Generation.R1_V1, Generation.R2_V1, Generation.R3_V1)

    @property
    def flat_scales(self) -> bool:
        """Whether layer scales are stored with one axis."""
        return self.generation not in _CHOOSES_NORM

    @property
    def magic(self) -> bool:
        """Whether there is a MagicKernel, so that `alpha` matters."""
        return self.tail in (Tail.MAGIC, Tail.HEAD)

    @property
    def sees_whole_frame(self) -> bool:
        return self.picture_norm or self.use_norm or self.modulated

    @property
    def radius(self) -> int:
        """conv_in 1, conv_fuse 1; per block half the band and 1; the tail: what `tail_radius` says."""
        return 2 + self.depth * (self.band // 2 + 1) + self.tail_radius

    @property
    def tail_radius(self) -> int:
        """LR pixels that the tail reads to each side."""
        if self.tail is Tail.SHUFFLE:
            return 2
        at_hr = 2 + (2 if self.magic else 0) + 2 * self.hr_blocks
        return (3 if self.magic and self.alpha else 0) + -(-at_hr // max(2, self.scale))

    def after_fusing(self) -> FeatureSpec:
        """What a network's own `fuse_for_release` leaves: plain kernels, no generators of tracked ones."""
        if self.generation is Generation.V4:
            return self
        if self.generation not in TRACKED:
            return replace(self, fused=True)
        return replace(self, fused=True, dynamic=Dynamic.OFF) if self.dynamic is Dynamic.FULL else self

    def tensor_shapes(self) -> Shapes:
        f = self.features
        shapes = conv("conv_in", f, 3, 3)
        block = self._block_shapes()
        for group in range(self.groups):
            for index in range(self.blocks):
                shapes |= within(f"body.{group}.blocks.{index}", block)
        shapes |= conv("conv_fuse", f, f, 3)
        if self.magic:
            shapes |= magic_kernel("magic_upsampler", f)
        outputs = f * self.scale**2 if self.tail is Tail.SHUFFLE else f
        shapes |= conv(self.upsampler, outputs, f, 3)
        for index in range(self.hr_blocks):
            shapes |= conv(f"hr_head.{index}.conv1", f, f, 3) | conv(f"hr_head.{index}.conv2", f, f, 3)
        return shapes | conv("conv_out", 3, f, 3)

    def _block_shapes(self) -> Shapes:
        f = self.features
        shapes = inception("context", f, self.band) | within("transformer", self._mixer_shapes())
        if self.picture_norm or self.pixel_norm:
            shapes |= affine("norm1", f) | affine("norm2", f)
        if self.scaled:
            shapes |= layer_scale("ls1", f, flat=self.flat_scales)
            shapes |= layer_scale("ls2", f, flat=self.flat_scales)
        return shapes

    def _mixer_shapes(self) -> Shapes:
        f, h = self.features, self.hidden
        if self.gated:
            shapes = conv("project_in_g", h, f, 1) | conv("project_in_i", h, f, 1)
            shapes |= self._slot("spatial_mixer")
        elif self.generation is Generation.V4:
            shapes = conv("project_in", h, f, 1) | conv("dw_mixer.0", h, 1, 3) | conv("dw_mixer.2", h, h, 1)
            if self.modulated:
                shapes |= squeeze_excite("channel_mod.net", h, max(1, h // 4))
        else:
            shapes = conv("project_in", h, f, 1)
            if self.generation in REPARAMETERISED:
                shapes |= self._slot("dynamic_conv")
            else:
                shapes |= {"identity_kernel": (h, 1, 3, 3), "tracked_kernel": (h, 1, 3, 3)}
                shapes["tracked_initialized"] = ()
            if self.dynamic is Dynamic.FULL:
                predictor = "kernel_generator.predictor"
                shapes |= conv(f"{predictor}.1", h, h, 1) | conv(f"{predictor}.3", 9 * h, h, 1)
            elif self.dynamic is Dynamic.CHEAP:
                shapes |= squeeze_excite("cheap_dynamic.net", h, max(1, h // 4))
        return shapes | conv("project_out", f, h, 1)

    def _slot(self, name: str) -> Shapes:
        """A depthwise 3×3 convolution: plain, or as the branches that training had."""
        h = self.hidden
        if self.fused:
            return conv(name, h, 1, 3)
        shapes = conv(f"{name}.conv3x3", h, 1, 3) | conv(f"{name}.conv1x1", h, 1, 1)
        if self.generation not in _OLDEST:
            return shapes | conv(f"{name}.dw_conv3x3", h, 1, 3)
        shapes |= {f"{name}._is_fused": ()} | conv(f"{name}.fused_conv", h, 1, 3)
        if self.generation is Generation.R0_V1:
            shapes |= affine(f"{name}.identity", h)
            shapes |= {f"{name}.identity.running_mean": (h,), f"{name}.identity.running_var": (h,)}
            shapes[f"{name}.identity.num_batches_tracked"] = ()
        return shapes


type Size = tuple[int, int, int, float, int, int]
"""Features, groups, blocks, expansion, band, residual blocks in the HR head."""

_PARAGON: dict[str, Size] = {
    "anime": (28, 2, 3, 1.5, 11, 0),
    "nano": (24, 3, 2, 1.5, 11, 0),
    "tiny": (32, 3, 2, 2, 11, 0),
    "xs": (48, 4, 4, 2, 11, 0),
    "s": (64, 6, 6, 2, 11, 0),
    "m": (96, 8, 8, 2, 11, 0),
    "l": (128, 10, 10, 2, 11, 0),
    "xl": (160, 12, 12, 2, 11, 0),
}
_PARAGON_OLD = {name: _PARAGON[name] for name in ("xs", "s", "m", "l", "xl")} | {
    "tiny": (32, 3, 3, 2.0, 11, 0)
}
_LARGE: dict[str, Size] = {
    "m": (96, 8, 8, 2, 11, 0),
    "l": (128, 10, 10, 2, 11, 0),
    "xl": (160, 12, 12, 2, 11, 0),
}
_V0: dict[str, Size] = {
    "anime": (28, 2, 2, 1.5, 15, 0),
    "tiny": (28, 3, 2, 2, 11, 0),
    "s": (64, 6, 6, 2, 11, 0),
} | _LARGE
_R1: dict[str, Size] = {
    "anime": (28, 2, 3, 1.5, 15, 0),
    "tiny": (32, 3, 2, 2, 11, 0),
    "s": (56, 5, 5, 2, 11, 0),
} | _LARGE
_R2: dict[str, Size] = {"nano": (24, 2, 2, 1.5, 9, 0)} | _R1
_HR_BLOCKS = {"nano": 1, "tiny": 2, "anime": 2, "s": 2, "m": 2, "l": 3, "xl": 3}
_R3: dict[str, Size] = {name: (*row[:5], _HR_BLOCKS[name]) for name, row in _R2.items()}
_V2: dict[str, Size] = {
    "nano": (24, 2, 2, 1.5, 9, 1),
    "xs": (32, 2, 3, 1.5, 11, 1),
    "s": (48, 3, 4, 2, 11, 2),
    "m": (64, 4, 6, 2, 13, 2),
    "l": (96, 6, 8, 2, 15, 3),
    "xl": (128, 8, 10, 2, 15, 3),
}
_V4: dict[str, Size] = {
    "micro": (16, 1, 1, 1.2, 7, 1),
    "nano": (24, 1, 1, 1.5, 9, 1),
    "xs": (32, 1, 1, 1.5, 11, 1),
    "s": (48, 1, 2, 2, 11, 2),
} | {name: _V2[name] for name in ("m", "l", "xl")}

SIZES: dict[Generation, dict[str, Size]] = {
    Generation.R0_V1: {name: _PARAGON[name] for name in ("s", "m", "l")},
    **dict.fromkeys((Generation.R1_V1, Generation.R2_V1, Generation.R3_V1, Generation.R4_V1), _PARAGON_OLD),
    **dict.fromkeys((Generation.PS, Generation.NC, Generation.MK), _PARAGON),
    Generation.V0: _V0,
    Generation.R1: _R1,
    Generation.R2: _R2,
    Generation.R3: _R3,
    **dict.fromkeys((Generation.V1, Generation.V2, Generation.V3), _V2),
    Generation.V4: _V4,
}
"""What upstream registers, by generation and name. v4's small ones are as `fast_body_mode` builds them."""

_FAST = {Generation.V1: ("nano", "xs", "s"), Generation.V3: ("nano",)}
_CHEAP = ("nano", "xs", "s")


def usual_alpha(generation: Generation) -> float:
    """What upstream takes unless a configuration says otherwise."""
    if generation in (Generation.MK, Generation.R1, Generation.R2):
        return 1.0
    return 0.5 if generation in _CHOOSES_ALPHA else 0.0


def usual_norm(generation: Generation, features: int, dynamic: Dynamic) -> bool:
    """Whether upstream's registered networks have parameterless norms."""
    match generation:
        case Generation.V1:
            return True
        case Generation.V3:  # the small ones, which are cheap, switch it off
            return dynamic is not Dynamic.CHEAP
        case Generation.V4:
            return features > 16
    return False


def published_feature(
    generation: Generation,
    variant: str,
    scale: int,
    *,
    alpha: float | None = None,
    hr_blocks: int | None = None,
    fast_body_mode: bool | None = None,
    dynamic: Dynamic | None = None,
    use_norm: bool | None = None,
) -> FeatureSpec:
    """The network that upstream registers under this name, with the options that it takes."""
    sizes = SIZES[generation]
    if variant not in sizes:
        raise UsageError(f"{generation} has no {variant}; it has {', '.join(sizes)}")
    features, groups, blocks, expansion, band, hr = sizes[variant]
    if hr_blocks is not None and not hr:
        raise UsageError(f"{generation} has no HR head, so no hr_blocks")
    fast = variant in _FAST.get(generation, ()) if fast_body_mode is None else fast_body_mode
    if fast and generation is not Generation.V4:  # whose table has the halves
        groups, blocks = max(1, groups // 2), max(1, blocks // 2)
    made = Dynamic.OFF
    if generation in (*REPARAMETERISED, *TRACKED):
        cheap = generation in (Generation.V1, Generation.V3) and variant in _CHEAP
        made = dynamic or (Dynamic.CHEAP if cheap else Dynamic.FULL)
    return FeatureSpec(
        generation=generation,
        variant=variant,
        scale=scale,
        features=features,
        groups=groups,
        blocks=blocks,
        alpha=usual_alpha(generation) if alpha is None else alpha,
        hidden=int(features * expansion),
        band=band,
        dynamic=made,
        hr_blocks=hr if hr_blocks is None else hr_blocks,
        use_norm=usual_norm(generation, features, made) if use_norm is None else use_norm,
        modulated=generation is Generation.V4,
        fused=generation in TRACKED and made is Dynamic.OFF,
    )


def recognise_feature(tensors: Tensors, facts: Facts) -> tuple[FeatureSpec, tuple[str, ...]]:
    """The network, and the names of what nothing says about it (see `Facts`)."""
    generation = _generation(tensors, facts)
    groups, blocks = body_size(tensors)
    features = size(tensors, "conv_in.weight", 0)
    first = "body.0.blocks.0.transformer"
    project = f"{first}.project_in{'_g' if generation in GATED else ''}.weight"
    mode = Dynamic.OFF
    if has(tensors, ".kernel_generator."):
        mode = Dynamic.FULL
    elif has(tensors, ".cheap_dynamic."):
        mode = Dynamic.CHEAP
    unknown = []
    slot = f"{first}.spatial_mixer" if generation in GATED else f"{first}.dynamic_conv"
    fused = f"{slot}.weight" in tensors or (generation in TRACKED and mode is Dynamic.OFF)
    if generation not in _UNSAID_SCALE:
        scale = shuffled_scale(tensors, "upsampler.0", features)
    else:
        scale = facts.scale or 0
        if not scale:
            unknown.append("scale")
    alpha = facts.alpha
    if generation in _CHOOSES_ALPHA and alpha is None:
        unknown.append("alpha")
    norm = False
    if generation in _CHOOSES_NORM:
        norm = usual_norm(generation, features, mode) if facts.use_norm is None else facts.use_norm
    spec = FeatureSpec(
        generation=generation,
        variant="",
        scale=scale,
        features=features,
        groups=groups,
        blocks=blocks,
        alpha=usual_alpha(generation) if alpha is None else alpha,
        hidden=size(tensors, project, 0),
        band=size(tensors, "body.0.blocks.0.context.dwconv_w.weight", 3),
        dynamic=mode,
        hr_blocks=count(tensors, r"hr_head\.\d+\.conv1\.weight"),
        use_norm=norm,
        modulated=has(tensors, ".channel_mod."),
        fused=fused,
    )
    return _named(spec), tuple(unknown)


def _named(spec: FeatureSpec) -> FeatureSpec:
    """With the name under which upstream registers this size."""
    for name in SIZES[spec.generation]:
        for fast in (None, True, False):
            if spec.generation is Generation.V4 and fast is not None:
                continue
            other = published_feature(spec.generation, name, max(2, spec.scale), fast_body_mode=fast)
            if _size(other) == _size(spec):
                return replace(spec, variant=name)
    return replace(spec, variant=f"{spec.features}x{spec.groups}x{spec.blocks}")


def _size(spec: FeatureSpec) -> tuple[int, ...]:
    return spec.features, spec.groups, spec.blocks, spec.hidden, spec.band


def _generation(tensors: Tensors, facts: Facts) -> Generation:
    """By the marks of the architecture reference, section 10; where several generations have the same
    tensors, what `facts` say, else the newest."""
    possible = _possible(tensors)
    said = "p2v3fix" if facts.generation == "p2v3" else facts.generation
    if said is None:
        return possible[0]
    if said not in possible:
        raise CheckpointError(f"it says to be {said}, but its tensors are those of {possible[0]}")
    return Generation(said)


def _possible(tensors: Tensors) -> tuple[Generation, ...]:
    if has(tensors, ".transformer.project_in_g."):
        if has(tensors, "._is_fused"):
            old = has(tensors, ".identity.running_mean")
            return (Generation.R0_V1,) if old else (Generation.R1_V1,)
        if not has(tensors, ".ls1.gamma"):
            return Generation.R3_V1, Generation.R2_V1
        if has(tensors, "magic_upsampler."):
            return (Generation.MK,)
        return (Generation.NC,) if "upsampler.1.weight" in tensors else (Generation.PS, Generation.R4_V1)
    if "hr_conv_in.weight" in tensors:
        if has(tensors, ".dw_mixer."):
            return (Generation.V4,)
        gamma = tensors.get("body.0.blocks.0.ls1.gamma")
        if gamma is not None and gamma.ndim == 1:
            return Generation.V2, Generation.R3
        return Generation.V1, Generation.V3
    if "upsampler.weight" in tensors:
        return (Generation.R2,) if has(tensors, ".tracked_kernel") else (Generation.R1,)
    return (Generation.V0,)
