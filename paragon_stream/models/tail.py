"""The free tail: it is trained instead of `up` → shuffle → `conv_out`, and then factorised into these layers.

Upstream's tail is linear: a 3×3 convolution to F·s² channels, PixelShuffle, a 3×3 convolution at HR. In
LR terms an output pixel of phase p (its row modulo s) reads HR rows p-1 … p+1, which lie in at most two
LR cells, each of which depends on one LR row on both sides. So the tail is one LR convolution to 3·s²
channels with a support of

    phase 0: LR rows -2 … +1,   phases between: -1 … +1,   phase s-1: -1 … +2

and the same along columns. At ×2 both phases have four rows: a 4×4 kernel on the grid shifted by one HR
pixel. Training that convolution directly is cheaper (Realtime ×2: 3,072 against 10,944 MACs per LR pixel)
and better conditioned than training the product of two layers. Nothing is lost: with F ≥ 12 any such
kernel is *exactly* a pair of upstream layers (`factorise`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

CORNERS = (-1, 1)
"""The HR offsets at which the factorised `conv_out` reads, along rows and along columns."""


def support(scale: int, phase: int) -> range:
    """LR rows (or columns), relative to an output pixel's own, that upstream's tail can read."""
    return range(-2 if phase == 0 else -1, (2 if phase == scale - 1 else 1) + 1)


def support_mask(scale: int) -> Tensor:
    """(s, s, 5, 5): 1 where the 5×5 kernel of phase (row, column) may be non-zero."""
    rows = torch.zeros(scale, 5)
    for phase in range(scale):
        for offset in support(scale, phase):
            rows[phase, offset + 2] = 1
    return rows[:, None, :, None] * rows[None, :, None, :]


class FreeTail(nn.Module):
    """A convolution from F features to a 3-channel picture `scale` times as large.

    `kernel` is (3, s, s, F, 5, 5): colour, output phase (row, column), feature, LR offset + 2. Entries
    outside the support (see the module's docstring) are zero and get no gradient. `bias` is one value per
    colour.
    """

    def __init__(self, features: int, scale: int) -> None:
        super().__init__()
        self.features = features
        self.scale = scale
        size = 4 if scale == 2 else 5
        self.weight = nn.Parameter(torch.zeros(3 * scale * scale, features, size, size))
        self.bias = nn.Parameter(torch.zeros(3))
        self.register_buffer("mask", support_mask(scale)[None, :, :, None], persistent=False)
        self.mask: Tensor

    def kernel(self) -> Tensor:
        """The kernels of all phases on a common 5×5 window: (3, s, s, F, 5, 5)."""
        s, f = self.scale, self.features
        if s != 2:
            return self.weight.view(3, s, s, f, 5, 5) * self.mask
        # Packed channel (row, column) of the shifted grid is output phase (1 - row, 1 - column); its window
        # starts at LR offset -2 for phase 0 and at -1 for phase 1.
        packed = self.weight.view(3, 2, 2, f, 4, 4)
        rows = []
        for i in range(2):
            columns = [functional.pad(packed[:, 1 - i, 1 - j], [j, 1 - j, i, 1 - i]) for j in range(2)]
            rows.append(torch.stack(columns, 1))
        return torch.stack(rows, 1)

    @torch.no_grad()
    def load_layers(self, layers: Mapping[str, Tensor]) -> None:
        """Set the kernel to the composition of `up` and `conv_out` (names and shapes as in `factorise`).

        This is the inverse of `factorise`, by impulse response. Biases that differ between phases are
        averaged, because there is one value per colour.
        """
        s, f, reach = self.scale, self.features, 2

        def respond(x: Tensor) -> Tensor:
            large = functional.conv2d(x, layers["up.0.weight"], layers["up.0.bias"], padding=1)
            large = functional.pixel_shuffle(large, s)
            return functional.conv2d(large, layers["conv_out.weight"], layers["conv_out.bias"], padding=1)

        # Far enough from the edges that no padding is seen: in the middle of 4 · reach + 1 pixels.
        side, middle = 4 * reach + 1, 2 * reach
        silence = respond(self.weight.new_zeros(1, f, side, side))
        impulses = self.weight.new_zeros(f, f, side, side)
        impulses[:, :, middle, middle] = torch.eye(f).to(impulses)
        near = slice((middle - reach) * s, (middle + reach + 1) * s)
        answers = (respond(impulses) - silence)[..., near, near]
        cells = answers.view(f, 3, 2 * reach + 1, s, 2 * reach + 1, s).flip(2, 4)
        kernel = cells.permute(1, 3, 5, 0, 2, 4)
        self.bias.copy_(
            silence[0, :, middle * s : (middle + 1) * s, middle * s : (middle + 1) * s].mean((1, 2))
        )
        if s != 2:
            self.weight.copy_(kernel.reshape(self.weight.shape))
            return
        packed = self.weight.view(3, 2, 2, f, 4, 4)
        for i in range(2):
            for j in range(2):
                packed[:, 1 - i, 1 - j] = kernel[:, i, j, :, i : i + 4, j : j + 4]

    def forward(self, x: Tensor) -> Tensor:
        """N×F×H×W to N×3×sH×sW; zero padding beyond the edge."""
        s = self.scale
        bias = self.bias.repeat_interleave(s * s)
        if s == 2:
            shifted = functional.conv2d(x, self.weight, bias, padding=2)
            return functional.pixel_shuffle(shifted, 2)[..., 1:-1, 1:-1]
        weight = self.kernel().reshape(3 * s * s, self.features, 5, 5)
        return functional.pixel_shuffle(functional.conv2d(x, weight, bias, padding=2), s)


def factorise(tail: FreeTail) -> dict[str, Tensor]:
    """`up.0` and `conv_out` (weights and biases) that compute what `tail` computes, to rounding.

    Equal everywhere but in the outermost ring of HR pixels, where upstream's zero padding at HR differs.

    The construction: HR channel j = (colour, dy, dx) with dy, dx ∈ {-1, +1} is read by `conv_out` for that
    colour at the tap (dy, dx) only, with weight 1. An output pixel thus sums four HR values, one per
    corner, and each corner's LR cell depends on a 3×3 window; together the four windows cover the support, so
    the kernel is cut into four pieces, one per corner. The bias goes with one corner. Unused channels are
    zero.

    Raises ValueError if there are fewer than 12 features.
    """
    s, f = tail.scale, tail.features
    if f < 12:
        raise ValueError(f"a free tail needs at least 12 features to be factorised, not {f}")
    kernel = tail.kernel().detach()
    up = kernel.new_zeros(f, s, s, f, 3, 3)
    up_bias = kernel.new_zeros(f, s, s)
    out = kernel.new_zeros(3, f, 3, 3)
    for colour in range(3):
        for corner in range(4):
            dy, dx = CORNERS[corner // 2], CORNERS[corner % 2]
            channel = 4 * colour + corner
            out[colour, channel, dy + 1, dx + 1] = 1
            for py in range(s):
                for px in range(s):
                    rows, columns = _piece(s, py, dy), _piece(s, px, dx)
                    cell_y, phase_y = divmod(py + dy, s)
                    cell_x, phase_x = divmod(px + dx, s)
                    for ky in rows:
                        for kx in columns:
                            up[channel, phase_y, phase_x, :, ky - cell_y + 1, kx - cell_x + 1] = kernel[
                                colour, py, px, :, ky + 2, kx + 2
                            ]
            if corner == 0:
                up_bias[channel] = tail.bias.detach()[colour]
    return {
        "up.0.weight": up.reshape(f * s * s, f, 3, 3),
        "up.0.bias": up_bias.reshape(f * s * s),
        "conv_out.weight": out,
        "conv_out.bias": kernel.new_zeros(3),
    }


def _piece(scale: int, phase: int, side: int) -> list[int]:
    """The LR offsets of `support(scale, phase)` that the HR neighbour on `side` (-1 or +1) provides."""

    def window(direction: int) -> range:
        cell = (phase + direction) // scale
        return range(cell - 1, cell + 2)

    def owner(offset: int) -> int:
        low, high = offset in window(-1), offset in window(1)
        return -1 if low and (not high or offset < 0) else 1

    return [offset for offset in support(scale, phase) if owner(offset) == side]
