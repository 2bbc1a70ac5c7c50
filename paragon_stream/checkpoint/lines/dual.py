"""The older dual-path line, ParagonSR2 v5 to v8: a MagicKernel base on RGB, and a detail path with skips.

    b = body(conv_in(x));  d = conv_fuse(b) + b;  y = MagicKernel(x) + gain · conv_out(shuffle(d))

v5 scales the detail by one number, computed from the picture; v6 to v8 scale the features `d` by a map,
computed from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.lines.measure import (
    body_size,
    count,
    declared_generation,
    has,
    shuffled_scale,
    size,
)
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.shapes import (
    Shapes,
    conv,
    inception,
    layer_scale,
    magic_kernel,
    squeeze_excite,
    within,
)
from paragon_stream.checkpoint.spec import HEADS, Generation, NetworkSpec
from paragon_stream.errors import UsageError

DUAL_LINE = (Generation.V5, Generation.V6, Generation.V7, Generation.V8)
"""Generations that `DualSpec` describes."""

FUSES_SCALES = (Generation.V7, Generation.V8)
"""Generations whose groups end with a convolution and a fusion of three scales (MSCF)."""

USUAL_WINDOW = 32


class DualBlock(StrEnum):
    """The kind of the body's blocks."""

    STATIC = "static"
    NANO = "nano"
    GATE = "gate"
    PARAGON = "paragon"


