"""The Pro of the first version 11 and the Ultimate of the development branch. Formulas: architecture
reference, 6.3 and 6.4."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint.lines.further import (
    CATEGORY,
    MOST_SHARP,
    REDUCED,
    TOKENS_FROM,
    CategorySpec,
    UltimateSpec,
)
from paragon_stream.models.attention import TokenAttention, WindowAttention
from paragon_stream.models.blocks import MagicKernelBase
from paragon_stream.models.border import Border, put_border, take_border
from paragon_stream.models.checkpointing import Recomputing
from paragon_stream.models.primitives import LayerScale, Statistic, Windowed, depthwise
from paragon_stream.models.release import Group
from paragon_stream.models.shifted_attention import relative_index


class WindowBias(Windowed):
    """Attention within windows, with a bias per relative position.

    Shifted windows that wrap around to the opposite edge have a mask between pixels that were no neighbours;
    those inside the map need none, and zeros are around them.
    """

    def __init__(self, features: int, heads: int, window: int) -> None:
        super().__init__()
        self.window, self.heads = window, heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.proj = nn.Linear(features, features)

    def forward(self, qkv: Tensor, index: Tensor, shift: int) -> Tensor:
        """`qkv` N×H×W×3C, of whole windows, to N×H×W×C."""
        w = self.window
        wraps = self.wraps and shift > 0
        if wraps:
            qkv = qkv.roll((-shift, -shift), (1, 2))
        elif shift:
            qkv = qkv[:, shift : shift - w, shift : shift - w].contiguous()
        n, height, width, _ = qkv.shape
        grid = height // w, width // w
        tokens = qkv.view(n, grid[0], w, grid[1], w, 3, self.heads, -1).permute(5, 0, 1, 3, 6, 2, 4, 7)
        q, k, v = tokens.reshape(3, n, grid[0] * grid[1], self.heads, w * w, -1)
        bias = self.relative_position_bias_table[index.view(-1)].view(w * w, w * w, -1).permute(2, 0, 1)
        mask = bias + self._mask(height, width, shift, qkv) if wraps else bias
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        seen = seen.view(n, *grid, self.heads, w, w, -1).permute(0, 1, 4, 2, 5, 3, 6)
        map = seen.reshape(n, height, width, -1)
        if wraps:
            map = map.roll((shift, shift), (1, 2))
        mixed: Tensor = self.proj(map)
        inside = shift > 0 and not wraps
        return functional.pad(mixed, [0, 0, shift, w - shift, shift, w - shift]) if inside else mixed

    def _mask(self, height: int, width: int, shift: int, like: Tensor) -> Tensor:
        """-100 between pixels that are neighbours only because of the roll: 1×windows×1×w²×w²."""
        w = self.window
        regions = [
            (torch.arange(side, device=like.device) >= side - w).long()
            + (torch.arange(side, device=like.device) >= side - shift).long()
            for side in (height, width)
        ]
        map = 3 * regions[0][:, None] + regions[1]
        each = map.view(height // w, w, width // w, w).transpose(1, 2).reshape(1, -1, 1, w * w)
        return (each.unsqueeze(-1) != each.unsqueeze(-2)).to(like.dtype) * -100.0


class DictionaryAttention(nn.Module):
    """Every pixel attends to the dictionary, by the cosine between them."""

    def __init__(self, features: int, tokens: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(tokens))
        self.wq = nn.Linear(features, REDUCED)
        self.wk = nn.Linear(features, REDUCED)
        self.wv = nn.Linear(features, features)

    def forward(self, x: Tensor, dictionary: Tensor) -> tuple[Tensor, Tensor]:
        """N×pixels×C and N×tokens×C to N×pixels×C and the weights N×pixels×tokens."""
        q = functional.normalize(self.wq(x), dim=-1)
        k = functional.normalize(self.wk(dictionary), dim=-1)
        sharpness = 1 + self.scale.clamp(0, 1) * math.log(len(self.scale))
        weights = (q @ k.transpose(1, 2) * sharpness).softmax(-1)
        return weights @ self.wv(dictionary), weights


class CategoryAttention(Statistic):
    """Pixels of the same dictionary entry attend to each other, in groups of at most CATEGORY.

    Upstream leaves open which pixels of an entry are a group, because its sort is not stable (defect D23): on
    CPUs the answer depends on torch. With `stable`, and within a replicated border, pixels of an entry are
    in the order of their places, as graphs and frame jobs have them, and torch on GPUs.
    """

    stable = False

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.logit_scale = nn.Parameter(torch.log(10 * torch.ones(1, 1)))
        self.proj = nn.Linear(features, features)

    def forward(self, qkv: Tensor, weights: Tensor) -> Tensor:
        """`qkv` N×pixels×3C, `weights` N×pixels×tokens to N×pixels×C."""
        n, pixels, channels = qkv.shape
        each = min(pixels, CATEGORY)
        order = weights.argmax(-1).sort(dim=-1, stable=self.stable or self.size is not None).indices
        sorted_ = qkv.gather(1, order.unsqueeze(-1).expand(-1, -1, channels))
        spare = -pixels % each
        sorted_ = torch.cat([sorted_, sorted_[:, pixels - spare :].flip(1)], 1)
        groups = sorted_.view(n, -1, each, 3, self.heads, channels // 3 // self.heads)
        q, k, v = groups.permute(3, 0, 1, 4, 2, 5)
        sharpness = self.logit_scale.clamp(max=MOST_SHARP).exp()
        seen = functional.scaled_dot_product_attention(q * sharpness, k, v, scale=1.0)
        seen = seen.transpose(2, 3).reshape(n, -1, channels // 3)[:, :pixels]
        back = torch.empty_like(order).scatter_(
            1, order, torch.arange(pixels, device=order.device).expand(n, -1)
        )
        return self.proj(seen.gather(1, back.unsqueeze(-1).expand(-1, -1, channels // 3)))


class ConvolutionalMlp(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, 2 * features)
        self.dwconv = nn.Sequential(depthwise(2 * features, 5), nn.GELU())
        self.fc2 = nn.Linear(2 * features, features)

    def forward(self, x: Tensor) -> Tensor:
        """N×H×W×C."""
        wide = functional.gelu(self.fc1(x))
        return self.fc2(self.dwconv(wide.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class CategoryLayer(Statistic):
    """Categories and the dictionary are computed from the picture; the margin continues the edge of the
    categories."""

    def __init__(self, spec: CategorySpec, *, shifted: bool) -> None:
        super().__init__()
        f, t = spec.features, spec.tokens
        self.shift = spec.window // 2 if shifted else 0
        self.sigma = nn.Parameter(torch.zeros(t, 1))
        self.norm1 = nn.LayerNorm(f)
        self.norm2 = nn.LayerNorm(f)
        self.norm3 = nn.InstanceNorm1d(t, affine=True)
        self.wqkv = nn.Linear(f, 3 * f)
        self.attn_win = WindowBias(f, spec.heads, spec.window)
        self.attn_atd = DictionaryAttention(f, t)
        self.attn_aca = CategoryAttention(f, spec.heads)
        self.convffn = ConvolutionalMlp(f)

    def forward(self, x: Tensor, dictionary: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """`x` N×H×W×C, of whole windows, and the dictionary N×tokens×C, both renewed."""
        normed = self.norm1(x)
        qkv = self.wqkv(normed)
        read, weights = self.attn_atd(normed.flatten(1, 2), dictionary)
        weights = self._pixels(weights.view(*x.shape[:3], -1))
        within = self._with_margin(self.attn_aca(self._pixels(qkv), weights), x)
        x = x + self.attn_win(qkv, index, self.shift) + read.view(x.shape) + within
        x = x + self.convffn(self.norm2(x))
        shares = self.norm3(weights.transpose(1, 2)).softmax(-1)
        keep = self.sigma.sigmoid()
        return x, keep * dictionary + (1 - keep) * (shares @ self._pixels(x))

    def _pixels(self, map: Tensor) -> Tensor:
        """The picture's part of N×H×W×C as N×pixels×C."""
        return self.picture(map.permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)

    def _with_margin(self, pixels: Tensor, like: Tensor) -> Tensor:
        """The picture's pixels as a map of the size of `like`, N×H×W×C."""
        if self.size is None:
            return pixels.view(like.shape)
        top = self.border
        rows, columns = self.size
        below, right = like.shape[1] - top - rows, like.shape[2] - top - columns
        map = pixels.transpose(1, 2).reshape(len(like), -1, rows, columns)
        return functional.pad(map, [top, right, top, below], mode="replicate").permute(0, 2, 3, 1)


