"""What a network is, in a few numbers, and which tensors it therefore must have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

MAGIC_SHARPEN = (-1 / 32, 0.0, 9 / 32, 16 / 32, 9 / 32, 0.0, -1 / 32)
"""h7: the half-band filter that the base path blends in by alpha."""

MAGIC_BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
"""h5: the filter after nearest-neighbour enlargement; together they are the MagicKernel resampler."""

STRENGTH_TENSOR = "strength.conv_in.bias"
"""Slope of conv_in's bias over the strength; only conditioned weights have it."""


SAFE_PRODUCT = 16.0
"""What our Stream weights hold their products to, and say so in their metadata (`product_limit`).

Six products on top of each other have the degree 64: on one-pixel grids and noise of full contrast their
features reach 10⁹ without a limit, and nothing is left of the picture. On pictures few products are larger:
the limit costs Stream ×2 0.02 dB on Set14. Upstream's, ±65504, is there for fp16 and is of no help.
"""


class Generation(StrEnum):
    """Generations of ParagonSR2 that a frame job can be made from. All compute the same function of their
    tensors; V9 and V10 lack the layer scales (which then are 1)."""

    V9 = "p2v9"
    V10 = "p2v10"
    V11 = "p2v11"
    HEAD = "p2head"


class Variant(StrEnum):
    REALTIME = "realtime"
    STREAM = "stream"


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """One network of the release line.

    `features` is the number of channels of the body, which has `groups` × `blocks` residual blocks. `alpha`
    is the share of the half-band filter in the base path, which no tensor tells. `conditioned` weights take
    the strength of the source's compression as a second input. `product_limit` is what Stream's products
    a ⊙ b are held to (see SAFE_PRODUCT); infinite where the file says nothing.
    """

    generation: Generation
    variant: Variant
    scale: int
    features: int
    groups: int
    blocks: int
    alpha: float
    conditioned: bool = False
    product_limit: float = math.inf

    @property
    def has_layer_scale(self) -> bool:
        return self.generation in (Generation.V11, Generation.HEAD)

    @property
    def depth(self) -> int:
        """Number of residual blocks."""
        return self.groups * self.blocks

    def __str__(self) -> str:
        return (
            f"{self.variant} ×{self.scale} ({self.generation}, {self.features} features, {self.depth} blocks)"
        )

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor that the state dict has, and of no other."""
        f, s = self.features, self.scale
        shapes: dict[str, tuple[int, ...]] = {"detail_gain": ()}
        for name, taps in (("sharp", 7), ("blur", 5)):
            shapes[f"base.{name}.kernel"] = (taps,)
            shapes[f"base.{name}.h.weight"] = (3, 1, 1, taps)
            shapes[f"base.{name}.v.weight"] = (3, 1, taps, 1)
        shapes |= _conv("conv_in", f, 3, 3)
        for group in range(self.groups):
            for block in range(self.blocks):
                prefix = f"body.{group}.blocks.{block}"
                if self.variant is Variant.REALTIME:
                    shapes |= _conv(f"{prefix}.conv1", 2 * f, f, 1)
                    shapes |= _conv(f"{prefix}.dw", 2 * f, 1, 3)
                    shapes |= _conv(f"{prefix}.conv2", f, 2 * f, 1)
                else:
                    shapes |= _conv(f"{prefix}.dw1", f, 1, 3)
                    shapes |= _conv(f"{prefix}.dw3", f, 1, 3)
                    shapes |= _conv(f"{prefix}.fuse", f, 2 * f, 1)
                    shapes |= _conv(f"{prefix}.proj", 4 * f, f, 1)
                    shapes |= _conv(f"{prefix}.gate", 4 * f, 1, 3)
                    shapes |= _conv(f"{prefix}.out", f, 2 * f, 1)
                if self.has_layer_scale:
                    shapes[f"{prefix}.scale.gamma"] = (1, f, 1, 1)
        shapes |= _conv("conv_mid", f, f, 3)
        shapes |= _conv("up.0", f * s * s, f, 3)
        shapes |= _conv("conv_out", 3, f, 3)
        if self.conditioned:
            shapes[STRENGTH_TENSOR] = (f,)
        return shapes


def _conv(name: str, outputs: int, inputs: int, kernel: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs, kernel, kernel), f"{name}.bias": (outputs,)}
