"""Modules that several lines share: MagicKernel, LayerScale, Inception, squeeze-and-excitation, norms.

Attribute names are upstream's, so that state-dict keys match theirs. All maps are N×C×H×W.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN


class LayerScale(nn.Module):
    """A learned factor per channel on a residual branch; `flat`: stored with one axis."""

    def __init__(self, features: int, initial: float = 1e-5, *, flat: bool = False) -> None:
        super().__init__()
        shape = (features,) if flat else (1, features, 1, 1)
        self.gamma = nn.Parameter(torch.full(shape, initial))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma.view(1, -1, 1, 1) * x


class SeparableFilter(nn.Module):
    """One fixed filter, applied to each channel along rows, then along columns; zero padding.

    `axes` are the names of the two convolutions, `stored` is the name of a buffer with the taps, if any.
    """

    def __init__(
        self,
        channels: int,
        taps: Sequence[float],
        *,
        axes: tuple[str, str] = ("conv_h", "conv_v"),
        stored: str = "",
    ) -> None:
        super().__init__()
        size = len(taps)
        kernel = torch.tensor(taps)
        if stored:
            self.register_buffer(stored, kernel)
        self.axes = axes
        for name, shape in zip(axes, ((1, size), (size, 1)), strict=True):
            padding = (shape[0] // 2, shape[1] // 2)
            layer = nn.Conv2d(channels, channels, shape, padding=padding, groups=channels, bias=False)
            with torch.no_grad():
                layer.weight.copy_(kernel.view(1, 1, *shape).expand_as(layer.weight))
            self.add_module(name, layer)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.axes:
            x = getattr(self, name)(x)
        return x


class MagicKernel(nn.Module):
    """Low-pass of weight `alpha` blended in, repetition `scale` times, 5-tap blur.

    `alpha` is no part of the state dict: it has to come with the file.
    """

    def __init__(self, channels: int, scale: int, alpha: float, *, stored: str = "") -> None:
        super().__init__()
        self.scale = scale
        self.alpha = alpha
        self.sharpen = SeparableFilter(channels, MAGIC_SHARPEN, stored=stored)
        self.resample_conv = SeparableFilter(channels, MAGIC_BLUR, stored=stored)

    def forward(self, x: Tensor) -> Tensor:
        if self.alpha:
            x = x + self.alpha * (self.sharpen(x) - x)
        return self.resample_conv(functional.interpolate(x, scale_factor=self.scale, mode="nearest"))


class RowBand(nn.Conv2d):
    """A depthwise row of `band` pixels, in fp32 where the rest is in bf16 on a CPU: it is an eighth of the
    channels, and oneDNN never returns from preparing such kernels of more than 14 columns (torch 2.14)."""

    def __init__(self, features: int, band: int) -> None:
        super().__init__(features, features, (1, band), padding=(0, band // 2), groups=features)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or (x.dtype is not torch.bfloat16 and not torch.is_autocast_enabled("cpu")):
            return super().forward(x)
        bias = None if self.bias is None else self.bias.float()
        with torch.autocast("cpu", enabled=False):
            y = functional.conv2d(
                x.float(), self.weight.float(), bias, padding=self.padding, groups=self.groups
            )
        return y.to(x.dtype)


class Inception(nn.Module):
    """Depthwise convolutions of an eighth of the channels each: 3×3, a row and a column of `band` pixels; the
    other channels pass."""

    def __init__(self, features: int, band: int) -> None:
        super().__init__()
        part = max(1, features // 8)
        self.parts = (features - 3 * part, part, part, part)
        self.dwconv_hw = nn.Conv2d(part, part, 3, padding=1, groups=part)
        self.dwconv_w = RowBand(part, band)
        self.dwconv_h = nn.Conv2d(part, part, (band, 1), padding=(band // 2, 0), groups=part)

    def forward(self, x: Tensor) -> Tensor:
        same, square, row, column = x.split(self.parts, 1)
        return torch.cat([same, self.dwconv_hw(square), self.dwconv_w(row), self.dwconv_h(column)], 1)


class Statistic(nn.Module):
    """A module that reads values over the whole picture, which may be a part of the map.

    With a replicated border around the picture (see `models.border`), the border's values are left out.
    """

    border = 0
    """Margin on every side that is not part of the picture, pixels."""
    size: tuple[int, int] | None = None
    """Rows and columns of the picture within that border; None: up to the map's end."""

    def picture(self, x: Tensor, factor: int = 1) -> Tensor:
        """The picture's part of a map that is `factor` times as large as the source."""
        if not self.border and self.size is None:
            return x
        inside = x[..., self.border * factor :, self.border * factor :]
        if self.size is not None:
            inside = inside[..., : self.size[0] * factor, : self.size[1] * factor]
        return inside


