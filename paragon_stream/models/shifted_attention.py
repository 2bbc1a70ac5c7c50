"""Window attention of generations 6 to 8: heads over a convolution's output; v7 and v8 with a bias per
relative position, and keys and values of the neighbourhood."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint.published import attends_not
from paragon_stream.checkpoint.spec import HEADS
from paragon_stream.models.primitives import Windowed, depthwise


def relative_index(window: int) -> Tensor:
    """(w², w²): the row of the bias table for each query and key of a window."""
    places = torch.arange(window)
    rows, columns = (each.flatten() for each in torch.meshgrid(places, places, indexing="ij"))
    across = rows[:, None] - rows + window - 1
    return across * (2 * window - 1) + columns[:, None] - columns + window - 1


class ShiftedAttention(Windowed):
    """Attention of four heads among the pixels of each `window` × `window` square; no mask.

    `shifted`: the squares begin half a window aside. v6 attends over whole maps that fit into one window; in
    v7 and v8 (`relative`), upstream fails on those (defect D5), and here they are filled up like all others.
    `flex`: FlexAttention with the bias in its score function. Exports, and training on a CPU, for which torch
    has no such gradient, take the plain way.
    """

    relative_position_index: Tensor

    def __init__(self, features: int, window: int, *, shifted: bool, relative: bool) -> None:
        super().__init__()
        self.window = window
        self.shift = window // 2 if shifted else 0
        self.relative = relative
        self.flex = False
        if relative:
            self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, HEADS))
            self.register_buffer("relative_position_index", relative_index(window))
            self.rattention_context = depthwise(features, 3)
        self.qkv = nn.Conv2d(features, 3 * features, 1)
        self.proj = nn.Conv2d(features, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        w, shift = self.window, self.shift
        height, width = x.shape[2:]
        if not self.wraps:
            after = (w - shift) % w
            inside = x[..., shift : height - after, shift : width - after] if shift else x
            y = self._attend(inside, w, w)
            return functional.pad(y, [shift, after, shift, after]) if shift else y
        if not self.relative and height <= w and width <= w:
            return self._attend(x, height, width)
        x = functional.pad(x, [0, -width % w, 0, -height % w])
        x = self._attend(x.roll((-shift, -shift), (2, 3)), w, w).roll((shift, shift), (2, 3))
        return x[..., :height, :width]

    def _attend(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Within windows of `rows` × `columns` pixels."""
        query, key, value = self.qkv(x).chunk(3, 1)
        if self.relative:
            key, value = self.qkv(self.rattention_context(x)).chunk(3, 1)[1:]
        n, c, height, width = x.shape
        grid = (height // rows, width // columns)

        def tokens(map: Tensor) -> Tensor:
            parts = map.reshape(n, HEADS, c // HEADS, grid[0], rows, grid[1], columns)
            return parts.permute(0, 3, 5, 1, 4, 6, 2).reshape(-1, HEADS, rows * columns, c // HEADS)

        seen = self._scaled(tokens(query), tokens(key), tokens(value))
        parts = seen.view(n, *grid, HEADS, rows, columns, c // HEADS)
        return self.proj(parts.permute(0, 3, 6, 1, 4, 2, 5).reshape(n, c, height, width))

    def _scaled(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if not self.relative:
            return functional.scaled_dot_product_attention(query, key, value)
        if self.flex and _can_flex(query):
            return _flex(query, key, value, self.relative_position_bias_table, self.relative_position_index)
        size = self.window**2
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)]
        mask = bias.view(size, size, HEADS).permute(2, 0, 1).to(query)
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def choose_attention(network: nn.Module, mode: str | None) -> None:
    """Compute `network` with "sdpa" (scaled_dot_product_attention) or "flex". The results are the same;
    networks without a relative bias have nothing for FlexAttention to do. "none" is for networks without
    attention, and changes nothing.

    Raises UsageError for another mode.
    """
    attends_not(mode)  # raises for unknown modes
    for module in network.modules():
        if isinstance(module, ShiftedAttention):
            module.flex = mode == "flex"


def _can_flex(query: Tensor) -> bool:
    if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
        return False
    return query.is_cuda or not query.requires_grad


@cache
def _compiled() -> Any:
    """Uncompiled, torch keeps all scores in memory, which FlexAttention is there to avoid."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False)


def _flex(query: Tensor, key: Tensor, value: Tensor, table: Tensor, index: Tensor) -> Tensor:
    from torch.nn.attention.flex_attention import flex_attention

    def with_bias(score: Tensor, _: Any, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return score + table[index[q, k], head]

    if query.is_cuda and not torch.compiler.is_compiling():
        out = _compiled()(query, key, value, score_mod=with_bias)
    else:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
            out = flex_attention(query, key, value, score_mod=with_bias)
    return out if isinstance(out, Tensor) else out[0]
