"""Untrained weights: for measuring how fast a network is, and for tests."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN, NetworkSpec

UNTRAINED = "untrained"
"""The name under which `load_weights` makes them."""


def untrained(spec: NetworkSpec, seed: int = 0) -> tuple[Tensors, dict[str, str]]:
    """The state dict and metadata of a random `spec`: unit gain through its layers, a small detail."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, shape in spec.tensor_shapes().items():
        if name.startswith("base."):
            taps = MAGIC_SHARPEN if ".sharp." in name else MAGIC_BLUR
            value = np.tile(taps, (shape[0] if len(shape) == 4 else 1, 1)).reshape(shape)
        elif name == "detail_gain":
            value = np.array(0.05)
        elif name.endswith("gamma"):
            value = rng.uniform(0.1, 0.5, shape)
        elif "norm" in name and name.endswith("scale"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("bias"):
            value = 0.1 * rng.standard_normal(shape)
        else:
            value = rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
        tensors[name] = np.array(value, dtype=np.float32)
    metadata = {"upsampler_alpha": str(spec.alpha), "generation": spec.generation.value}
    if spec.window:
        metadata["window_size"] = str(spec.window)
    if math.isfinite(spec.product_limit):
        metadata["product_limit"] = str(spec.product_limit)
    return tensors, metadata
