"""The release line (generations p2v9, p2v10, p2v11, p2head) as torch modules.

    y = base(x) + detail_gain · conv_out(shuffle(up(conv_mid(body(conv_in(x))))))

State-dict keys are upstream's, and so is the function: zero padding in every layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paragon_stream.checkpoint import Variant
from paragon_stream.checkpoint.spec import ReleaseSpec
from paragon_stream.models.attention import PhotoBlock, ProBlock
from paragon_stream.models.blocks import MagicKernelBase, NanoBlock, StreamBlock, hold_products
from paragon_stream.models.border import Border, put_border, take_border
from paragon_stream.models.checkpointing import Blocks


class Group(nn.Module):
    """Consecutive blocks without a skip around them."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = Blocks(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(x)
        return out


def make_body(spec: ReleaseSpec) -> nn.Sequential:
    """The non-linear part of a network: groups of residual blocks."""
    body = nn.Sequential(
        *(
            Group([_block(spec, group * spec.blocks + index) for index in range(spec.blocks)])
            for group in range(spec.groups)
        )
    )
    hold_products(body, spec.product_limit)
    return body


def _block(spec: ReleaseSpec, number: int) -> nn.Module:
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


class ReleaseNet(nn.Module):
    """One network of the release line: N×3×H×W RGB in [0, 1] to N×3×sH×sW, not clamped.

    `border` = "zero" is upstream's function, which darkens the picture's edge; "replicate" repeats the edge
    pixels by the receptive radius (whole windows of attention), runs, and crops: the function that frame jobs
    compute.
    """

    def __init__(self, spec: ReleaseSpec, *, border: Border = "zero") -> None:
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
        self, x: Tensor, feature_tap: bool = False, prev_feat: Tensor | None = None, alpha: float = 0.2
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Upscale; with `feature_tap` also return the (blended) features after `conv_in`.

        `prev_feat`, the tap of the frame before, is blended in with weight `alpha` (upstream's video mode).
        """
        size = (x.shape[2], x.shape[3])
        x, margin = put_border(self, self.spec, self.border, x)
        feat = self.conv_in(x)
        if prev_feat is not None:
            feat = (1 - alpha) * feat + alpha * prev_feat
        body = self.body(feat)
        detail = self.conv_out(self.up(self.conv_mid(body)))
        y = take_border(self.base(x) + detail * self.detail_gain, self.spec.scale, margin, size)
        return (y, feat) if feature_tap else y
