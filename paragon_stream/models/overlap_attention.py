"""Attention of generation 5 (and of MUNet D and E): within overlapping windows that are blended, or whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

type Layer = Callable[[int, int], nn.Module]


def pointwise(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1)


class WholeAttention(nn.Module):
    """Every pixel attends to all pixels: `attended` is V·softmax(QᵀK/√N)ᵀ with N the number of pixels."""

    def __init__(self, features: int, layer: Layer = pointwise) -> None:
        super().__init__()
        reduced = max(1, features // 8)
        self.query = layer(features, reduced)
        self.key = layer(features, reduced)
        self.value = layer(features, features)
        self.gamma = nn.Parameter(torch.zeros(1))

    def attended(self, x: Tensor) -> Tensor:
        q, k, v = (each(x).flatten(2) for each in (self.query, self.key, self.value))
        scores = q.transpose(1, 2) @ k * self.sharpness(q)
        return (v @ scores.softmax(-1).transpose(1, 2)).view_as(x)

    def sharpness(self, q: Tensor) -> float:
        """The factor of the scores, for queries N×channels×pixels."""
        return float(q.shape[2]) ** -0.5

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma * self.attended(x)


def _spans(side: int, window: int) -> Iterator[tuple[int, int, Tensor]]:
    """Begin, end and blending weights of the windows along an axis, in upstream's layout. For some sizes it
    has too few windows (defect D13), and the last rows are in none."""
    length = min(window, side)
    overlap = min(8, length // 4, side // 4)
    step = length - overlap
    for index in range((side + overlap - 1) // step):
        begin, end = index * step, min(side, index * step + length)
        weights = torch.ones(end - begin)
        faded = min(overlap, (end - begin) // 4)
        if begin > 0:
            weights[:faded] = torch.linspace(0, 1, faded)
        if end < side:
            weights[end - begin - faded :] *= torch.linspace(1, 0, faded)
        yield begin, end, weights


def blended(x: Tensor, window: int, function: Callable[[Tensor], Tensor]) -> Tensor:
    """`function` of every window of `x`, weighted and added; zeros outside all windows."""
    total, weight = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
    for top, bottom, rows in _spans(x.shape[2], window):
        for left, right, columns in _spans(x.shape[3], window):
            share = (rows[:, None] * columns).to(x)
            total[..., top:bottom, left:right] += share * function(x[..., top:bottom, left:right])
            weight[..., top:bottom, left:right] += share
    return total / (weight + 1e-8)


class LocalAttention(WholeAttention):
    """Within windows of 32 pixels a side; whole maps of at most 32 each way."""

    WINDOW = 32

    def forward(self, x: Tensor) -> Tensor:
        if max(x.shape[2:]) <= self.WINDOW:
            return super().forward(x)
        return x + self.gamma * blended(x, self.WINDOW, self.attended)


class EfficientAttention(WholeAttention):
    """The older kind: whole maps of at most 16,384 pixels; larger ones in chunks, and the chunks themselves
    are added to the result again, as in upstream."""

    MOST = 16384
    CHUNK = 64

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] * x.shape[3] <= self.MOST:
            return super().forward(x)
        return x + self.gamma * blended(x, self.CHUNK, super().forward)
