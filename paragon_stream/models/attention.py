"""The blocks of Photo and Pro: normalisation, attention within windows, and Pro's further branches.

Attribute names are upstream's, so that state-dict keys match theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint.block_shapes import QUERY
from paragon_stream.checkpoint.spec import HEADS
from paragon_stream.models.blocks import WideningBlock
from paragon_stream.models.primitives import ChannelNorm, LayerScale, Statistic, Windowed


class WindowAttention(Windowed):
    """Attention of four heads among the pixels of each `window` × `window` square of N×C×H×W features.

    `shifted`: the squares begin at half a window. As in upstream there are no masks: the map is padded with
    zeros below and to the right, and shifted windows wrap around to the opposite edge. With `wraps` off,
    shifted windows lie inside the map, and the half window around them is not changed (frame jobs compute
    this, within their margin). The map must then be whole windows.
    """

    def __init__(self, features: int, window: int, *, shifted: bool) -> None:
        super().__init__()
        self.window = window
        self.shift = window // 2 if shifted else 0
        self.qkv = nn.Linear(features, 3 * features)
        self.proj = nn.Linear(features, features)

    def forward(self, x: Tensor) -> Tensor:
        w, shift = self.window, self.shift
        height, width = x.shape[2:]
        if not self.wraps:
            after = (w - shift) % w
            inside = x[..., shift : height - after, shift : width - after] if shift else x
            return functional.pad(self._attend(inside), [shift, after, shift, after] if shift else [0] * 4)
        x = functional.pad(x, [0, -width % w, 0, -height % w])
        x = self._attend(x.roll((-shift, -shift), (2, 3))).roll((shift, shift), (2, 3))
        return x[..., :height, :width]

    def _attend(self, x: Tensor) -> Tensor:
        n, features, height, width = x.shape
        w, each = self.window, features // HEADS
        rows, columns = height // w, width // w
        tokens = x.view(n, features, rows, w, columns, w).permute(0, 2, 4, 3, 5, 1)
        qkv = self.qkv(tokens.reshape(n * rows * columns, w * w, features))
        q, k, v = qkv.view(-1, w * w, 3, HEADS, each).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v)
        mixed = self.proj(seen.transpose(1, 2).reshape(-1, w * w, features))
        map = mixed.view(n, rows, columns, w, w, features).permute(0, 5, 1, 3, 2, 4)
        return map.reshape(n, features, height, width)


class PhotoBlock(WideningBlock):
    """Realtime's block on normalised features, then window attention; one layer scale for both."""

    norm: ChannelNorm

    def __init__(self, features: int, window: int, *, shifted: bool) -> None:
        super().__init__(features, norm="norm")
        self.scale = LayerScale(features)
        self.attn: WindowAttention | None = None
        if window:
            self.attn_norm = ChannelNorm(features)
            self.attn = WindowAttention(features, window, shifted=shifted)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale(self.widened(self.norm(x)))
        if self.attn is not None:
            x = x + self.scale(self.attn(self.attn_norm(x)))
        return x


class ChannelAttention(Statistic):
    """Features times a factor per channel, 0…1, computed from their means over the picture."""

    def __init__(self, features: int) -> None:
        super().__init__()
        squeezed = features // 16
        self.fc = nn.Sequential(
            nn.Linear(features, squeezed, bias=False), nn.GELU(), nn.Linear(squeezed, features, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        factors: Tensor = self.fc(self.picture(x).mean((2, 3))).sigmoid()
        return x * factors[..., None, None]


class TokenAttention(nn.Module):
    """Every pixel attends to a learned dictionary of `tokens` entries."""

    def __init__(self, features: int, tokens: int) -> None:
        super().__init__()
        self.token_dict = nn.Parameter(0.02 * torch.randn(1, tokens, features))
        self.q_proj = nn.Linear(features, QUERY)
        self.k_proj = nn.Linear(features, QUERY)
        self.v_proj = nn.Linear(features, features)
        self.out_proj = nn.Linear(features, features)

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(2).transpose(1, 2)
        scores = self.q_proj(pixels) @ self.k_proj(self.token_dict).transpose(1, 2) / QUERY**0.5
        read: Tensor = self.out_proj(scores.softmax(-1) @ self.v_proj(self.token_dict))
        return read.transpose(1, 2).reshape(x.shape)


class ProBlock(WideningBlock):
    """Four branches, each added with a layer scale of its own: Realtime's block on normalised features,
    channel attention, window attention (none with a `window` of 0), the dictionary."""

    norm1: ChannelNorm

    def __init__(self, features: int, window: int, tokens: int, *, shifted: bool) -> None:
        super().__init__(features, norm="norm1")
        self.scale1 = LayerScale(features)
        self.channel_attn = ChannelAttention(features)
        self.scale2 = LayerScale(features)
        self.window_attn: WindowAttention | None = None
        if window:
            self.norm3 = ChannelNorm(features)
            self.window_attn = WindowAttention(features, window, shifted=shifted)
            self.scale3 = LayerScale(features)
        self.norm4 = ChannelNorm(features)
        self.token_ca = TokenAttention(features, tokens)
        self.scale4 = LayerScale(features)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale1(self.widened(self.norm1(x)))
        x = x + self.scale2(self.channel_attn(x))
        if self.window_attn is not None:
            x = x + self.scale3(self.window_attn(self.norm3(x)))
        branch: Tensor = self.scale4(self.token_ca(self.norm4(x)))
        return x + branch
