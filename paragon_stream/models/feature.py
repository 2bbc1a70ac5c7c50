"""The feature-space line as torch modules: ParagonSR (v1), and ParagonSR2 r1 … r3 and v0 … v4.

x₀ = conv_in(x);  x₂ = conv_fuse(body(x₀)) + x₀;  y = conv_out(tail(x₂))
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint.lines.feature import REPARAMETERISED, FeatureSpec, Tail
from paragon_stream.checkpoint.spec import Generation
from paragon_stream.models.border import Border, put_border, take_border
from paragon_stream.models.checkpointing import Blocks
from paragon_stream.models.mixers import (
    SLOPE,
    EarlyReparameterised,
    GatedMixer,
    GeneratedMixer,
    Reparameterised,
    StaticMixer,
    TrackedMixer,
)
from paragon_stream.models.primitives import (
    Inception,
    LayerScale,
    MagicKernel,
    PictureNorm,
    PixelNorm,
    depthwise,
)

_SECOND_ORDER = ("norm1", "norm2", "context", "transformer", "ls1", "ls2")
_THIRD_ORDER = ("norm1", "context", "norm2", "transformer", "ls1", "ls2")
_ORDER = {
    **dict.fromkeys((Generation.R1_V1, Generation.R2_V1, Generation.R3_V1), _SECOND_ORDER),
    **dict.fromkeys((Generation.R4_V1, Generation.PS, Generation.NC, Generation.MK), _THIRD_ORDER),
}
"""The order of a block's parts in state dicts, where it is not the order of computation."""


class FeatureBlock(nn.Module):
    """`u = x + ls1·context(norm1(x)); y = norm(u + ls2·transformer(norm2(u)))`; norms where they are."""

    norm1: nn.Module
    norm2: nn.Module
    context: nn.Module
    transformer: nn.Module
    ls1: nn.Module
    ls2: nn.Module

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__()
        f = spec.features

        def norm() -> nn.Module:
            if spec.picture_norm:
                return PictureNorm(f)
            return PixelNorm(f) if spec.pixel_norm else nn.Identity()

        def scale() -> nn.Module:
            return LayerScale(f, flat=spec.flat_scales) if spec.scaled else nn.Identity()

        parts: dict[str, nn.Module] = {
            "norm1": norm(),
            "context": Inception(f, spec.band),
            "ls1": scale(),
            "norm2": norm(),
            "transformer": _mixer(spec),
            "ls2": scale(),
        }
        for name in _ORDER.get(spec.generation, tuple(parts)):
            self.add_module(name, parts[name])
        behind = spec.generation is Generation.V4 and spec.use_norm
        self.norm: nn.Module = PictureNorm(f, affine=False) if behind else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.context(self.norm1(x)))
        return self.norm(x + self.ls2(self.transformer(self.norm2(x))))


def _mixer(spec: FeatureSpec) -> nn.Module:
    f, h = spec.features, spec.hidden
    if spec.gated:
        return GatedMixer(f, h, _slot(spec))
    if spec.generation is Generation.V4:
        return StaticMixer(f, h, modulated=spec.modulated)
    if spec.generation in REPARAMETERISED:
        return GeneratedMixer(f, h, _slot(spec), mish=spec.generation is Generation.V0)
    return TrackedMixer(f, h, spec.dynamic, update_every=8 if spec.generation is Generation.V1 else 1)


def _slot(spec: FeatureSpec) -> nn.Module:
    """A depthwise convolution with the branches that its generation trains."""
    if spec.fused:
        return depthwise(spec.hidden, 3)
    if spec.pixel_norm:
        return EarlyReparameterised(spec.hidden, identity=spec.generation is Generation.R0_V1)
    return Reparameterised(spec.hidden)


class FeatureGroup(nn.Module):
    """Consecutive blocks with a skip around them."""

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__()
        self.blocks = Blocks(*(FeatureBlock(spec) for _ in range(spec.blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x) + x


class HeadBlock(nn.Module):
    """A residual block at the large size, with norms without parameters around its activation or without."""

    def __init__(self, features: int, *, use_norm: bool, factor: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

        def norm() -> nn.Module:
            return PictureNorm(features, affine=False, factor=factor) if use_norm else nn.Identity()

        self.norm1, self.norm2 = norm(), norm()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.norm2(functional.leaky_relu(self.conv1(self.norm1(x)), SLOPE)))


class FeatureNet(nn.Module):
    """One network of the feature-space line: N×3×H×W RGB in [0, 1] to N×3×sH×sW, not clamped.

    `border`: see `models.border`.
    """

    def __init__(self, spec: FeatureSpec, *, border: Border = "zero") -> None:
        super().__init__()
        f, scale = spec.features, spec.scale
        self.spec = spec
        self.border: Border = border
        self.conv_in = nn.Conv2d(3, f, 3, padding=1)
        self.body = nn.Sequential(*(FeatureGroup(spec) for _ in range(spec.groups)))
        self.conv_fuse = nn.Conv2d(f, f, 3, padding=1)
        if spec.magic:
            self.magic_upsampler = MagicKernel(f, scale, spec.alpha)
        wide = f * scale * scale if spec.tail is Tail.SHUFFLE else f
        layer = nn.Conv2d(f, wide, 3, padding=1)
        match spec.tail:
            case Tail.SHUFFLE:
                self.upsampler: nn.Module = nn.Sequential(layer, nn.PixelShuffle(scale))
            case Tail.NEAREST:
                self.upsampler = nn.Sequential(nn.Upsample(scale_factor=scale, mode="nearest"), layer)
            case Tail.MAGIC:
                self.upsampler = layer if spec.upsampler == "upsampler" else nn.Sequential(layer)
            case Tail.HEAD:
                self.hr_conv_in = layer
                self.hr_head = Blocks(
                    *(HeadBlock(f, use_norm=spec.use_norm, factor=scale) for _ in range(spec.hr_blocks))
                )
        self.conv_out = nn.Conv2d(f, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[2], x.shape[3])
        x, margin = put_border(self, self.spec, self.border, x)
        first = self.conv_in(x)
        x = self.conv_fuse(self.body(first)) + first
        if self.spec.magic:
            x = self.magic_upsampler(x)
        x = self.hr_head(self.hr_conv_in(x)) if self.spec.tail is Tail.HEAD else self.upsampler(x)
        return take_border(self.conv_out(x), self.spec.scale, margin, size)

    def fuse_for_release(self) -> FeatureNet:
        """Fuse every depthwise kernel to one plain kernel, in place. The result in evaluation does not
        change."""
        for module in self.modules():
            if isinstance(module, GatedMixer | GeneratedMixer | TrackedMixer):
                module.fuse()
        self.spec = self.spec.after_fusing()
        return self

    def enable_dynamic_inference(self, enabled: bool = True) -> None:
        """Whether evaluation generates kernels for every picture instead of using the tracked ones."""
        for module in self.modules():
            if isinstance(module, TrackedMixer):
                module.dynamic_inference = enabled
