"""Folding of the attention steps in Photo's and Pro's bodies.

Their input is normalised features: norm(x) = x / √(mean of x² over the channels + 1e-6). The norm's scale and
bias are folded into the 1×1 convolution that follows, the layer scale into the last one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paragon_stream.checkpoint.block_shapes import QUERY
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import HEADS
from paragon_stream.framejob.conv import Conv, Doubles, Floats, double, folded

NORM_EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class WindowAttention:
    """`x + project(attention(qkv(norm(x))))` among the pixels of each `window` × `window` square.

    `qkv` gives queries (with the factor d^-½ included), keys and values, each of HEADS × d channels.
    `shifted` squares begin at half a window; pixels outside whole squares then stay unchanged.
    """

    window: int
    shifted: bool
    qkv: Conv
    project: Conv


@dataclass(frozen=True, kw_only=True)
class ChannelGain:
    """`x + gain ⊙ σ(excite(GELU(squeeze(mean of x over the picture)))) ⊙ x`, channel by channel."""

    squeeze: Conv
    excite: Conv
    gain: Floats


@dataclass(frozen=True, kw_only=True)
class TokenAttention:
    """`x + read(softmax over tokens (scores(norm(x))))`: a dictionary of constants, pixel by pixel."""

    scores: Conv
    read: Conv


def take_norm(weight: Doubles, bias: Doubles, part: Tensors, norm: str) -> tuple[Doubles, Doubles]:
    """A 1×1 layer (outputs, inputs, …) after the scale and bias of `norm`, as one on norm(x)."""
    scale, shift = (double(part[f"{norm}.{name}"]).reshape(-1) for name in ("scale", "bias"))
    flat = weight.reshape(weight.shape[:2])
    return (flat * scale).reshape(weight.shape), bias + flat @ shift


def fold_window_attention(
    part: Tensors, name: str, norm: str, window: int, *, shifted: bool, gain: Doubles
) -> WindowAttention:
    weight, bias = _linear(part, f"{name}.qkv")
    weight, bias = take_norm(weight, bias, part, norm)
    f = weight.shape[1]
    sharpness = np.ones(3 * f)
    sharpness[:f] = (f // HEADS) ** -0.5
    project, project_bias = _linear(part, f"{name}.proj")
    return WindowAttention(
        window=window,
        shifted=shifted,
        qkv=_pointwise(weight * sharpness[:, None], bias * sharpness),
        project=_pointwise(project * gain[:, None], project_bias * gain),
    )


def fold_channel_gain(part: Tensors, *, gain: Doubles) -> ChannelGain:
    squeeze, excite = (double(part[f"channel_attn.fc.{n}.weight"]) for n in (0, 2))
    return ChannelGain(
        squeeze=_pointwise(squeeze, np.zeros(len(squeeze))),
        excite=_pointwise(excite, np.zeros(len(excite))),
        gain=gain.astype(np.float32),
    )


def fold_token_attention(part: Tensors, norm: str, *, gain: Doubles) -> TokenAttention:
    """Keys and values of the dictionary are constants, so its layers are products of matrices."""
    tokens = double(part["token_ca.token_dict"])[0]
    query, query_bias = take_norm(*_linear(part, "token_ca.q_proj"), part, norm)
    key, key_bias = _linear(part, "token_ca.k_proj")
    value, value_bias = _linear(part, "token_ca.v_proj")
    out, out_bias = _linear(part, "token_ca.out_proj")
    keys = (tokens @ key.T + key_bias) / QUERY**0.5
    values = (tokens @ value.T + value_bias) @ out.T
    return TokenAttention(
        scores=_pointwise(keys @ query, keys @ query_bias),
        read=_pointwise(values.T * gain[:, None], out_bias * gain),
    )


def _linear(part: Tensors, name: str) -> tuple[Doubles, Doubles]:
    return double(part[f"{name}.weight"]), double(part[f"{name}.bias"])


def _pointwise(weight: Doubles, bias: Doubles) -> Conv:
    """A matrix as a 1×1 convolution."""
    return folded(weight[:, :, None, None], bias)
