"""The release line (generations p2v9, p2v10, p2v11, p2head) as torch modules.

    y = base(x) + detail_gain · conv_out(shuffle(up(conv_mid(body(conv_in(x))))))

State-dict keys are upstream's, and so is the function: zero padding in every layer.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint import NetworkSpec
from paragon_stream.models.blocks import MagicKernelBase, NanoBlock, StreamBlock

Border = Literal["zero", "replicate"]
BLOCKS: dict[str, type[NanoBlock] | type[StreamBlock]] = {"realtime": NanoBlock, "stream": StreamBlock}
SIZES = {"realtime": (16, 1, 3), "stream": (32, 2, 3)}
"""Features, groups and blocks per group of the published variants."""


class Group(nn.Module):
    """Blocks in a row, without a skip around them."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(x)
        return out


def make_body(variant: str, features: int, groups: int, blocks: int, *, gamma: bool) -> nn.Sequential:
    """The non-linear part of `variant`: `groups` groups of `blocks` blocks on `features` channels."""
    block = BLOCKS[variant]
    return nn.Sequential(
        *(Group([block(features, gamma=gamma) for _ in range(blocks)]) for _ in range(groups))
    )


class ReleaseNet(nn.Module):
    """One network of the release line: N×3×H×W RGB in [0, 1] to N×3×sH×sW, not clamped.

    `border` = "zero" is upstream's function, which darkens the picture's edge; "replicate" repeats the edge
    pixels by the receptive radius, runs, and crops: the function that frame jobs compute. `gamma` is False
    for p2v9 and p2v10, which have no LayerScale. `spec` is set by `paragon_stream.models.load`.
    """

    spec: NetworkSpec

    def __init__(
        self,
        variant: str,
        scale: int,
        *,
        alpha: float = 0.0,
        features: int | None = None,
        groups: int | None = None,
        blocks: int | None = None,
        gamma: bool = True,
        border: Border = "zero",
    ) -> None:
        super().__init__()
        f, g, b = SIZES[variant]
        f, g, b = features or f, groups or g, blocks or b
        self.border = border
        self.scale = scale
        self.radius = 1 + g * b * BLOCKS[variant].RADIUS + 1 + 2
        self.detail_gain = nn.Parameter(torch.tensor(0.05 if variant == "realtime" else 0.1))
        self.base = MagicKernelBase(scale, alpha)
        self.conv_in = nn.Conv2d(3, f, 3, padding=1)
        self.body = make_body(variant, f, g, b, gamma=gamma)
        self.conv_mid = nn.Conv2d(f, f, 3, padding=1)
        self.up = nn.Sequential(nn.Conv2d(f, f * scale * scale, 3, padding=1), nn.PixelShuffle(scale))
        self.conv_out = nn.Conv2d(f, 3, 3, padding=1)

    def forward(
        self, x: Tensor, *, feature_tap: bool = False, prev_feat: Tensor | None = None, alpha: float = 0.2
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Upscale; with `feature_tap` also return the (blended) features after `conv_in`.

        `prev_feat`, the tap of the frame before, is blended in with weight `alpha` (upstream's video mode).
        """
        if self.border == "replicate":
            x = functional.pad(x, [self.radius] * 4, mode="replicate")
        feat = self.conv_in(x)
        if prev_feat is not None:
            feat = (1 - alpha) * feat + alpha * prev_feat
        detail = self.conv_out(self.up(self.conv_mid(self.body(feat))))
        y = self.base(x) + detail * self.detail_gain
        if self.border == "replicate":
            cut = self.radius * self.scale
            y = y[..., cut:-cut, cut:-cut]
        return (y, feat) if feature_tap else y
