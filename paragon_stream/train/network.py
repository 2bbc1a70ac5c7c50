"""The trainable form of networks of the release line, and its conversion to a checkpoint.

It differs from the published form in three ways, which saving removes:
- the tail is one free convolution (`paragon_stream.models.tail`), factorised into upstream's layers;
- the input is centred (x - 0.5), folded into `conv_in`'s bias;
- `detail_gain` is 1.

A conditioned network (`conditioned=True`) adds strength · slope to `conv_in`'s bias, one slope per
feature: the same as one more, constant input plane, without its cost.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from paragon_stream.checkpoint.spec import SAFE_PRODUCT, STRENGTH_TENSOR, published
from paragon_stream.models.attention import PhotoBlock, WindowAttention
from paragon_stream.models.blocks import MagicKernelBase, NanoBlock, StreamBlock
from paragon_stream.models.release import make_body
from paragon_stream.models.tail import FreeTail, factorise
from paragon_stream.train.losses import LUMA


def conditioned(features: Tensor, strength: Tensor, slope: Tensor) -> Tensor:
    """The N×F×H×W features after `conv_in`, for N strengths and F slopes."""
    return features + strength.view(-1, 1, 1, 1) * slope.view(1, -1, 1, 1)


class TrainableNet(nn.Module):
    """N×3×H×W RGB in [0, 1] (and N strengths) to N×3×sH×sW; zero padding, so crop `radius` LR pixels of loss.
    With attention H and W must be multiples of the window."""

    def __init__(
        self,
        variant: str,
        scale: int,
        *,
        conditioned: bool = False,
        alpha: float = 0.0,
        window: int | None = None,
    ) -> None:
        """`window`: side of the windows of attention, 0 for none; by default the variant's."""
        super().__init__()
        spec = published(variant, scale, alpha=alpha)
        if variant == "stream":  # its blocks multiply features
            spec = replace(spec, product_limit=SAFE_PRODUCT)
        if window is not None:
            spec = replace(spec, window=window)
        features = spec.features
        self.spec = spec
        self.variant = variant
        self.scale = scale
        self.radius = spec.radius
        self.base = MagicKernelBase(scale, alpha)
        self.conv_in = nn.Conv2d(3, features, 3, padding=1)
        self.slope = nn.Parameter(torch.zeros(features)) if conditioned else None
        self.body = make_body(spec)
        for module in self.body.modules():
            if isinstance(module, WindowAttention):
                module.wraps = False  # as frame jobs compute
        self.conv_mid = nn.Conv2d(features, features, 3, padding=1)
        self.tail = FreeTail(features, scale)

    @property
    def blocks(self) -> list[NanoBlock | StreamBlock | PhotoBlock]:
        return [m for m in self.body.modules() if isinstance(m, NanoBlock | StreamBlock | PhotoBlock)]

    def head(self, x: Tensor, strength: Tensor | None = None) -> Tensor:
        """Features after `conv_in`."""
        feat: Tensor = self.conv_in(x - 0.5)
        if self.slope is not None and strength is not None:
            feat = conditioned(feat, strength, self.slope)
        return feat

    def forward(self, x: Tensor, strength: Tensor | None = None) -> Tensor:
        detail: Tensor = self.tail(self.conv_mid(self.body(self.head(x, strength))))
        base: Tensor = self.base(x)
        return base + detail

    def release_state(self, *, gray: bool = False) -> dict[str, Tensor]:
        """The state dict in upstream's form (generation p2head), plus the slope of a conditioned network.

        With `gray`, the addition to R, G and B is the luma of the network's detail, because it was not
        trained on chroma; tools without a chroma filter then get the base path's chroma.

        Shipped at strength 0; away from zero-padded borders the function is the same to rounding.
        """
        state = {
            key: value.detach()
            for key, value in self.state_dict().items()
            if key != "slope" and not key.startswith("tail.")
        }
        bias = state["conv_in.bias"] - 0.5 * state["conv_in.weight"].sum((1, 2, 3))
        state["conv_in.bias"] = bias
        state["detail_gain"] = torch.tensor(1.0)
        state |= factorise(self.tail)
        if gray:
            for key in ("conv_out.weight", "conv_out.bias"):
                luma = torch.tensordot(torch.tensor(LUMA).to(state[key]), state[key], 1)
                state[key] = luma.expand_as(state[key])
        if self.slope is not None:
            state[STRENGTH_TENSOR] = self.slope.detach()
        return {key: value.float().cpu().contiguous() for key, value in state.items()}
