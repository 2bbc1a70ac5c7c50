"""The release line in plain float64 numpy, layer by layer as its formulas stand; and random weights for it.

Slow and simple on purpose: it is what the folded frame job is held against. It shares no code with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import Generation, NetworkSpec, Variant, Weights

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
    stream = variant == "stream"
    return NetworkSpec(
        generation=Generation(generation),
        variant=Variant(variant),
        scale=scale,
        features=32 if stream else 16,
        groups=2 if stream else 1,
        blocks=3,
        alpha=alpha,
        conditioned=conditioned,
        product_limit=2.0 if stream and generation == "p2head" else math.inf,  # so that some are held
    )


def random_weights(spec: NetworkSpec, seed: int = 0) -> Weights:
    """Well-conditioned weights: unit gain through the layers, detail of some ten code values."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, shape in spec.tensor_shapes().items():
        if name.startswith("base."):
            taps = H7 if ".sharp." in name else H5
            value = np.tile(taps, (shape[0] if len(shape) == 4 else 1, 1)).reshape(shape)
        elif name == "detail_gain":
            value = np.array(0.05)
        elif name.endswith("gamma"):
            value = rng.uniform(0.1, 0.5, shape)
        elif name.endswith("bias"):
            value = 0.1 * rng.standard_normal(shape)
        else:
            value = rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
        tensors[name] = np.array(value, dtype=np.float32)
    metadata = {"upsampler_alpha": str(spec.alpha), "generation": spec.generation.value}
    if math.isfinite(spec.product_limit):
        metadata["product_limit"] = str(spec.product_limit)
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
            result += tap[:, :, None] * window if depthwise else np.einsum("oc,chw->ohw", tap, window)
    return result if bias is None else result + bias[:, None, None]


def gelu(x: Array) -> Array:
    erf = np.vectorize(math.erf, otypes=[float])
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


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


def network(weights: Weights, x: Array, *, strength: float = 0.0) -> Array:
    """Upstream's answer to RGB x (3, H, W): zero padding everywhere, unclamped."""
    spec = weights.spec
    tensors: Mapping[str, Array] = {name: np.float64(value) for name, value in weights.tensors.items()}

    def layer(name: str, x: Array, *, dilation: int = 1) -> Array:
        return conv(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], dilation=dilation)

    f = layer("conv_in", x)
    if spec.conditioned:
        f = f + strength * tensors["strength.conv_in.bias"][:, None, None]
    for g in range(spec.groups):
        for b in range(spec.blocks):
            p = f"body.{g}.blocks.{b}"
            gamma = tensors[f"{p}.scale.gamma"][0] if spec.has_layer_scale else 1.0
            if spec.variant is Variant.REALTIME:
                f = f + gamma * layer(f"{p}.conv2", gelu(layer(f"{p}.dw", layer(f"{p}.conv1", f))))
            else:
                near, far = layer(f"{p}.dw1", f), layer(f"{p}.dw3", f, dilation=3)
                u = layer(f"{p}.fuse", np.concatenate([near, far]))
                first, second = np.split(layer(f"{p}.gate", layer(f"{p}.proj", u)), 2)
                limit = spec.product_limit
                f = f + gamma * layer(f"{p}.out", np.clip(first * second, -limit, limit))
    detail = layer("conv_out", pixel_shuffle(layer("up.0", layer("conv_mid", f)), spec.scale))
    return magic_kernel(x, spec.scale, spec.alpha) + detail * tensors["detail_gain"]
