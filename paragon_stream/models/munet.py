"""MUNet, the U-shaped discriminator (revision B, the one that traiNNer-redux ends with): a logit per pixel.

Only training uses it. State-dict keys are upstream's; so are the MagicKernel taps, which upstream's
initialisation overwrote with noise in released files: they are loaded, never assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN


def _convolution(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = False
) -> nn.Module:
    """A convolution whose spectral norm is held at 1."""
    return spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=bias))


class _Separable(nn.Module):
    def __init__(self, channels: int, taps: tuple[float, ...]) -> None:
        super().__init__()
        self.conv_h = self._axis(channels, torch.tensor(taps).view(1, 1, 1, -1))
        self.conv_v = self._axis(channels, torch.tensor(taps).view(1, 1, -1, 1))

    @staticmethod
    def _axis(channels: int, taps: Tensor) -> nn.Conv2d:
        size = (taps.shape[2], taps.shape[3])
        padding = (size[0] // 2, size[1] // 2)
        layer = nn.Conv2d(channels, channels, size, padding=padding, groups=channels, bias=False)
        with torch.no_grad():
            layer.weight.copy_(taps.expand_as(layer.weight))
        return layer

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv_v(self.conv_h(x))
        return out


class _MagicUpsample(nn.Module):
    """MagicKernel at alpha 1, to a given size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sharpen = _Separable(channels, MAGIC_SHARPEN)
        self.resample_conv = _Separable(channels, MAGIC_BLUR)
        self.requires_grad_(False)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        large = functional.interpolate(self.sharpen(x), size=list(size), mode="nearest")
        out: Tensor = self.resample_conv(large)
        return out


class _UpBlock(nn.Module):
    def __init__(self, channels: int, skip: int) -> None:
        super().__init__()
        self.magic_upsample = _MagicUpsample(channels)
        self.post_upsample_conv = _convolution(channels, skip)
        self.fusion_conv = nn.Sequential(_convolution(2 * skip, skip), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.post_upsample_conv(self.magic_upsample(x, skip.shape[2:]))
        out: Tensor = self.fusion_conv(torch.cat([x, skip], 1))
        return out


class MUNet(nn.Module):
    """N×3×H×W pictures to N×1×H×W logits; `widths` are the multiples of `features` going down."""

    def __init__(self, features: int = 64, widths: Sequence[int] = (1, 2, 4, 8)) -> None:
        super().__init__()
        self.in_conv = nn.Conv2d(3, features, 3, padding=1)
        channels = [features, *(features * width for width in widths)]
        self.down_blocks = nn.ModuleList(
            nn.Sequential(_convolution(a, b, kernel=4, stride=2), nn.LeakyReLU(0.2))
            for a, b in pairwise(channels)
        )
        deep = channels[-1]
        self.mid_conv = nn.Sequential(
            _convolution(deep, deep), nn.LeakyReLU(0.2), _convolution(deep, deep), nn.LeakyReLU(0.2)
        )
        self.up_blocks = nn.ModuleList(_UpBlock(a, b) for a, b in pairwise(channels[::-1]))
        self.out_conv = _convolution(features, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.in_conv(x)
        skips = []
        for down in self.down_blocks:
            skips.append(x)
            x = down(x)
        x = self.mid_conv(x)
        for up in self.up_blocks:
            x = up(x, skips.pop())
        out: Tensor = self.out_conv(x)
        return out
