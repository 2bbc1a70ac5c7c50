"""Two networks with the release line's frame but different bodies: the Pro of the first version 11, and the
Ultimate of upstream's development branch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from paragon_stream.checkpoint.block_shapes import QUERY
from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.lines.measure import body_size, declared_generation, has, shuffled_scale, size
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.shapes import Shapes, affine, conv, layer_scale, linear, within
from paragon_stream.checkpoint.spec import Generation, NetworkSpec, frame_shapes


@dataclass(frozen=True, kw_only=True)
class CategorySpec(NetworkSpec):
    """Pro of the first version 11: `groups` stages of `blocks` layers that attend to a dictionary of `tokens`
    entries, which every layer renews, within categories of similar pixels, and within windows."""

    tokens: int

    @property
    def heads(self) -> int:
        return self.features // 16

    @property
    def sees_whole_frame(self) -> bool:
        """Categories and dictionaries are made of all pixels."""
        return True

    @property
    def radius(self) -> int:
        return 4 + 2 * self.depth

    def tensor_shapes(self) -> Shapes:
        f, t, w = self.features, self.tokens, self.window
        shapes = frame_shapes(f, self.scale)
        for group in range(self.groups):
            shapes[f"body.{group}.td"] = (t, f)
            shapes[f"body.{group}.relative_position_index_SA"] = (w * w, w * w)
            for layer in range(self.blocks):
                shapes |= within(f"body.{group}.layers.{layer}", self._layer_shapes())
        return shapes

    def _layer_shapes(self) -> Shapes:
        f, t, w = self.features, self.tokens, self.window
        shapes: Shapes = {"sigma": (t, 1)}
        shapes |= affine("norm1", f) | affine("norm2", f) | affine("norm3", t) | linear("wqkv", 3 * f, f)
        shapes["attn_win.relative_position_bias_table"] = ((2 * w - 1) ** 2, self.heads)
        shapes |= linear("attn_win.proj", f, f)
        shapes["attn_atd.scale"] = (t,)
        shapes |= linear("attn_atd.wq", REDUCED, f) | linear("attn_atd.wk", REDUCED, f)
        shapes |= linear("attn_atd.wv", f, f) | {"attn_aca.logit_scale": (1, 1)}
        shapes |= linear("attn_aca.proj", f, f) | linear("convffn.fc1", 2 * f, f)
        return shapes | conv("convffn.dwconv.0", 2 * f, 1, 5) | linear("convffn.fc2", f, 2 * f)


REDUCED = 4
"""Channels in which `CategorySpec` compares a pixel with its dictionary."""
CATEGORY = 256
"""Largest number of pixels of a category that attend to each other."""
MOST_SHARP = math.log(100)
"""Upper limit of the logarithm of the factor of their scores."""


@dataclass(frozen=True, kw_only=True)
class UltimateSpec(NetworkSpec):
    """Ultimate: gated convolutions in every block, window attention also in two of three blocks from
    `WINDOWS_FROM` on, windows and a dictionary of `tokens` entries also in all blocks from `TOKENS_FROM`
    on."""

    tokens: int

    @property
    def sees_whole_frame(self) -> bool:
        """Its norms take mean and variance over the picture."""
        return True

    @property
    def radius(self) -> int:
        return 4 + 2 * self.depth

    def attends(self, number: int) -> bool:
        """Whether block `number` has windows."""
        return number >= TOKENS_FROM or (number >= WINDOWS_FROM and number % 3 != 0)

    def tensor_shapes(self) -> Shapes:
        f = self.features
        shapes = frame_shapes(f, self.scale)
        shapes |= {"final_norm.weight": (f, 1, 1), "final_norm.bias": (f, 1, 1)}
        for number in range(self.depth):
            group, index = divmod(number, self.blocks)
            shapes |= within(f"body.{group}.blocks.{index}", self._block_shapes(number))
        return shapes

    def _block_shapes(self, number: int) -> Shapes:
        f = self.features
        shapes = conv("gated_conv.conv1", 4 * f, f, 1) | conv("gated_conv.dw", 4 * f, 1, 3)
        shapes |= conv("gated_conv.conv2", f, 2 * f, 1) | layer_scale("scale1", f)
        if self.attends(number):
            shapes |= _picture_norm("norm2", f) | linear("window_attn.qkv", 3 * f, f)
            shapes |= linear("window_attn.proj", f, f) | affine("router2", 1) | layer_scale("scale2", f)
        if number >= TOKENS_FROM:
            shapes |= _picture_norm("norm3", f) | {"token_ca.token_dict": (1, self.tokens, f)}
            for name, outputs in (("q_proj", QUERY), ("k_proj", QUERY), ("v_proj", f), ("out_proj", f)):
                shapes |= linear(f"token_ca.{name}", outputs, f)
            shapes |= affine("router3", 1) | layer_scale("scale3", f)
        return shapes


WINDOWS_FROM = 24
TOKENS_FROM = 48
"""Numbers of the first blocks of Ultimate that have windows, and a dictionary of tokens."""


def _picture_norm(name: str, f: int) -> Shapes:
    return {f"{name}.weight": (f, 1, 1), f"{name}.bias": (f, 1, 1)}


def category_pro(scale: int, alpha: float = 0.5) -> CategorySpec:
    """The Pro that upstream registers in the first version 11."""
    return CategorySpec(
        generation=Generation.V11_ATD,
        variant="pro",
        scale=scale,
        features=64,
        groups=3,
        blocks=6,
        alpha=alpha,
        window=8,
        tokens=64,
    )


def ultimate(scale: int, alpha: float = 0.4, window_size: int | None = None) -> UltimateSpec:
    """The Ultimate that upstream registers."""
    return UltimateSpec(
        generation=Generation.DEV,
        variant="ultimate",
        scale=scale,
        features=180,
        groups=9,
        blocks=8,
        alpha=alpha,
        window=window_size or 12,
        tokens=32,
    )


def recognise_further(tensors: Tensors, facts: Facts) -> tuple[CategorySpec | UltimateSpec, tuple[str, ...]]:
    """The network, and the names of unknown facts about it (see `Facts`)."""
    unknown = ["alpha"] if facts.alpha is None else []
    features = size(tensors, "conv_in.weight", 0)
    scale = shuffled_scale(tensors, "up.0", features)
    categories = "body.0.td" in tensors
    generation = declared_generation(facts, [Generation.V11_ATD if categories else Generation.DEV])
    if categories:
        groups, layers = body_size(tensors, "layers")
        return CategorySpec(
            generation=generation,
            variant="pro",
            scale=scale,
            features=features,
            groups=groups,
            blocks=layers,
            alpha=facts.alpha or 0.0,
            window=math.isqrt(size(tensors, "body.0.relative_position_index_SA", 0)),
            tokens=size(tensors, "body.0.td", 0),
        ), tuple(unknown)
    groups, blocks = body_size(tensors)
    tokens = [value.shape[1] for name, value in tensors.items() if name.endswith("token_ca.token_dict")]
    if facts.window_size is None and has(tensors, ".window_attn."):
        unknown.append("window_size")
    return UltimateSpec(
        generation=generation,
        variant="ultimate",
        scale=scale,
        features=features,
        groups=groups,
        blocks=blocks,
        alpha=facts.alpha or 0.0,
        window=facts.window_size or 12,
        tokens=tokens[0] if tokens else 0,
    ), tuple(unknown)
