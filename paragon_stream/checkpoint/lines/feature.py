"""The feature-space line: ParagonSR (v1), and ParagonSR2 r0 … r3 and v0 … v4.

    x₀ = conv_in(x);  x₂ = conv_fuse(body(x₀)) + x₀;  y = conv_out(tail(x₂))

All enlarge feature maps, not pictures. They differ in the mixer of their blocks and in the tail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

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

_OLDEST = (Generation.R0_V1, Generation.R1_V1)
_V1_LINE = (*_OLDEST, Generation.R2_V1, Generation.R3_V1, Generation.R4_V1)
GATED = (*_V1_LINE, Generation.PS, Generation.NC, Generation.MK)
"""ParagonSR, version 1."""
REPARAMETERISED = (Generation.V0, Generation.R1)
TRACKED = (Generation.R2, Generation.R3, Generation.V1, Generation.V2, Generation.V3)
FEATURE_LINE = (*GATED, *REPARAMETERISED, *TRACKED, Generation.V4)
"""Generations that `FeatureSpec` describes."""

UNSAID_SCALE = (Generation.NC, Generation.MK, Generation.R1, *TRACKED, Generation.V4)
CHOOSES_ALPHA = (Generation.R3, Generation.V1, Generation.V2, Generation.V3, Generation.V4)
CHOOSES_NORM = (Generation.V1, Generation.V3, Generation.V4)


class Tail(StrEnum):
    """The layers that make a picture of `scale` times the size from feature maps."""

    SHUFFLE = "shuffle"
    """3×3 convolution to s² times the channels, PixelShuffle."""
    NEAREST = "nearest"
    """Repetition, 3×3 convolution."""
    MAGIC = "magic"
    """MagicKernel, 3×3 convolution."""
    HEAD = "head"
    """MagicKernel, 3×3 convolution, residual blocks at the large size."""


class Dynamic(StrEnum):
    """The source of a tracked generation's depthwise kernels in training. Evaluation uses their average."""

    FULL = "full"
    """A generator: one kernel per picture."""
    CHEAP = "cheap"
    """No generator: a squeeze-and-excitation replaces it, in training only."""
    OFF = "off"
    """No dynamic kernels; also for fused networks."""


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
        return self.generation not in CHOOSES_NORM

    @property
    def magic(self) -> bool:
        """Whether there is a MagicKernel, so that `alpha` matters."""
        return self.tail in (Tail.MAGIC, Tail.HEAD)

    @property
    def sees_whole_frame(self) -> bool:
        return self.picture_norm or self.use_norm or self.modulated

    @property
    def radius(self) -> int:
        """conv_in 1, conv_fuse 1; per block half the band and 1; the tail: `tail_radius`."""
        return 2 + self.depth * (self.band // 2 + 1) + self.tail_radius

    @property
    def tail_radius(self) -> int:
        """LR pixels that the tail reads to each side."""
        if self.tail is Tail.SHUFFLE:
            return 2
        at_hr = 2 + (2 if self.magic else 0) + 2 * self.hr_blocks
        return (3 if self.magic and self.alpha else 0) + -(-at_hr // max(2, self.scale))

    def after_fusing(self) -> FeatureSpec:
        """The network after its own `fuse_for_release`: plain kernels, and no generators of tracked
        kernels."""
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
