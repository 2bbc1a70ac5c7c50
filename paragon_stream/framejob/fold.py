"""The network's tensors, folded with the colour maps of both formats.

Formulas: reference of the release line, f = conv_in(x),
y = base + gain · conv_out(PS(up(conv_mid(body(f))))). All sums in float64; the results are float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import STRENGTH_TENSOR, ReleaseSpec, Variant
from paragon_stream.framejob.color import ColorMap
from paragon_stream.framejob.conv import Conv, Doubles, double, folded
from paragon_stream.framejob.fold_attention import (
    ChannelGain,
    TokenAttention,
    WindowAttention,
    fold_channel_gain,
    fold_token_attention,
    fold_window_attention,
    take_norm,
)


@dataclass(frozen=True, kw_only=True)
class RealtimeBlock:
    """`x + project(GELU(depthwise(expand(x))))`, or `expand(norm(x))`: see `fold_attention`."""

    expand: Conv
    depthwise: Conv
    project: Conv
    on_norm: bool = False


@dataclass(frozen=True, kw_only=True)
class StreamBlock:
    """`x + project(a ⊙ b)` with u = from_near(near(x)) + from_far(far(x)), a and b each gate(expand(u)).

    Upstream concatenates where this adds, and splits where this has two convolutions: the same sums, without
    copies of the widest maps. a ⊙ b is clamped to ±`limit` if that is finite; upstream's clamp to ±65504 only
    serves fp16 and is left out.
    """

    near: Conv
    far: Conv
    from_near: Conv
    from_far: Conv
    expand: tuple[Conv, Conv]
    gate: tuple[Conv, Conv]
    limit: float
    project: Conv


type Block = RealtimeBlock | StreamBlock | WindowAttention | ChannelGain | TokenAttention
"""One step of the body: it adds its result to the features."""


def fold_input(tensors: Tensors, colors: ColorMap) -> Conv:
    """conv_in on centred codes. Conditioned weights have one more input: the strength, on every sample."""
    weight = double(tensors["conv_in.weight"])
    on_codes = np.einsum("foyx,oc->fcyx", weight, colors.to_rgb)
    bias = tensors["conv_in.bias"] + np.einsum("foyx,o->f", weight, colors.rgb_of_centre)
    if STRENGTH_TENSOR in tensors:
        slope = np.zeros((len(weight), 1, 3, 3))
        slope[:, 0, 1, 1] = tensors[STRENGTH_TENSOR]
        on_codes = np.concatenate([on_codes, slope], axis=1)
    return folded(on_codes, bias, pads=(1, 1, 1, 1))


def fold_blocks(tensors: Tensors, spec: ReleaseSpec) -> tuple[Block, ...]:
    """The body. A block of Photo is two steps, one of Pro four; without attention, one less."""
    steps: list[Block] = []
    for number in range(spec.depth):
        prefix = f"body.{number // spec.blocks}.blocks.{number % spec.blocks}."
        part = {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
        steps += _fold_block(part, spec, shifted=number % 2 == 1)
    return tuple(steps)


def _fold_block(part: Tensors, spec: ReleaseSpec, *, shifted: bool) -> list[Block]:
    f, w = spec.features, spec.window
    match spec.variant:
        case Variant.REALTIME:
            return [_widening(part, f, gain=_gain(part, "scale"))]
        case Variant.STREAM:
            return [_stream(part, f, spec.product_limit)]
        case Variant.PHOTO:
            gain = _gain(part, "scale")
            steps: list[Block] = [_widening(part, f, gain=gain, norm="norm")]
            if w:
                steps.append(fold_window_attention(part, "attn", "attn_norm", w, shifted=shifted, gain=gain))
            return steps
        case Variant.PRO:
            steps = [
                _widening(part, f, gain=_gain(part, "scale1"), norm="norm1"),
                fold_channel_gain(part, gain=_gain(part, "scale2")),
            ]
            if w:
                gain = _gain(part, "scale3")
                steps.append(
                    fold_window_attention(part, "window_attn", "norm3", w, shifted=shifted, gain=gain)
                )
            return [*steps, fold_token_attention(part, "norm4", gain=_gain(part, "scale4"))]


def _gain(part: Tensors, name: str) -> Doubles:
    """A layer scale; 1 for the generations that have none."""
    return double(part[f"{name}.gamma"]).reshape(-1) if f"{name}.gamma" in part else np.ones(1)


def _layer(
    part: Tensors, name: str, *, pad: int = 0, dilation: int = 1, groups: int = 1, gain: Doubles | None = None
) -> Conv:
    weight, bias = double(part[f"{name}.weight"]), double(part[f"{name}.bias"])
    if gain is not None:
        weight, bias = weight * gain[:, None, None, None], bias * gain
    return folded(weight, bias, pads=(pad,) * 4, dilation=dilation, groups=groups)


def _widening(part: Tensors, f: int, *, gain: Doubles, norm: str = "") -> RealtimeBlock:
    weight, bias = double(part["conv1.weight"]), double(part["conv1.bias"])
    if norm:
        weight, bias = take_norm(weight, bias, part, norm)
    return RealtimeBlock(
        expand=folded(weight, bias),
        depthwise=_layer(part, "dw", pad=1, groups=2 * f),
        project=_layer(part, "conv2", gain=gain),
        on_norm=bool(norm),
    )


def _stream(part: Tensors, f: int, limit: float) -> StreamBlock:
    fuse, expand = _layer(part, "fuse"), _layer(part, "proj")
    gate = _layer(part, "gate", pad=1, groups=4 * f)
    return StreamBlock(
        near=_layer(part, "dw1", pad=1, groups=f),
        far=_layer(part, "dw3", pad=3, dilation=3, groups=f),
        from_near=replace(fuse, weight=np.ascontiguousarray(fuse.weight[:, :f])),
        from_far=replace(
            fuse, weight=np.ascontiguousarray(fuse.weight[:, f:]), bias=np.zeros_like(fuse.bias)
        ),
        expand=_halves(expand, groups=1),
        gate=_halves(gate, groups=2 * f),
        limit=limit,
        project=_layer(part, "out", gain=_gain(part, "scale")),
    )


def _halves(conv: Conv, *, groups: int) -> tuple[Conv, Conv]:
    """The convolutions that give the first and the second half of the output channels."""
    half = len(conv.bias) // 2
    return (
        replace(conv, weight=conv.weight[:half], bias=conv.bias[:half], groups=groups),
        replace(conv, weight=conv.weight[half:], bias=conv.bias[half:], groups=groups),
    )


def fold_mid(tensors: Tensors) -> Conv:
    return folded(double(tensors["conv_mid.weight"]), double(tensors["conv_mid.bias"]), pads=(1, 1, 1, 1))
