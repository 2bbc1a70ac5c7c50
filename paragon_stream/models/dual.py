"""The older dual-path line, ParagonSR2 v5 to v8, as torch modules. Formulas: `checkpoint.lines.dual`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paragon_stream.checkpoint.lines.dual import FUSES_SCALES, DualBlock, DualSpec
from paragon_stream.checkpoint.spec import Generation
from paragon_stream.models.border import Border, put_border, take_border
from paragon_stream.models.checkpointing import Blocks
from paragon_stream.models.mixers import SLOPE, StaticMixer
from paragon_stream.models.overlap_attention import EfficientAttention, LocalAttention
from paragon_stream.models.primitives import (
    Inception,
    LayerScale,
    MagicKernel,
    Mean,
    PackedShuffle,
    depthwise,
    squeeze_excite,
)
from paragon_stream.models.shifted_attention import ShiftedAttention

USUAL_GAIN = 0.1
"""`detail_gain` of a new network."""


class RootNorm(nn.Module):
    """Each pixel's features over their norm divided by the root of their number, times a scale, plus an
    offset."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features, 1, 1))
        self.offset = nn.Parameter(torch.zeros(features, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        root = torch.linalg.vector_norm(x, dim=1, keepdim=True) * x.shape[1] ** -0.5
        return self.scale * x / (root + 1e-6) + self.offset


class StaticBlock(nn.Module):
    """v5's block."""

    def __init__(self, spec: DualSpec) -> None:
        super().__init__()
        f, h = spec.features, spec.hidden
        attention: nn.Module | None = None
        if spec.attends:
            kind = EfficientAttention if spec.attention == "efficient" else LocalAttention
            attention = kind(h)
        self.context = Inception(f, spec.band)
        self.ls1 = LayerScale(f)
        self.transformer = StaticMixer(f, h, modulated=spec.modulated, attention=attention)
        self.ls2 = LayerScale(f)
        self.norm: nn.Module = RootNorm(f) if spec.normed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.context(x))
        return self.norm(x + self.ls2(self.transformer(x)))


class HardNanoBlock(nn.Module):
    """Realtime's: widen, depthwise, narrow, with Hardswish between."""

    def __init__(self, spec: DualSpec) -> None:
        super().__init__()
        f, h = spec.features, spec.hidden
        self.net = nn.Sequential(
            nn.Conv2d(f, h, 1), nn.Hardswish(), depthwise(h, 3), nn.Hardswish(), nn.Conv2d(h, f, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.net(x)


class GateBlock(nn.Module):
    """Stream's: the product of two halves."""

    def __init__(self, spec: DualSpec) -> None:
        super().__init__()
        f, h = spec.features, spec.hidden
        self.context = Inception(f, spec.band) if spec.band else depthwise(f, 3)
        self.proj_in = nn.Conv2d(f, 2 * h, 1)
        self.dw_gate = depthwise(2 * h, 3)
        self.proj_out = nn.Conv2d(h, f, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.dw_gate(self.proj_in(self.context(x))).chunk(2, 1)
        return x + self.proj_out(a * b)


class ParagonBlock(nn.Module):
    """Photo's and Pro's: Inception, then a widened branch with window attention and channel gate."""

    def __init__(self, spec: DualSpec, *, shifted: bool) -> None:
        super().__init__()
        f, h = spec.features, spec.hidden
        self.context = Inception(f, spec.band)
        self.ls1 = LayerScale(f)
        self.project_in = nn.Conv2d(f, h, 1)
        self.dw_mixer = nn.Sequential(depthwise(h, 3), nn.GELU(), nn.Conv2d(h, h, 1))
        self.attn: nn.Module = nn.Identity()
        if spec.attends:
            relative = spec.generation in FUSES_SCALES
            self.attn = ShiftedAttention(h, spec.window, shifted=shifted, relative=relative)
        self.gate = squeeze_excite(h, h // 4)
        self.project_out = nn.Conv2d(h, f, 1)
        self.ls2 = LayerScale(f)
        self.norm = RootNorm(f)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.context(x))
        z = self.attn(self.dw_mixer(self.project_in(self.norm(x))))
        return x + self.ls2(self.project_out(z * self.gate(z)))


class ScaleFusion(nn.Module):
    """Features times weights computed from three views of them (MSCF)."""

    def __init__(self, f: int) -> None:
        super().__init__()
        self.p1 = nn.Conv2d(f, f, 1)
        self.p3 = depthwise(f, 3)
        self.p5 = depthwise(f, 5)
        self.attn = nn.Sequential(nn.Conv2d(3 * f, f, 1), nn.ReLU(), nn.Conv2d(f, f, 1), nn.Sigmoid())
        self.proj = nn.Conv2d(f, f, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x * self.attn(torch.cat([self.p1(x), self.p3(x), self.p5(x)], 1)))


class DualGroup(nn.Module):
    """Consecutive blocks, from v7 on followed by a convolution and a fusion of scales, with a skip around
    all."""

    def __init__(self, spec: DualSpec, group: int) -> None:
        super().__init__()
        first = group * spec.blocks
        self.blocks = Blocks(*(_block(spec, first + index) for index in range(spec.blocks)))
        self.fuses = spec.generation in FUSES_SCALES
        if self.fuses:
            self.mid_conv = nn.Conv2d(spec.features, spec.features, 3, padding=1)
            self.mscf = ScaleFusion(spec.features)

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(x)
        return x + (self.mscf(self.mid_conv(y)) if self.fuses else y)


def _block(spec: DualSpec, number: int) -> nn.Module:
    match spec.block:
        case DualBlock.NANO:
            return HardNanoBlock(spec)
        case DualBlock.GATE:
            return GateBlock(spec)
        case DualBlock.PARAGON:
            return ParagonBlock(spec, shifted=number % 2 == 1)
    return StaticBlock(spec)


class PictureContent(nn.Module):
    """v5: one factor for the whole picture's detail, 0.05 (complex) to 0.2 (simple): N×1×1×1."""

    def __init__(self, features: int) -> None:
        super().__init__()
        a, b = features // 4, features // 2
        self.content_analyzer = nn.Sequential(
            nn.Conv2d(3, a, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(a, b, 5, padding=2),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(b, b, 7, padding=3),
            nn.LeakyReLU(SLOPE),
            Mean(),
            nn.Conv2d(b, 1, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return 0.05 + 0.15 * (1 - self.content_analyzer(x))


class FeatureContent(nn.Module):
    """v6 to v8: a factor for every pixel of the features, 0 to 2: N×1×H×W."""

    def __init__(self, features: int) -> None:
        super().__init__()
        h = max(8, features // 4)
        self.analyzer = nn.Sequential(
            nn.Conv2d(features, h, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            depthwise(h, 5),
            nn.Conv2d(h, h, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(h, 1, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.analyzer(x).sigmoid()


class StagedShuffle(nn.Module):
    """×4 and ×8 of v6 to v8: doublings, with a convolution and a leaky ReLU between."""

    def __init__(self, features: int, scale: int) -> None:
        super().__init__()
        stages: list[nn.Module] = [PackedShuffle(features, features, 2)]
        while 2 ** ((len(stages) + 2) // 3) < scale:
            stages += [
                nn.Conv2d(features, features, 3, padding=1),
                nn.LeakyReLU(SLOPE),
                PackedShuffle(features, features, 2),
            ]
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x)


class DualNet(nn.Module):
    """One network of the older dual-path line: N×3×H×W RGB in [0, 1] to N×3×sH×sW, not clamped.

    `border`: see `models.border`. `detail_gain` is the initial gain of a new network.
    """

    def __init__(
        self,
        spec: DualSpec,
        *,
        border: Border = "zero",
        detail_gain: float = USUAL_GAIN,
    ) -> None:
        super().__init__()
        f, scale = spec.features, spec.scale
        self.spec = spec
        self.border: Border = border
        v5 = spec.generation is Generation.V5
        if not v5:
            self.global_detail_gain = nn.Parameter(torch.tensor(detail_gain))
        stored = "source_kernel" if spec.generation is Generation.V8 else ""
        if v5 and spec.content:
            self.content_processor: nn.Module | None = PictureContent(f)
        if not v5:
            self.add_module(spec.base, MagicKernel(3, scale, spec.alpha, stored=stored))
        self.conv_in = nn.Conv2d(3, f, 3, padding=1)
        self.body = nn.Sequential(*(DualGroup(spec, group) for group in range(spec.groups)))
        self.conv_fuse = nn.Conv2d(f, f, 3, padding=1)
        upsampler = PackedShuffle(f, f, scale) if len(spec.packs) == 1 else StagedShuffle(f, scale)
        self.add_module("upsampler_net" if v5 else "detail_upsampler", upsampler)
        self.conv_out = nn.Conv2d(f, 3, 3, padding=1)
        if v5:
            self.magic_upsampler = MagicKernel(3, scale, spec.alpha)
            with torch.no_grad():
                self.conv_out.weight *= detail_gain
        elif spec.content:
            self.content_processor = FeatureContent(f)
        if not spec.content:
            self.content_processor = None

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[2], x.shape[3])
        x, margin = put_border(self, self.spec, self.border, x)
        y = self.get_submodule(self.spec.base)(x) + self._detail(x)
        return take_border(y, self.spec.scale, margin, size)

    def _detail(self, x: Tensor) -> Tensor:
        body = self.body(self.conv_in(x))
        d = self.conv_fuse(body) + body
        content = self.content_processor
        if self.spec.generation is Generation.V5:
            detail = self.conv_out(self._upsampled(d))
            return detail if content is None else detail * content(x)
        if content is not None:
            d = d * content(d)
        return self.conv_out(self._upsampled(d)) * self.global_detail_gain

    def _upsampled(self, d: Tensor) -> Tensor:
        v5 = self.spec.generation is Generation.V5
        out: Tensor = self.get_submodule("upsampler_net" if v5 else "detail_upsampler")(d)
        return out

    def fuse_for_release(self) -> DualNet:
        """Does nothing: this line has no layers to fuse."""
        return self
