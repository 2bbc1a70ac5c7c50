"""Names and shapes of the tensors of one residual block of the release line. `f`: number of features."""

from __future__ import annotations

from paragon_stream.checkpoint.shapes import Shapes, conv, layer_scale, linear

QUERY = 16
"""Channels in which Pro compares a pixel with its dictionary."""


def realtime_block(f: int, *, scaled: bool) -> Shapes:
    return _widened(f) | (layer_scale("scale", f) if scaled else {})


def stream_block(f: int, *, scaled: bool) -> Shapes:
    shapes = conv("dw1", f, 1, 3) | conv("dw3", f, 1, 3) | conv("fuse", f, 2 * f, 1)
    shapes |= conv("proj", 4 * f, f, 1) | conv("gate", 4 * f, 1, 3) | conv("out", f, 2 * f, 1)
    return shapes | (layer_scale("scale", f) if scaled else {})


def photo_block(f: int, *, attends: bool) -> Shapes:
    """Shapes of a block of Photo. Both halves share one layer scale; without attention there is no second
    half."""
    shapes = _norm("norm", f) | _widened(f) | layer_scale("scale", f)
    return shapes | (_norm("attn_norm", f) | _attention("attn", f) if attends else {})


def pro_block(f: int, tokens: int, *, attends: bool) -> Shapes:
    shapes = _norm("norm1", f) | _widened(f) | layer_scale("scale1", f)
    shapes["channel_attn.fc.0.weight"] = (f // 16, f)
    shapes["channel_attn.fc.2.weight"] = (f, f // 16)
    shapes |= layer_scale("scale2", f)
    if attends:
        shapes |= _norm("norm3", f) | _attention("window_attn", f) | layer_scale("scale3", f)
    shapes |= _norm("norm4", f)
    shapes["token_ca.token_dict"] = (1, tokens, f)
    for name, outputs in (("q_proj", QUERY), ("k_proj", QUERY), ("v_proj", f), ("out_proj", f)):
        shapes |= linear(f"token_ca.{name}", outputs, f)
    return shapes | layer_scale("scale4", f)


def _widened(f: int) -> Shapes:
    """1×1 to twice the features, depthwise 3×3, 1×1 back."""
    return conv("conv1", 2 * f, f, 1) | conv("dw", 2 * f, 1, 3) | conv("conv2", f, 2 * f, 1)


def _attention(name: str, f: int) -> Shapes:
    return linear(f"{name}.qkv", 3 * f, f) | linear(f"{name}.proj", f, f)


def _norm(name: str, f: int) -> Shapes:
    return {f"{name}.scale": (f, 1, 1), f"{name}.bias": (f, 1, 1)}
