"""The release line (generations p2v9, p2v10, p2v11, p2head) as torch modules.

    y = base(x) + detail_gain · conv_out(shuffle(up(conv_mid(body(conv_in(x))))))

State-dict keys are upstream's, and so is the function: zero padding in every layer.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint import NetworkSpec, Variant
from paragon_stream.models.attention import ChannelAttention, PhotoBlock, ProBlock, WindowAttention
from paragon_stream.models.blocks import MagicKernelBase, NanoBlock, StreamBlock, hold_products

Border = Literal["zero", "replicate"]


class Group(nn.Module):
    """Blocks in a row, without a skip around them."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(x)
        return out


def make_body(spec: NetworkSpec) -> nn.Sequential:
    """The non-linear part of a network: groups of residual blocks."""
    body = nn.Sequential(
        *(
            Group([_block(spec, group * spec.blocks + index) for index in range(spec.blocks)])
            for group in range(spec.groups)
        )
    )
    hold_products(body, spec.product_limit)
    return body


def _block(spec: NetworkSpec, number: int) -> nn.Module:
    shifted = number % 2 == 1
    match spec.variant:
        case Variant.REALTIME:
            return NanoBlock(spec.features, gamma=spec.has_layer_scale)
        case Variant.STREAM:
            return StreamBlock(spec.features, gamma=spec.has_layer_scale)
        case Variant.PHOTO:
            return PhotoBlock(spec.features, spec.window, shifted=shifted)
        case Variant.PRO:
            return ProBlock(spec.features, spec.window, spec.tokens, shifted=shifted)


def extended(x: Tensor, margin: int, whole: int) -> Tensor:
    """N×C×H×W with `margin` replicated pixels on every side, and as many more below and to the right as make
    multiples of `whole`, if `margin` is one."""
    down, across = (-side % whole for side in x.shape[2:])
    return functional.pad(x, [margin, margin + across, margin, margin + down], mode="replicate")


class ReleaseNet(nn.Module):
    """One network of the release line: N×3×H×W RGB in [0, 1] to N×3×sH×sW, not clamped.

    `border` = "zero" is upstream's function, which darkens the picture's edge; "replicate" repeats the edge
    pixels by the receptive radius (whole windows of attention), runs, and crops: the function that frame jobs
    compute.
    """

    def __init__(self, spec: NetworkSpec, *, border: Border = "zero") -> None:
        super().__init__()
        f, scale = spec.features, spec.scale
        self.spec = spec
        self.border = border
        self.detail_gain = nn.Parameter(torch.tensor(0.05 if spec.variant is Variant.REALTIME else 0.1))
        self.base = MagicKernelBase(scale, spec.alpha)
        self.conv_in = nn.Conv2d(3, f, 3, padding=1)
        self.body = make_body(spec)
        self.conv_mid = nn.Conv2d(f, f, 3, padding=1)
        self.up = nn.Sequential(nn.Conv2d(f, f * scale * scale, 3, padding=1), nn.PixelShuffle(scale))
        self.conv_out = nn.Conv2d(f, 3, 3, padding=1)

    def forward(
        self, x: Tensor, *, feature_tap: bool = False, prev_feat: Tensor | None = None, alpha: float = 0.2
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Upscale; with `feature_tap` also return the (blended) features after `conv_in`.

        `prev_feat`, the tap of the frame before, is blended in with weight `alpha` (upstream's video mode).
        """
        height, width = x.shape[2:]
        margin = self._margin()
        if margin:
            x = extended(x, margin, self.spec.window or 1)
        feat = self.conv_in(x)
        if prev_feat is not None:
            feat = (1 - alpha) * feat + alpha * prev_feat
        self._tell_blocks(margin, height, width)
        detail = self.conv_out(self.up(self.conv_mid(self.body(feat))))
        y = self.base(x) + detail * self.detail_gain
        if margin:
            top = margin * self.spec.scale
            y = y[..., top : top + height * self.spec.scale, top : top + width * self.spec.scale]
        return (y, feat) if feature_tap else y

    def _margin(self) -> int:
        """Replicated pixels on every side; 0 for upstream's function."""
        if self.border == "zero":
            return 0
        whole = self.spec.window or 1
        return math.ceil(self.spec.margin / whole) * whole

    def _tell_blocks(self, margin: int, height: int, width: int) -> None:
        """What blocks that see more than a neighbourhood need to know of the border."""
        for module in self.body.modules():
            if isinstance(module, WindowAttention):
                module.wraps = margin == 0
            elif isinstance(module, ChannelAttention):
                module.border, module.size = margin, (height, width)
