"""MUNet, the U-shaped discriminator, in its revisions B to F: a logit per pixel.

Only training uses it; B is the one that traiNNer-redux ends with. State-dict keys are upstream's; so are the
MagicKernel taps, which upstream's initialisation overwrote with noise in released files, so they are always
loaded from the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from paragon_stream.checkpoint.lines.discriminator import MUNetSpec
from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN, Generation
from paragon_stream.models.overlap_attention import LocalAttention, WholeAttention
from paragon_stream.models.primitives import SeparableFilter

SLOPE = 0.2
LUMA = (0.299, 0.587, 0.114)


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = False) -> nn.Module:
    """A convolution with spectral norm 1."""
    padding = 0 if kernel == 1 else 1
    return spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias))


def pointwise(inputs: int, outputs: int) -> nn.Module:
    return convolution(inputs, outputs, 1, bias=True)


def activated(*layers: nn.Module) -> nn.Sequential:
    """Each layer with a leaky ReLU behind it."""
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.LeakyReLU(SLOPE))))


class _MagicUpsample(nn.Module):
    """MagicKernel at alpha 1, to a given size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sharpen = SeparableFilter(channels, MAGIC_SHARPEN)
        self.resample_conv = SeparableFilter(channels, MAGIC_BLUR)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        large = functional.interpolate(self.sharpen(x), size=list(size), mode="nearest")
        return self.resample_conv(large)


class _UpBlock(nn.Module):
    def __init__(self, channels: int, skip: int) -> None:
        super().__init__()
        self.magic_upsample = _MagicUpsample(channels)
        self.post_upsample_conv = convolution(channels, skip)
        self.fusion_conv = activated(convolution(2 * skip, skip))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.post_upsample_conv(self.magic_upsample(x, skip.shape[2:]))
        return self.fusion_conv(torch.cat([x, skip], 1))


class _NarrowAttention(WholeAttention):
    """Revision F's: scores over the root of the queries' channels."""

    def sharpness(self, q: Tensor) -> float:
        return float(q.shape[1]) ** -0.5


class _Fusion(nn.Module):
    """The branches' sum, weighted pixel by pixel, through two convolutions."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.attention_conv = nn.Sequential(
            pointwise(4 * features, features), nn.LeakyReLU(SLOPE), pointwise(features, 4)
        )
        self.fusion_conv = activated(convolution(features, features), convolution(features, features))

    def forward(self, branches: list[Tensor]) -> Tensor:
        weights = self.attention_conv(torch.cat(branches, 1)).softmax(1)
        total = (torch.stack(branches, 1) * weights.unsqueeze(2)).sum(1)
        return self.fusion_conv(total)


_ATTENTION = {
    Generation.MUNET_D: WholeAttention,
    Generation.MUNET_E: LocalAttention,
    Generation.MUNET_F: _NarrowAttention,
}


class MUNet(nn.Module):
    """N×3×H×W pictures to N×1×H×W logits.

    Revision C adds to B a branch for the spectrum and one for patches; D one for
    gradients, attention in the middle, and weights for the branches.
    """

    def __init__(self, spec: MUNetSpec) -> None:
        super().__init__()
        self.spec = spec
        f, revision = spec.features, spec.generation
        self.in_conv = nn.Conv2d(3, f, 3, padding=1) if spec.plain else convolution(3, f, bias=True)
        channels = spec.channels
        self.down_blocks = nn.ModuleList(
            activated(convolution(a, b, kernel=4, stride=2)) for a, b in pairwise(channels)
        )
        deep = channels[-1]
        self.mid_conv = activated(convolution(deep, deep), convolution(deep, deep))
        if spec.weighs:
            self.self_attn = _ATTENTION[revision](deep, pointwise)
        self.up_blocks = nn.ModuleList(_UpBlock(a, b) for a, b in pairwise(channels[::-1]))
        if not spec.plain:
            last = revision is Generation.MUNET_F
            if not last:
                self.freq_luma = nn.Conv2d(3, 1, 1, bias=False).requires_grad_(False)
                with torch.no_grad():
                    self.freq_luma.weight.copy_(torch.tensor(LUMA).view(1, 3, 1, 1))
            self.freq_proc = activated(convolution(1, f // 2), convolution(f // 2, f))
            if spec.weighs:
                self.grad_conv = activated(convolution(2, f // 2), convolution(f // 2, f))
            self.patch_reduce = activated(convolution(deep, f, 1, bias=last))
            layers = [convolution(f, f, bias=last)] + ([] if last else [convolution(f, f)])
            self.patch_upsample = activated(*layers)
            if spec.weighs:
                self.attention_fusion = _Fusion(f)
            else:
                self.fusion_conv = activated(convolution(3 * f, f), convolution(f, f))
        self.out_conv = convolution(f, 1, bias=True)

    def forward(self, picture: Tensor) -> Tensor:
        x = self.in_conv(picture)
        skips = []
        for down in self.down_blocks:
            skips.append(x)
            x = down(x)
        middle = self.mid_conv(x)
        if self.spec.weighs:
            middle = self.self_attn(middle)
        x = middle
        for up in self.up_blocks:
            x = up(x, skips.pop())
        if not self.spec.plain:
            x = self._fused(x, picture, middle)
        return self.out_conv(x)

    def _fused(self, x: Tensor, picture: Tensor, middle: Tensor) -> Tensor:
        """The decoder's features, combined with the features of the other branches."""
        spectrum = self.freq_proc(self._spectrum(picture))
        patches = functional.interpolate(self.patch_reduce(middle), size=picture.shape[2:], mode="nearest")
        patches = self.patch_upsample(patches)
        if not self.spec.weighs:
            return self.fusion_conv(torch.cat([x, spectrum, patches], 1))
        gradients = self.grad_conv(self._gradients(picture))
        return self.attention_fusion([x, gradients, spectrum, patches])

    def _luma(self, picture: Tensor) -> Tensor:
        weights = torch.tensor(LUMA, device=picture.device, dtype=picture.dtype)
        return (picture * weights.view(1, 3, 1, 1)).sum(1, keepdim=True)

    def _spectrum(self, picture: Tensor) -> Tensor:
        """Logarithm of the amplitudes. Revision F moves the zero frequency to the middle, and with it, in
        upstream's, the pictures of a batch (defect D7): here every picture keeps its own."""
        last = self.spec.generation is Generation.MUNET_F
        luma = self._luma(picture) if last else self.freq_luma(picture)
        amplitude = torch.fft.fft2(luma.float(), norm="ortho").abs().to(picture.dtype)
        if last:
            amplitude = torch.fft.fftshift(amplitude, dim=(2, 3))
        return (amplitude + 1e-8).log()

    def _gradients(self, picture: Tensor) -> Tensor:
        """Differences to the right and downwards; at the end 0, in revision F the last one again."""
        luma = self._luma(picture)
        mode = "replicate" if self.spec.generation is Generation.MUNET_F else "constant"
        across = functional.pad(luma[..., 1:] - luma[..., :-1], [0, 1, 0, 0], mode)
        down = functional.pad(luma[..., 1:, :] - luma[..., :-1, :], [0, 0, 0, 1], mode)
        return torch.cat([across, down], 1)