class Windowed(nn.Module):
    """A module that attends within windows. With `wraps`, shifted windows take in the opposite edge, as
    upstream computes it; without, they lie inside the map, which must be whole windows."""

    wraps = True


class Mean(Statistic):
    """The mean of every channel over the picture: N×C×1×1."""

    def forward(self, x: Tensor) -> Tensor:
        return self.picture(x).mean((2, 3), keepdim=True)


def squeeze_excite(features: int, squeezed: int) -> nn.Sequential:
    """A factor per channel, 0…1, computed from the means over the picture: N×C×1×1."""
    return nn.Sequential(
        Mean(),
        nn.Conv2d(features, squeezed, 1),
        nn.ReLU(),
        nn.Conv2d(squeezed, features, 1),
        nn.Sigmoid(),
    )


class ChannelModulation(nn.Module):
    """Features times the factors of `squeeze_excite`, with a quarter of the channels inside."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.net = squeeze_excite(features, max(1, features // 4))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.net(x)


class PictureNorm(Statistic):
    """Features less their mean over all channels and pixels, over the root of their variance.

    A group norm of one group. `affine`: then times a weight, plus a bias, per channel. `factor`: how much
    larger its maps are than the source.
    """

    EPSILON = 1e-5

    def __init__(self, features: int, *, affine: bool = True, factor: int = 1) -> None:
        super().__init__()
        self.factor = factor
        self.weight = nn.Parameter(torch.ones(features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(features)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        if not self.border and self.size is None:
            return functional.group_norm(x, 1, self.weight, self.bias, self.EPSILON)
        variance, mean = torch.var_mean(self.picture(x, self.factor), (1, 2, 3), correction=0, keepdim=True)
        y = (x - mean) / (variance + self.EPSILON).sqrt()
        if self.weight is None or self.bias is None:
            return y
        return y * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class PixelNorm(nn.Module):
    """A layer norm over the channels of each pixel."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.layer_norm(x.movedim(1, -1), (x.shape[1],), self.weight, self.bias, 1e-5)
        return y.movedim(-1, 1)


class ChannelNorm(nn.Module):
    """Each pixel's features over their root mean square, times `scale`, plus `bias`. N×C×H×W."""

    EPSILON = 1e-6

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features, 1, 1))
        self.bias = nn.Parameter(torch.zeros(features, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        root = (x.float().square().mean(1, keepdim=True) + self.EPSILON).sqrt().to(x.dtype)
        return self.scale * x / root + self.bias


class PackedShuffle(nn.Module):
    """3×3 convolution to s² times as many channels, PixelShuffle."""

    def __init__(self, inputs: int, outputs: int, scale: int) -> None:
        super().__init__()
        self.up_conv = nn.Conv2d(inputs, outputs * scale * scale, 3, padding=1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.up_conv(x), self.scale)


def depthwise(features: int, kernel: int) -> nn.Conv2d:
    """A depthwise convolution that keeps the size of its map."""
    return nn.Conv2d(features, features, kernel, padding=kernel // 2, groups=features)
