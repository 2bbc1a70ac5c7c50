"""The release line in plain float64 numpy, layer by layer as its formulas stand; and random weights for it.

Slow and simple on purpose: it is what the folded frame job is held against. It shares no code with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import Generation, NetworkSpec, Variant, Weights
from paragon_stream.checkpoint.spec import ReleaseSpec
from paragon_stream.checkpoint.untrained import untrained

type Array = NDArray[np.float64]

H7 = np.array([-1, 0, 9, 16, 9, 0, -1]) / 32
H5 = np.array([1, 4, 6, 4, 1]) / 16


def random_spec(
    variant: str = "realtime",
    scale: int = 2,
    *,
    alpha: float = 0.3,
    generation: str = "p2head",
    conditioned: bool = False,
) -> NetworkSpec:
    """Realtime and Stream as published; Photo and Pro small, with windows of 4 pixels."""
    stream, attends = variant == "stream", variant in ("photo", "pro")
    return ReleaseSpec(
        generation=Generation(generation),
        variant=Variant(variant),
        scale=scale,
        features=32 if stream else 16,
        groups=2 if stream else 1,
        blocks=3,
        alpha=alpha,
        conditioned=conditioned,
        product_limit=2.0 if stream and generation == "p2head" else math.inf,  # so that some are held
        window=4 if attends else 0,
        tokens=7 if variant == "pro" else 0,
    )


def random_weights(spec: NetworkSpec, seed: int = 0) -> Weights:
    """Well-conditioned weights: unit gain through the layers, detail of some ten code values."""
    tensors, metadata = untrained(spec, seed)
    return Weights.from_tensors(tensors, metadata=metadata, name=f"random {spec.variant} x{spec.scale}")


def conv(x: Array, weight: Array, bias: Array | None = None, *, dilation: int = 1) -> Array:
    """Cross-correlation of x (C, H, W), zeros around it; depthwise if the weight has one input."""
    outputs, inputs, kh, kw = weight.shape
    depthwise = inputs == 1 and x.shape[0] == outputs and outputs > 1
    py, px = kh // 2 * dilation, kw // 2 * dilation
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (py, py), (px, px)))
    result = np.zeros((outputs, height, width))
    for i in range(kh):
        for j in range(kw):
            window = padded[:, i * dilation : i * dilation + height, j * dilation : j * dilation + width]
            tap = weight[:, :, i, j]
            result += tap[:, :, None] * window if depthwise else np.tensordot(tap, window, 1)
    return result if bias is None else result + bias[:, None, None]


def gelu(x: Array) -> Array:
    erf = np.array([math.erf(each) for each in (x / math.sqrt(2)).ravel().tolist()])
    return 0.5 * x * (1 + erf.reshape(x.shape))


def pixel_shuffle(x: Array, s: int) -> Array:
    c, h, w = x.shape[0] // (s * s), x.shape[1], x.shape[2]
    return x.reshape(c, s, s, h, w).transpose(0, 3, 1, 4, 2).reshape(c, h * s, w * s)


def magic_kernel(x: Array, s: int, alpha: float) -> Array:
    """MKS of x (C, H, W)."""

    def both(x: Array, taps: Array) -> Array:
        kernel = np.tile(taps, (x.shape[0], 1))[:, None, None, :]
        return depthwise(depthwise(x, kernel), kernel.transpose(0, 1, 3, 2))

    sharpened = x + alpha * (both(x, H7) - x)
    return both(sharpened.repeat(s, axis=1).repeat(s, axis=2), H5)


def depthwise(x: Array, weight: Array) -> Array:
    return np.concatenate([conv(x[i : i + 1], weight[i : i + 1]) for i in range(len(x))])


@dataclass(frozen=True)
class Picture:
    """The position of the picture on a map with a margin around it, which attention does not cross.

    Upstream's own function has none: there shifted windows take in the opposite edge. `around` is the colour
    that conv_in finds beyond the map: windows carry a trace of it across the margin.
    """

    top: int
    left: int
    height: int
    width: int
    around: Array


def network(weights: Weights, x: Array, *, strength: float = 0.0, picture: Picture | None = None) -> Array:
    """Upstream's answer to RGB x (3, H, W): zero padding everywhere, unclamped.

    With a `picture` in x, which then is whole windows: what frame jobs make of the attention at the edges.
    """
    spec = weights.spec
    tensors: Mapping[str, Array] = {name: np.float64(value) for name, value in weights.tensors.items()}

    def layer(name: str, x: Array, *, dilation: int = 1) -> Array:
        return conv(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], dilation=dilation)

    f = layer("conv_in", x) if picture is None else _on_colour(layer, x, picture.around)
    if spec.conditioned:
        f = f + strength * tensors["strength.conv_in.bias"][:, None, None]
    for g in range(spec.groups):
        for b in range(spec.blocks):
            part = {
                name.removeprefix(f"body.{g}.blocks.{b}."): value
                for name, value in tensors.items()
                if name.startswith(f"body.{g}.blocks.{b}.")
            }
            shifted = (g * spec.blocks + b) % 2 == 1
            f = BLOCKS[spec.variant](spec, part, f, shifted, picture)
    detail = layer("conv_out", pixel_shuffle(layer("up.0", layer("conv_mid", f)), spec.scale))
    return magic_kernel(x, spec.scale, spec.alpha) + detail * tensors["detail_gain"]


def _on_colour(layer: Callable[..., Array], x: Array, around: Array) -> Array:
    """conv_in of a map that is surrounded by one colour."""
    wide = np.tile(around[:, None, None], (1, x.shape[1] + 2, x.shape[2] + 2))
    wide[:, 1:-1, 1:-1] = x
    return layer("conv_in", wide)[:, 1:-1, 1:-1]


type Part = Mapping[str, Array]


def _conv(part: Part, name: str, x: Array, *, dilation: int = 1) -> Array:
    return conv(x, part[f"{name}.weight"], part[f"{name}.bias"], dilation=dilation)


def _widened(part: Part, x: Array) -> Array:
    return _conv(part, "conv2", gelu(_conv(part, "dw", _conv(part, "conv1", x))))


def realtime_block(spec: NetworkSpec, part: Part, x: Array, _: bool, __: Picture | None) -> Array:
    return x + (part["scale.gamma"][0] if spec.has_layer_scale else 1.0) * _widened(part, x)


def stream_block(spec: NetworkSpec, part: Part, x: Array, _: bool, __: Picture | None) -> Array:
    near, far = _conv(part, "dw1", x), _conv(part, "dw3", x, dilation=3)
    u = _conv(part, "fuse", np.concatenate([near, far]))
    first, second = np.split(_conv(part, "gate", _conv(part, "proj", u)), 2)
    product = np.clip(first * second, -spec.product_limit, spec.product_limit)
    return x + (part["scale.gamma"][0] if spec.has_layer_scale else 1.0) * _conv(part, "out", product)


def photo_block(spec: NetworkSpec, part: Part, x: Array, shifted: bool, picture: Picture | None) -> Array:
    gamma = part["scale.gamma"][0]
    x = x + gamma * _widened(part, channel_norm(part, "norm", x))
    seen = channel_norm(part, "attn_norm", x)
    return x + gamma * window_attention(part, "attn", seen, spec.window, shifted, picture)


def pro_block(spec: NetworkSpec, part: Part, x: Array, shifted: bool, picture: Picture | None) -> Array:
    x = x + part["scale1.gamma"][0] * _widened(part, channel_norm(part, "norm1", x))
    inside = x
    if picture is not None:
        bottom, right = picture.top + picture.height, picture.left + picture.width
        inside = x[:, picture.top : bottom, picture.left : right]
    mean = inside.mean((1, 2))
    factors = part["channel_attn.fc.2.weight"] @ gelu(part["channel_attn.fc.0.weight"] @ mean)
    x = x + part["scale2.gamma"][0] * x / (1 + np.exp(-factors))[:, None, None]
    seen = channel_norm(part, "norm3", x)
    x = x + part["scale3.gamma"][0] * window_attention(
        part, "window_attn", seen, spec.window, shifted, picture
    )
    seen = channel_norm(part, "norm4", x).reshape(len(x), -1).T
    tokens = part["token_ca.token_dict"][0]
    query, key = _linear(part, "token_ca.q_proj", seen), _linear(part, "token_ca.k_proj", tokens)
    read = softmax(query @ key.T / 4) @ _linear(part, "token_ca.v_proj", tokens)
    return x + part["scale4.gamma"][0] * _linear(part, "token_ca.out_proj", read).T.reshape(x.shape)


BLOCKS = {
    Variant.REALTIME: realtime_block,
    Variant.STREAM: stream_block,
    Variant.PHOTO: photo_block,
    Variant.PRO: pro_block,
}


def _linear(part: Part, name: str, rows: Array) -> Array:
    return rows @ part[f"{name}.weight"].T + part[f"{name}.bias"]


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def channel_norm(part: Part, name: str, x: Array) -> Array:
    return part[f"{name}.scale"] * x / np.sqrt((x**2).mean(0) + 1e-6) + part[f"{name}.bias"]


def window_attention(
    part: Part, name: str, x: Array, window: int, shifted: bool, picture: Picture | None
) -> Array:
    """One window after the other, one head after the other."""
    _, height, width = x.shape
    shift = window // 2 if shifted else 0
    if picture is None:
        x = np.pad(x, ((0, 0), (0, -height % window), (0, -width % window)))
        x = np.roll(x, (-shift, -shift), (1, 2))
        first, rows, columns = 0, x.shape[1], x.shape[2]
    else:
        first, rows, columns = shift, height - window + shift, width - window + shift
        rows, columns = (height, width) if not shift else (rows, columns)
    result = np.zeros_like(x)
    for top in range(first, rows, window):
        for left in range(first, columns, window):
            tokens = x[:, top : top + window, left : left + window].reshape(len(x), -1).T
            parts = np.split(_linear(part, f"{name}.qkv", tokens), 3, axis=1)
            query, key, value = (np.split(each, 4, axis=1) for each in parts)
            heads = [
                softmax(q @ k.T / math.sqrt(len(x) / 4)) @ v
                for q, k, v in zip(query, key, value, strict=True)
            ]
            mixed = _linear(part, f"{name}.proj", np.concatenate(heads, axis=1))
            result[:, top : top + window, left : left + window] = mixed.T.reshape(len(x), window, window)
    if picture is None:
        result = np.roll(result, (shift, shift), (1, 2))
    return result[:, :height, :width]