class CategoryStage(Recomputing):
    relative_position_index_SA: Tensor  # noqa: N815 – upstream's name

    def __init__(self, spec: CategorySpec) -> None:
        super().__init__()
        self.window = spec.window
        self.td = nn.Parameter(torch.randn(spec.tokens, spec.features))
        self.register_buffer("relative_position_index_SA", relative_index(spec.window))
        self.layers = nn.ModuleList(
            CategoryLayer(spec, shifted=layer % 2 == 1) for layer in range(spec.blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = functional.pad(x, [0, -width % self.window, 0, -height % self.window], mode="reflect")
        x = x.permute(0, 2, 3, 1)
        dictionary = self.td.expand(len(x), -1, -1)
        for layer in self.layers:
            x, dictionary = self.compute(layer, x, dictionary, self.relative_position_index_SA)
        return x.permute(0, 3, 1, 2)[..., :height, :width]


class GatedConvolution(nn.Module):
    def __init__(self, f: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(f, 4 * f, 1)
        self.dw = depthwise(4 * f, 3)
        self.conv2 = nn.Conv2d(2 * f, f, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.dw(self.conv1(x)).chunk(2, 1)
        return self.conv2(a * b)


class MeasuringNorm(Statistic):
    """A norm over the picture that also gives each pixel's root mean square before weight and bias."""

    EPSILON = 1e-6

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features, 1, 1))
        self.bias = nn.Parameter(torch.zeros(features, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        variance, mean = torch.var_mean(self.picture(x), (1, 2, 3), correction=0, keepdim=True)
        y = (x - mean) / (variance + self.EPSILON).sqrt()
        return self.weight * y + self.bias, (y.square().mean(1, keepdim=True) + self.EPSILON).sqrt()


class Affine(nn.Module):
    """A weight and a bias per entry of `shape`."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + self.bias


class UltimateBlock(nn.Module):
    def __init__(self, spec: UltimateSpec, number: int) -> None:
        super().__init__()
        f = spec.features
        self.window, self.attends, self.reads = spec.window, spec.attends(number), number >= TOKENS_FROM
        self.gated_conv = GatedConvolution(f)
        self.scale1 = LayerScale(f, 0.1)
        if self.attends:
            self.norm2 = MeasuringNorm(f)
            self.window_attn = WindowAttention(f, spec.window, shifted=number % 2 == 1)
            self.router2 = Affine(1)
            self.scale2 = LayerScale(f, 0.25)
        if self.reads:
            self.norm3 = MeasuringNorm(f)
            self.token_ca = TokenAttention(f, spec.tokens)
            self.router3 = Affine(1)
            self.scale3 = LayerScale(f, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale1(self.gated_conv(x))
        size = (x.shape[2], x.shape[3])
        if self.attends:
            normed, root = self.norm2(x)
            route = self._route(root, self.window, size, self.router2)
            x = x + self.scale2(self.window_attn(normed) * route)
        if self.reads:
            normed, root = self.norm3(x)
            read = self.token_ca(functional.avg_pool2d(normed, 2))
            read = functional.interpolate(read, size=size, mode="bilinear", align_corners=False)
            x = x + self.scale3(read * self._route(root, 2, size, self.router3))
        return x

    def _route(self, root: Tensor, side: int, size: tuple[int, int], router: nn.Module) -> Tensor:
        """A factor 0…1 per square of `side` pixels. Maps smaller than a square are one square; upstream fails
        for them (defect D37)."""
        side = min(side, *size)
        pooled = functional.interpolate(functional.avg_pool2d(root, side), size=size, mode="nearest")
        return router(pooled).sigmoid()


class FurtherNet(nn.Module):
    """The release line's frame around these bodies: N×3×H×W RGB in [0, 1] to N×3×sH×sW, not clamped."""

    def __init__(
        self,
        spec: CategorySpec | UltimateSpec,
        *,
        border: Border = "zero",
    ) -> None:
        super().__init__()
        f, scale = spec.features, spec.scale
        self.spec = spec
        self.border: Border = border
        self.detail_gain = nn.Parameter(torch.tensor(0.1))
        self.base = MagicKernelBase(scale, spec.alpha)
        self.conv_in = nn.Conv2d(3, f, 3, padding=1)
        self.body = nn.Sequential(*(self._group(spec, group) for group in range(spec.groups)))
        self.conv_mid = nn.Conv2d(f, f, 3, padding=1)
        self.up = nn.Sequential(nn.Conv2d(f, f * scale * scale, 3, padding=1), nn.PixelShuffle(scale))
        self.conv_out = nn.Conv2d(f, 3, 3, padding=1)
        self.final_norm: nn.Module = Affine(f, 1, 1) if isinstance(spec, UltimateSpec) else nn.Identity()

    @staticmethod
    def _group(spec: CategorySpec | UltimateSpec, group: int) -> nn.Module:
        if isinstance(spec, CategorySpec):
            return CategoryStage(spec)
        first = group * spec.blocks
        return Group([UltimateBlock(spec, first + index) for index in range(spec.blocks)])

    def forward(
        self, x: Tensor, feature_tap: bool = False, prev_feat: Tensor | None = None, alpha: float = 0.2
    ) -> Tensor | tuple[Tensor, Tensor]:
        """See `ReleaseNet.forward`."""
        size = (x.shape[2], x.shape[3])
        x, margin = put_border(self, self.spec, self.border, x)
        feat = self.conv_in(x)
        if prev_feat is not None:
            feat = (1 - alpha) * feat + alpha * prev_feat
        body = self.final_norm(self.conv_mid(self.body(feat)))
        y = self.base(x) + self.conv_out(self.up(body)) * self.detail_gain
        y = take_border(y, self.spec.scale, margin, size)
        return (y, feat) if feature_tap else y
