"""The specification of a network in a few numbers, and the tensors that it requires."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

from paragon_stream.checkpoint.block_shapes import photo_block, pro_block, realtime_block, stream_block
from paragon_stream.checkpoint.shapes import Shapes, conv

MAGIC_SHARPEN = (-1 / 32, 0.0, 9 / 32, 16 / 32, 9 / 32, 0.0, -1 / 32)
"""h7: the half-band filter that the base path blends in by alpha."""

MAGIC_BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
"""h5: the filter after nearest-neighbour enlargement; together they are the MagicKernel resampler."""

STRENGTH_TENSOR = "strength.conv_in.bias"
"""Slope of conv_in's bias over the strength; only conditioned weights have it."""


SAFE_PRODUCT = 16.0
"""The limit of the products in our Stream weights, which is in their metadata (`product_limit`).

Six successive products have the degree 64: on one-pixel grids and noise of full contrast the features reach
10⁹ without a limit, and the picture is destroyed. The sets of ×2 were trained with the limit and need it on
ordinary pictures, too. Upstream's limit, ±65504, prevents overflow in fp16 only.
"""


MOST_RADIUS = 96
"""Largest neighbourhood, in LR pixels, that frame jobs give a network. The layers of the largest older
networks reach hundreds of pixels, but the influence of so distant pixels is lost in rounding."""

HEADS = 4
"""Number of heads of window attention, in all variants that have it."""

USUAL_WINDOW = 16
"""Side of the attention windows of the published Photo and Pro; the first Pro of version 11 had 8."""


class Generation(StrEnum):
    """The generations of the family, by the names of the architecture reference, oldest first.

    Those from V9 on, but for the Pro of V11_ATD and the Ultimate of DEV, compute the same function of their
    tensors (`ReleaseSpec`); Realtime and Stream of V9 and V10 lack the layer scales (which then are 1).
    """

    R0_V1 = "paragonsr-r0"
    R1_V1 = "paragonsr-r1"
    R2_V1 = "paragonsr-r2"
    R3_V1 = "paragonsr-r3"
    R4_V1 = "paragonsr-r4"
    PS = "paragonsr-ps"
    NC = "paragonsr-nc"
    MK = "paragonsr-mk"
    V0 = "p2v0"
    R1 = "p2r1"
    R2 = "p2r2"
    R3 = "p2r3"
    V1 = "p2v1"
    V2 = "p2v2"
    V3 = "p2v3fix"
    V4 = "p2v4"
    V5 = "p2v5"
    V6 = "p2v6"
    V7 = "p2v7"
    V8 = "p2v8"
    V9 = "p2v9"
    V10 = "p2v10"
    V11_ATD = "p2v11atd"
    V11 = "p2v11"
    HEAD = "p2head"
    DEV = "p2dev"
    MUNET_B = "munetB"
    MUNET_C = "munetC"
    MUNET_D = "munetD"
    MUNET_E = "munetE"
    MUNET_F = "munetF"


RELEASE_LINE = (
    Generation.V9,
    Generation.V10,
    Generation.V11_ATD,
    Generation.V11,
    Generation.HEAD,
    Generation.DEV,
)
"""Generations that `ReleaseSpec` describes."""


class Variant(StrEnum):
    REALTIME = "realtime"
    STREAM = "stream"
    PHOTO = "photo"
    PRO = "pro"


@dataclass(frozen=True, kw_only=True)
class NetworkSpec(ABC):
    """One network of the family. Each line has a subclass.

    `variant` is upstream's name of the size, or the dimensions if upstream has no name. `features` is the
    number of channels of the body, which has `groups` × `blocks` residual blocks. `alpha` is the share of the
    half-band filter in the MagicKernel, which no tensor shows. `conditioned` weights take the strength of the
    source's compression as a second input. `product_limit` is the limit of Stream's products a ⊙ b (see
    SAFE_PRODUCT); infinite if the file states none. With `filters_chroma` the network computes only luma, and
    chroma is enlarged by a plain filter (`framejob.taps.chroma_enlarged`). `window` is the side of the
    windows of attention, in pixels of the source; 0 without attention.
    """

    generation: Generation
    variant: str
    scale: int
    features: int
    groups: int
    blocks: int
    alpha: float
    conditioned: bool = False
    product_limit: float = math.inf
    filters_chroma: bool = False
    window: int = 0

    @abstractmethod
    def tensor_shapes(self) -> Shapes:
        """Name and shape of every tensor that the state dict has, and of no other."""

    @property
    @abstractmethod
    def radius(self) -> int:
        """The reach of the convolutions: LR pixels to each side that an output pixel depends on."""

    @property
    @abstractmethod
    def sees_whole_frame(self) -> bool:
        """Whether every output pixel depends on all pixels, through means over the frame."""

    @property
    def depth(self) -> int:
        """Number of residual blocks."""
        return self.groups * self.blocks

    @property
    def has_attention(self) -> bool:
        """Whether pixels attend to other pixels."""
        return bool(self.window)

    @property
    def has_layer_scale(self) -> bool:
        """Whether Realtime's and Stream's blocks of the release line have one."""
        return False

    @property
    def margin(self) -> int:
        """LR pixels of replicated edge at least, so that what is beyond them cannot be seen in the picture.

        Windows carry a trace of it further than convolutions: past one more window it is 0.01 codes of 255
        (measured; without that window 0.2 codes, with two of them none).
        """
        return min(self.radius, MOST_RADIUS) + self.window

    @property
    def reach(self) -> int:
        """LR pixels to each side that an output pixel depends on, as far as fp32 can show.

        Attention reaches half a window further with every block, but what comes from far is one pixel among
        hundreds each time: beyond two windows it is lost in the rounding of the sums. (Photo with random
        weights: a tile with 16 pixels of context is 81 dB from the whole frame, with 32 it is 123 dB, with
        64 149 dB, with 96 150 dB.) Means over the frame are left out: see `sees_whole_frame`.
        """
        return min(self.radius, MOST_RADIUS) + 2 * self.window

    @property
    def parameters(self) -> int:
        """Number of values in all tensors."""
        return sum(math.prod(shape) for shape in self.tensor_shapes().values())

    def __str__(self) -> str:
        scale = f" ×{self.scale}" if self.scale else ""
        return f"{self.variant}{scale} ({self.generation}, {self.features} features, {self.depth} blocks)"