@dataclass(frozen=True, kw_only=True)
class DualSpec(NetworkSpec):
    """`hidden` is the number of channels inside the blocks, `band` the long side of the Inception filters, 0
    where blocks have a plain 3×3 instead.

    `content`: the detail is scaled by an analysis of the picture. `attends`: blocks have attention; that of
    v5 is "local" or "efficient" (`attention`). `normed` and `modulated` are v5's norm behind and
    squeeze-and-excitation in a block.
    """

    block: DualBlock
    hidden: int
    band: int
    content: bool = False
    attends: bool = False
    attention: str = "local"
    normed: bool = False
    modulated: bool = False

    @property
    def packs(self) -> tuple[str, ...]:
        """The names of the upsampler's convolutions; those that end in up_conv have a PixelShuffle."""
        if self.generation is Generation.V5:
            return ("upsampler_net.up_conv",)
        if self.scale in (2, 3):
            return ("detail_upsampler.up_conv",)
        names = ["stages.0.up_conv"]
        for stage in range(1, int(math.log2(self.scale or 2))):
            names += [f"stages.{3 * stage - 2}", f"stages.{3 * stage}.up_conv"]
        return tuple(f"detail_upsampler.{name}" for name in names)

    @property
    def base(self) -> str:
        return "magic_upsampler" if self.generation is Generation.V5 else "base_upsampler"

    @property
    def has_attention(self) -> bool:
        return self.attends

    @property
    def sees_whole_frame(self) -> bool:
        """True for v5's gain and attention, and for squeeze-and-excitation."""
        v5 = self.generation is Generation.V5
        return self.modulated or self.block is DualBlock.PARAGON or (v5 and (self.content or self.attends))

    @property
    def radius(self) -> int:
        """conv_in 1, conv_fuse 1, the content map 4, the tail 2 (4 in stages), blocks and groups."""
        context = {DualBlock.NANO: 1, DualBlock.GATE: max(1, self.band // 2) + 1}.get(
            self.block, self.band // 2 + 1
        )
        if self.block is DualBlock.PARAGON and self.generation in FUSES_SCALES and self.attends:
            context += 1
        groups = self.groups * 3 if self.generation in FUSES_SCALES else 0
        content = 4 if self.content and self.generation is not Generation.V5 else 0
        return 2 + self.depth * context + groups + content + (2 if len(self.packs) == 1 else 4)

    def tensor_shapes(self) -> Shapes:
        f, s = self.features, self.scale
        v5 = self.generation is Generation.V5
        shapes: Shapes = {} if v5 else {"global_detail_gain": ()}
        shapes |= magic_kernel(self.base, 3, sources=self.generation is Generation.V8)
        shapes |= conv("conv_in", f, 3, 3) | conv("conv_fuse", f, f, 3) | conv("conv_out", 3, f, 3)
        for group in range(self.groups):
            for index in range(self.blocks):
                block = self._block_shapes()
                shapes |= within(f"body.{group}.blocks.{index}", block)
            if self.generation in FUSES_SCALES:
                shapes |= conv(f"body.{group}.mid_conv", f, f, 3)
                shapes |= within(f"body.{group}.mscf", _fusion_shapes(f))
        factor = s * s if len(self.packs) == 1 else 4
        for name in self.packs:
            shapes |= conv(name, f * factor if name.endswith("up_conv") else f, f, 3)
        if self.content:
            shapes |= within("content_processor", self._content_shapes())
        return shapes

    def _content_shapes(self) -> Shapes:
        f = self.features
        if self.generation is Generation.V5:
            a, b = f // 4, f // 2
            shapes = conv("content_analyzer.0", a, 3, 3) | conv("content_analyzer.2", b, a, 5)
            return shapes | conv("content_analyzer.4", b, b, 7) | conv("content_analyzer.7", 1, b, 1)
        h = max(8, f // 4)
        shapes = conv("analyzer.0", h, f, 3) | conv("analyzer.2", h, 1, 5)
        return shapes | conv("analyzer.3", h, h, 1) | conv("analyzer.5", 1, h, 3)

    def _block_shapes(self) -> Shapes:
        f, h = self.features, self.hidden
        match self.block:
            case DualBlock.NANO:
                return conv("net.0", h, f, 1) | conv("net.2", h, 1, 3) | conv("net.4", f, h, 1)
            case DualBlock.GATE:
                context = inception("context", f, self.band) if self.band else conv("context", f, 1, 3)
                shapes = conv("proj_in", 2 * h, f, 1) | conv("dw_gate", 2 * h, 1, 3)
                return context | shapes | conv("proj_out", f, h, 1)
            case DualBlock.PARAGON:
                shapes = inception("context", f, self.band) | layer_scale("ls1", f) | layer_scale("ls2", f)
                shapes |= self._mixer_shapes() | squeeze_excite("gate", h, h // 4) | _norm(f)
                return shapes | (within("attn", self._attention_shapes()) if self.attends else {})
        shapes = inception("context", f, self.band) | layer_scale("ls1", f) | layer_scale("ls2", f)
        mixer = self._mixer_shapes()
        if self.modulated:
            mixer |= squeeze_excite("channel_mod.net", h, max(1, h // 4))
        if self.attends:
            r = max(1, h // 8)
            mixer |= conv("attention.query", r, h, 1) | conv("attention.key", r, h, 1)
            mixer |= conv("attention.value", h, h, 1) | {"attention.gamma": (1,)}
        return shapes | within("transformer", mixer) | (_norm(f) if self.normed else {})

    def _mixer_shapes(self) -> Shapes:
        f, h = self.features, self.hidden
        shapes = conv("project_in", h, f, 1) | conv("dw_mixer.0", h, 1, 3) | conv("dw_mixer.2", h, h, 1)
        return shapes | conv("project_out", f, h, 1)

    def _attention_shapes(self) -> Shapes:
        h, w = self.hidden, self.window
        shapes = conv("qkv", 3 * h, h, 1) | conv("proj", h, h, 1)
        if self.generation in FUSES_SCALES:
            shapes["relative_position_bias_table"] = ((2 * w - 1) ** 2, HEADS)
            shapes["relative_position_index"] = (w * w, w * w)
            shapes |= conv("rattention_context", h, 1, 3)
        return shapes


def _norm(f: int) -> Shapes:
    return {"norm.scale": (f, 1, 1), "norm.offset": (f, 1, 1)}


def _fusion_shapes(f: int) -> Shapes:
    shapes = conv("p1", f, f, 1) | conv("p3", f, 1, 3) | conv("p5", f, 1, 5)
    return shapes | conv("attn.0", f, 3 * f, 1) | conv("attn.2", f, f, 1) | conv("proj", f, f, 1)


_V5 = {
    # features, groups and blocks (as fast_body_mode builds the small ones), expansion, band, alpha
    "nano": (12, 1, 1, 1.2, 7, 0.40),
    "micro": (16, 1, 1, 1.5, 7, 0.45),
    "tiny": (24, 1, 1, 1.5, 9, 0.50),
    "xs": (32, 1, 1, 1.8, 11, 0.50),
    "s": (48, 1, 2, 2.0, 11, 0.50),
    "m": (64, 4, 6, 2.0, 11, 0.50),
    "l": (96, 6, 8, 2.0, 13, 0.55),
    "xl": (128, 8, 10, 2.0, 15, 0.60),
}
_V5_FULL = {"micro": (1, 2), "tiny": (2, 2), "xs": (2, 3), "s": (3, 4)}
_LATER = {
    # features, groups, blocks, kind, band, alpha
    "realtime": (16, 1, 3, DualBlock.NANO, 0, 0.35),
    "stream": (32, 2, 3, DualBlock.GATE, 21, 0.0),
    "photo": (64, 4, 4, DualBlock.PARAGON, 11, 0.4),
    "pro": (96, 6, 6, DualBlock.PARAGON, 17, 0.6),
}


def published_dual(
    generation: Generation,
    variant: str,
    scale: int,
    *,
    alpha: float | None = None,
    fast_body_mode: bool | None = None,
    use_content_aware: bool | None = None,
    use_attention: bool | None = None,
    attention: str = "local",
    window_size: int | None = None,
) -> DualSpec:
    """The network that upstream registers under this name, with the options that it takes."""
    names = list(_V5 if generation is Generation.V5 else _LATER)
    if generation in FUSES_SCALES:
        names.remove("pro")
    if variant not in names:
        raise UsageError(f"{generation} has no {variant}; it has {', '.join(names)}")
    if generation is Generation.V5:
        features, groups, blocks, expansion, band, usual = _V5[variant]
        if fast_body_mode is False and variant in _V5_FULL:
            groups, blocks = _V5_FULL[variant]
        elif fast_body_mode and variant in ("m", "l", "xl"):
            groups, blocks = groups // 2, blocks // 2
        attends = variant not in ("l", "xl") if use_attention is None else use_attention
        return DualSpec(
            generation=generation,
            variant=variant,
            scale=scale,
            features=features,
            groups=groups,
            blocks=blocks,
            alpha=usual if alpha is None else alpha,
            block=DualBlock.STATIC,
            hidden=int(features * expansion),
            band=band,
            content=use_content_aware is not False,
            attends=attends,
            attention=attention,
            normed=variant not in ("nano", "micro"),
            modulated=variant != "nano",
        )
    features, groups, blocks, kind, band, usual = _LATER[variant]
    attends = kind is DualBlock.PARAGON and use_attention is not False
    return DualSpec(
        generation=generation,
        variant=variant,
        scale=scale,
        features=features,
        groups=groups,
        blocks=blocks,
        alpha=usual if alpha is None else alpha,
        window=(window_size or USUAL_WINDOW) if attends else 0,
        block=kind,
        hidden=2 * features,
        band=0 if kind is DualBlock.GATE and generation is not Generation.V8 else band,
        content=kind is not DualBlock.NANO if use_content_aware is None else use_content_aware,
        attends=attends,
    )


_FIRST = "body.0.blocks.0"
_INPUTS = {
    DualBlock.PARAGON: "project_in",
    DualBlock.GATE: "proj_in",
    DualBlock.NANO: "net.0",
    DualBlock.STATIC: "transformer.project_in",
}
"""The first layer of each kind of block."""


def recognise_dual(tensors: Tensors, facts: Facts) -> tuple[DualSpec, tuple[str, ...]]:
    """The network, and the names of unknown facts about it (see `Facts`)."""
    generation = declared_generation(facts, [_generation(tensors)])
    groups, blocks = body_size(tensors)
    features = size(tensors, "conv_in.weight", 0)
    kinds = (kind for kind, name in _INPUTS.items() if f"{_FIRST}.{name}.weight" in tensors)
    block = next(kinds, DualBlock.STATIC)
    channels = size(tensors, f"{_FIRST}.{_INPUTS[block]}.weight", 0)
    band = f"{_FIRST}.context.dwconv_w.weight"
    unknown = ["alpha"] if facts.alpha is None else []
    attends = has(tensors, ".attention.") or has(tensors, ".attn.qkv.")
    window = 0
    if attends and generation is Generation.V5 and facts.attention is None:
        unknown.append("attention")
    elif attends and generation is not Generation.V5:
        window = _window(tensors) or facts.window_size or USUAL_WINDOW
        if not _window(tensors) and facts.window_size is None:
            unknown.append("window_size")
    spec = DualSpec(
        generation=generation,
        variant="",
        scale=_scale(tensors, generation, features),
        features=features,
        groups=groups,
        blocks=blocks,
        alpha=facts.alpha or 0.0,
        window=window,
        block=block,
        hidden=channels // 2 if block is DualBlock.GATE else channels,
        band=size(tensors, band, 3) if band in tensors else 0,
        content=has(tensors, "content_processor."),
        attends=attends,
        attention=facts.attention or "local",
        normed=block is DualBlock.STATIC and has(tensors, ".norm.scale"),
        modulated=has(tensors, ".channel_mod."),
    )
    return _named(spec), tuple(unknown)


def _scale(tensors: Tensors, generation: Generation, features: int) -> int:
    if has(tensors, "detail_upsampler.stages."):
        return 1 << count(tensors, r"detail_upsampler\.stages\.\d+\.up_conv\.weight")
    name = "upsampler_net" if generation is Generation.V5 else "detail_upsampler"
    return shuffled_scale(tensors, f"{name}.up_conv", features)


def _window(tensors: Tensors) -> int:
    """The side of the attention windows, from the table of biases; 0 if there is no table."""
    table = f"{_FIRST}.attn.relative_position_bias_table"
    return (math.isqrt(size(tensors, table, 0)) + 1) // 2 if table in tensors else 0


def _named(spec: DualSpec) -> DualSpec:
    """`spec` with upstream's name of this size as its variant; its dimensions if upstream has no name."""
    names = _V5 if spec.generation is Generation.V5 else _LATER
    for name, row in names.items():
        kind = DualBlock.STATIC if spec.generation is Generation.V5 else row[3]
        if (row[0], kind) == (spec.features, spec.block):
            return replace(spec, variant=name)
    return replace(spec, variant=f"{spec.features}x{spec.groups}x{spec.blocks}")


def _generation(tensors: Tensors) -> Generation:
    if has(tensors, "upsampler_net."):
        return Generation.V5
    if not has(tensors, ".mscf."):
        return Generation.V6
    return Generation.V8 if has(tensors, "source_kernel") else Generation.V7
