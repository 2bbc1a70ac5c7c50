"""Fusing: the branches and generators that training needed become one depthwise kernel each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint.lines.feature import REPARAMETERISED, TRACKED, FeatureSpec
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import Generation
from paragon_stream.checkpoint.weights import Weights

type Doubles = NDArray[np.float64]


def depthwise_kernel(part: Tensors, spec: FeatureSpec) -> tuple[Doubles, Doubles]:
    """The 3×3 kernels of a block's mixer in evaluation, and their biases, from the block's tensors."""

    def double(name: str) -> Doubles:
        return part[f"transformer.{name}"].astype(np.float64)

    slot = "spatial_mixer" if spec.gated else "dynamic_conv"
    if spec.generation in TRACKED:
        tracked = bool(part["transformer.tracked_initialized"])
        kernel = double("tracked_kernel" if tracked else "identity_kernel")
        return kernel, np.zeros(len(kernel))
    if spec.fused:
        return double(f"{slot}.weight"), double(f"{slot}.bias")
    weight = double(f"{slot}.conv3x3.weight")
    bias = double(f"{slot}.conv3x3.bias") + double(f"{slot}.conv1x1.bias")
    weight[:, :, 1, 1] += double(f"{slot}.conv1x1.weight")[:, :, 0, 0]
    if not spec.pixel_norm:
        return weight + double(f"{slot}.dw_conv3x3.weight"), bias + double(f"{slot}.dw_conv3x3.bias")
    if spec.generation is Generation.R0_V1:
        gain = double(f"{slot}.identity.weight") / np.sqrt(double(f"{slot}.identity.running_var") + 1e-5)
        weight[:, 0, 1, 1] += gain
        bias += double(f"{slot}.identity.bias") - double(f"{slot}.identity.running_mean") * gain
    return weight, bias


def fuse(weights: Weights) -> Weights:
    """Fuse the convolutions of a network as upstream's `fuse_for_release` does: fewer tensors, the same
    results.

    Returns `weights` itself for networks with nothing to fuse.
    """
    spec = weights.spec
    if not isinstance(spec, FeatureSpec) or spec.after_fusing() == spec:
        return weights
    after = spec.after_fusing()
    tensors = {name: value for name, value in weights.tensors.items() if name in after.tensor_shapes()}
    if spec.generation not in TRACKED:
        slot = "dynamic_conv" if spec.generation in REPARAMETERISED else "spatial_mixer"
        for number in range(spec.depth):
            prefix = f"body.{number // spec.blocks}.blocks.{number % spec.blocks}."
            part = {
                name.removeprefix(prefix): value
                for name, value in weights.tensors.items()
                if name.startswith(prefix)
            }
            kernel, bias = depthwise_kernel(part, spec)
            tensors[f"{prefix}transformer.{slot}.weight"] = kernel.astype(np.float32)
            tensors[f"{prefix}transformer.{slot}.bias"] = bias.astype(np.float32)
    return replace(weights, spec=after, tensors=tensors)