@dataclass(frozen=True, kw_only=True)
class ReleaseSpec(NetworkSpec):
    """One network of the release line: a MagicKernel base on RGB, and a detail path without outer skips.

    `window` is the side of the windows of Photo and Pro (0 without attention); no tensor shows it. `tokens`
    is the size of Pro's dictionaries.
    """

    variant: Variant
    tokens: int = 0

    @property
    def has_layer_scale(self) -> bool:
        """Whether Realtime's and Stream's blocks have one; Photo's and Pro's always do."""
        return self.generation not in (Generation.V9, Generation.V10)

    @property
    def radius(self) -> int:
        """conv_in 1, conv_mid 1, tail 2, and per block 1 or, for Stream, 3 + 1 (dilated, then gate)."""
        return 4 + self.depth * (4 if self.variant is Variant.STREAM else 1)

    @property
    def sees_whole_frame(self) -> bool:
        """True for Pro, because of its channel attention: results in tiles differ slightly."""
        return self.variant is Variant.PRO

    def tensor_shapes(self) -> Shapes:
        f = self.features
        shapes = frame_shapes(f, self.scale)
        block = self._block_shapes()
        for group in range(self.groups):
            for index in range(self.blocks):
                shapes |= {f"body.{group}.blocks.{index}.{name}": shape for name, shape in block.items()}
        if self.conditioned:
            shapes[STRENGTH_TENSOR] = (f,)
        return shapes

    def _block_shapes(self) -> Shapes:
        match self.variant:
            case Variant.REALTIME:
                return realtime_block(self.features, scaled=self.has_layer_scale)
            case Variant.STREAM:
                return stream_block(self.features, scaled=self.has_layer_scale)
            case Variant.PHOTO:
                return photo_block(self.features, attends=bool(self.window))
            case Variant.PRO:
                return pro_block(self.features, self.tokens, attends=bool(self.window))


def frame_shapes(f: int, s: int) -> Shapes:
    """The tensors of the release line's frame: base path, conv_in, and from conv_mid on."""
    shapes: Shapes = {"detail_gain": ()}
    for name, taps in (("sharp", 7), ("blur", 5)):
        shapes[f"base.{name}.kernel"] = (taps,)
        shapes[f"base.{name}.h.weight"] = (3, 1, 1, taps)
        shapes[f"base.{name}.v.weight"] = (3, 1, taps, 1)
    shapes |= conv("conv_in", f, 3, 3) | conv("conv_mid", f, f, 3)
    return shapes | conv("up.0", f * s * s, f, 3) | conv("conv_out", 3, f, 3)


def published(
    variant: str, scale: int, *, alpha: float = 0.0, generation: Generation = Generation.HEAD
) -> ReleaseSpec:
    """The network of the release line that upstream calls `variant`."""
    kind = Variant(variant)
    features, groups, blocks = {
        Variant.REALTIME: (16, 1, 3),
        Variant.STREAM: (32, 2, 3),
        Variant.PHOTO: (64, 4, 4),
        Variant.PRO: (64, 6, 6),
    }[kind]
    return ReleaseSpec(
        generation=generation,
        variant=kind,
        scale=scale,
        features=features,
        groups=groups,
        blocks=blocks,
        alpha=alpha,
        window=USUAL_WINDOW if kind in (Variant.PHOTO, Variant.PRO) else 0,
        tokens=64 if kind is Variant.PRO else 0,
    )
