"""The building blocks of the release line: base resampler, LayerScale, nano and stream blocks.

Attribute names are upstream's, so that state-dict keys match theirs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN


class LayerScale(nn.Module):
    """A learned factor per channel on a residual branch."""

    def __init__(self, features: int, initial: float = 1e-5) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((1, features, 1, 1), initial))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


class SeparableFilter(nn.Module):
    """One fixed filter, applied to each of three channels along rows, then along columns; zero padding."""

    def __init__(self, taps: tuple[float, ...]) -> None:
        super().__init__()
        size = len(taps)
        kernel = torch.tensor(taps)
        self.register_buffer("kernel", kernel)
        self.h = nn.Conv2d(3, 3, (1, size), padding=(0, size // 2), groups=3, bias=False)
        self.v = nn.Conv2d(3, 3, (size, 1), padding=(size // 2, 0), groups=3, bias=False)
        with torch.no_grad():
            self.h.weight.copy_(kernel.view(1, 1, 1, size).expand_as(self.h.weight))
            self.v.weight.copy_(kernel.view(1, 1, size, 1).expand_as(self.v.weight))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.v(self.h(x))
        return out


class MagicKernelBase(nn.Module):
    """The base path: optional low-pass of weight `alpha`, repetition `scale` times, 5-tap blur.

    `alpha` is no part of the state dict: it has to come with the file.
    """

    def __init__(self, scale: int, alpha: float) -> None:
        super().__init__()
        self.scale = scale
        self.alpha = alpha
        self.sharp = SeparableFilter(MAGIC_SHARPEN)
        self.blur = SeparableFilter(MAGIC_BLUR)

    def forward(self, x: Tensor) -> Tensor:
        if self.alpha != 0:
            x = x + self.alpha * (self.sharp(x) - x)
        out: Tensor = self.blur(functional.interpolate(x, scale_factor=self.scale, mode="nearest"))
        return out


class WideningBlock(nn.Module):
    """Common to Realtime's, Photo's and Pro's blocks: widen, depthwise 3×3, GELU (exact), narrow."""

    def __init__(self, features: int) -> None:
        super().__init__()
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

    `limit` is what products are held to: upstream's unless it is set (see `hold_products`).
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
        """The gated product, before `out`; in fp32 whatever the input is."""
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
