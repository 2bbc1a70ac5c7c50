"""The blocks of Realtime and Stream in numpy's fp16, as the engine native's fp16 forms compute them.

`network_reference.BLOCKS` with these is the whole network, the rest in float64. Every product is added and
rounded once, as by a fused multiply-add; sums of 1×1 convolutions are made in parts of eight inputs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from network_reference import Array, Part, Picture
from numpy.typing import NDArray

from paragon_stream.checkpoint import NetworkSpec, Variant
from paragon_stream.framejob.native.gelu import LENGTH, SEGMENTS, gelu_table

type Halves = NDArray[np.float16]

_PART = 8
_CENTRE = 4


def _fused(a: Halves, b: Halves, total: Halves) -> Halves:
    # Products of fp16 are exact in fp32.
    return (a.astype(np.float32) * b.astype(np.float32) + total).astype(np.float16)


def _dense(part: Part, name: str, x: Halves) -> Halves:
    """A 1×1 convolution, without its bias."""
    weight = part[f"{name}.weight"][:, :, 0, 0].astype(np.float16)
    sums = []
    for first in range(0, weight.shape[1], _PART):
        total = np.zeros((len(weight), *x.shape[1:]), np.float16)
        for i in range(first, first + _PART):
            total = _fused(weight[:, i, None, None], x[i], total)
        sums.append(total)
    result = sums[0]
    for each in sums[1:]:
        result = result + each
    return result


def _depthwise(weight: Array, x: Halves, bias: Array | None = None, *, dilation: int = 1) -> Halves:
    """The 3×3 taps of each channel: the centre after the others, the bias last."""
    taps = weight.reshape(len(weight), 9).astype(np.float16)
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (dilation, dilation), (dilation, dilation)), mode="edge")
    total = np.zeros_like(x)
    for tap in sorted(range(9), key=lambda each: each == _CENTRE):
        top, left = tap // 3 * dilation, tap % 3 * dilation
        total = _fused(taps[:, tap, None, None], padded[:, top : top + height, left : left + width], total)
    return total if bias is None else total + bias.astype(np.float16)[:, None, None]


def _gelu(x: Halves) -> Halves:
    table = gelu_table().astype(np.float16)
    half = np.float16
    t = np.minimum(np.abs(x) * half(1 / LENGTH), half(SEGMENTS - 0.515625))
    segment = np.rint(t).astype(int)
    f = t - segment.astype(half)
    r = _fused(_fused(table[2][segment], f, table[1][segment]), f, table[0][segment])
    return np.maximum(x, half(0)) - r


def _missing(part: Part, name: str, constant: Array) -> Array:
    """What constants in a convolution's inputs, and its bias, add to its results."""
    weight = part[f"{name}.weight"]
    sums = weight.sum(axis=(2, 3))
    return part[f"{name}.bias"] + (sums[:, 0] * constant if weight.shape[1] == 1 else sums @ constant)


def _gamma(spec: NetworkSpec, part: Part) -> Array:
    """(channels or 1, 1, 1)."""
    return part["scale.gamma"][0] if spec.has_layer_scale else np.ones((1, 1, 1))


def _scaled(part: Part, name: str, gamma: Array) -> Mapping[str, Array]:
    return {f"{name}.weight": part[f"{name}.weight"] * gamma[..., None]}


def realtime_block(spec: NetworkSpec, part: Part, x: Array, _: bool, __: Picture | None) -> Array:
    """Features stay in fp32."""
    gamma, nothing = _gamma(spec, part), np.zeros(x.shape[0])
    wide = _dense(part, "conv1", x.astype(np.float16))
    bias = _missing(part, "dw", _missing(part, "conv1", nothing))
    active = _gelu(_depthwise(part["dw.weight"], wide, bias))
    sums = _dense(_scaled(part, "conv2", gamma), "conv2", active)
    return x + sums + gamma * part["conv2.bias"][:, None, None]


def stream_block(spec: NetworkSpec, part: Part, x: Array, _: bool, __: Picture | None) -> Array:
    """Features are fp16, without the biases of `out`, which are added where the features are read."""
    gamma, nothing = _gamma(spec, part), np.zeros(x.shape[0])
    features = x.astype(np.float16)
    near = _depthwise(part["dw1.weight"], features)
    far = _depthwise(part["dw3.weight"], features, dilation=3)
    mixed = _dense(part, "fuse", np.concatenate([near, far]))
    both = np.concatenate([_missing(part, name, nothing) for name in ("dw1", "dw3")])
    wide = _dense(part, "proj", mixed)
    bias = _missing(part, "gate", _missing(part, "proj", _missing(part, "fuse", both)))
    first, second = np.split(_depthwise(part["gate.weight"], wide, bias), 2)
    most = np.float16(min(spec.product_limit, 65504))
    with np.errstate(over="ignore"):
        product = np.clip(first * second, -most, most)
    sums = _dense(_scaled(part, "out", gamma), "out", product)
    return (features + sums).astype(np.float64) + gamma * part["out.bias"][:, None, None]


FP16_BLOCKS = {Variant.REALTIME: realtime_block, Variant.STREAM: stream_block}
