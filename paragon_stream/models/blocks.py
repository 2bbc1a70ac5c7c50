"""The building blocks of the release line: base resampler, nano and stream blocks.

Attribute names are upstream's, so that state-dict keys match theirs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN
from paragon_stream.models.primitives import ChannelNorm, LayerScale, SeparableFilter


class MagicKernelBase(nn.Module):
    """The base path: optional low-pass of weight `alpha`, repetition `scale` times, 5-tap blur.

    `alpha` is no part of the state dict: it has to come with the file.
    """

    def __init__(self, scale: int, alpha: float) -> None:
        super().__init__()
        self.scale = scale
        self.alpha = alpha
        self.sharp = SeparableFilter(3, MAGIC_SHARPEN, axes=("h", "v"), stored="kernel")
        self.blur = SeparableFilter(3, MAGIC_BLUR, axes=("h", "v"), stored="kernel")

    def forward(self, x: Tensor) -> Tensor:
        if self.alpha != 0:
            x = x + self.alpha * (self.sharp(x) - x)
        out: Tensor = self.blur(functional.interpolate(x, scale_factor=self.scale, mode="nearest"))
        return out


class WideningBlock(nn.Module):
    """Common to Realtime's, Photo's and Pro's blocks: widen, depthwise 3×3, GELU (exact), narrow.

    `norm`: the name of the norm that a subclass has before it, and that comes first in state dicts.
    """

    def __init__(self, features: int, *, norm: str = "") -> None:
        super().__init__()
        if norm:
            self.add_module(norm, ChannelNorm(features))
        self.conv1 = nn.Conv2d(features, 2 * features, 1)
        self.dw = nn.Conv2d(2 * features, 2 * features, 3, padding=1, groups=2 * features)
        self.conv2 = nn.Conv2d(2 * features, features, 1)

    def widened(self, x: Tensor) -> Tensor:
        """The branch, before its layer scale."""
        out: Tensor = self.conv2(functional.gelu(self.dw(self.conv1(x))))
        return out


class NanoBlock(WideningBlock):
    """Realtime's block: the widened branch, added to its input."""

    def __init__(self, features: int, *, gamma: bool) -> None:
        super().__init__(features)
        self.scale: nn.Module = LayerScale(features) if gamma else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.scale(self.widened(x))
        return x + branch


class StreamBlock(nn.Module):
    """Stream's block: two depthwise reaches, then the product of two gated halves; added to its input.

    `limit` is the limit of the products: by default upstream's (see `hold_products`).
    """

    FP16_LIMIT = 65504.0

    def __init__(self, features: int, *, gamma: bool) -> None:
        super().__init__()
        self.limit = self.FP16_LIMIT if gamma else math.inf  # generations before 11 have no clamp
        self.dw1 = nn.Conv2d(features, features, 3, padding=1, groups=features)
        self.dw3 = nn.Conv2d(features, features, 3, padding=3, dilation=3, groups=features)
        self.fuse = nn.Conv2d(2 * features, features, 1)
        self.proj = nn.Conv2d(features, 4 * features, 1)
        self.gate = nn.Conv2d(4 * features, 4 * features, 3, padding=1, groups=4 * features)
        self.out = nn.Conv2d(2 * features, features, 1)
        self.scale: nn.Module = LayerScale(features) if gamma else nn.Identity()

    def product(self, x: Tensor) -> Tensor:
        """The gated product, before `out`; always in fp32."""
        u = self.fuse(torch.cat([self.dw1(x), self.dw3(x)], 1))
        a, b = self.gate(self.proj(u)).chunk(2, 1)
        p: Tensor = a.float() * b.float()
        if math.isfinite(self.limit):
            p = p.clamp(-self.limit, self.limit)
        return p.to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.scale(self.out(self.product(x)))
        return x + branch


def hold_products(body: nn.Module, limit: float) -> None:
    """Hold the products of all Stream blocks in `body` to ±`limit`, where that is less than upstream's."""
    for block in body.modules():
        if isinstance(block, StreamBlock):
            block.limit = min(block.limit, limit)
