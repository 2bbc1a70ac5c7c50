"""MUNet, the discriminator of training, revisions B to F."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.lines.measure import count, declared_generation, has, size
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.shapes import Shapes, magic_kernel
from paragon_stream.checkpoint.spec import Generation, NetworkSpec

MUNETS = (
    Generation.MUNET_B,
    Generation.MUNET_C,
    Generation.MUNET_D,
    Generation.MUNET_E,
    Generation.MUNET_F,
)


@dataclass(frozen=True, kw_only=True)
class MUNetSpec(NetworkSpec):
    """`widths` are the multiples of `features` going down. Its scale is 1: a logit per pixel."""

    widths: tuple[int, ...]

    @property
    def plain(self) -> bool:
        """Whether the network is a plain U-net, without further branches."""
        return self.generation is Generation.MUNET_B

    @property
    def weighs(self) -> bool:
        """Whether it has gradients, attention, and weights for its branches."""
        return self.generation in MUNETS[2:]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the levels, the finest first."""
        return (self.features, *(self.features * width for width in self.widths))

    @property
    def sees_whole_frame(self) -> bool:
        return not self.plain

    @property
    def radius(self) -> int:
        """Every level reaches twice as far: two convolutions down, two in the middle, three up."""
        return 2 + 12 * (1 << len(self.widths))

    def tensor_shapes(self) -> Shapes:
        f, channels = self.features, self.channels
        deep, last = channels[-1], self.generation is Generation.MUNET_F
        if self.plain:
            shapes: Shapes = {"in_conv.weight": (f, 3, 3, 3), "in_conv.bias": (f,)}
        else:
            shapes = _spectral("in_conv", f, 3, bias=True)
        for level, (inputs, outputs) in enumerate(pairwise(channels)):
            shapes |= _spectral(f"down_blocks.{level}.0", outputs, inputs, 4)
        for layer in (0, 2):
            shapes |= _spectral(f"mid_conv.{layer}", deep, deep)
        for level, (inputs, skip) in enumerate(pairwise(channels[::-1])):
            shapes |= magic_kernel(f"up_blocks.{level}.magic_upsample", inputs)
            shapes |= _spectral(f"up_blocks.{level}.post_upsample_conv", skip, inputs)
            shapes |= _spectral(f"up_blocks.{level}.fusion_conv.0", skip, 2 * skip)
        shapes |= _spectral("out_conv", 1, f, bias=True)
        if self.plain:
            return shapes
        if not last:
            shapes["freq_luma.weight"] = (1, 3, 1, 1)
        shapes |= _spectral("freq_proc.0", f // 2, 1) | _spectral("freq_proc.2", f, f // 2)
        shapes |= _spectral("patch_reduce.0", f, deep, 1, bias=last)
        shapes |= _spectral("patch_upsample.0", f, f, bias=last)
        if not last:
            shapes |= _spectral("patch_upsample.2", f, f)
        if not self.weighs:
            return shapes | _spectral("fusion_conv.0", f, 3 * f) | _spectral("fusion_conv.2", f, f)
        shapes |= _spectral("grad_conv.0", f // 2, 2) | _spectral("grad_conv.2", f, f // 2)
        for name, outputs in (("query", deep // 8), ("key", deep // 8), ("value", deep)):
            shapes |= _spectral(f"self_attn.{name}", max(1, outputs), deep, 1, bias=True)
        shapes["self_attn.gamma"] = (1,)
        shapes |= _spectral("attention_fusion.attention_conv.0", f, 4 * f, 1, bias=True)
        shapes |= _spectral("attention_fusion.attention_conv.2", 4, f, 1, bias=True)
        for layer in (0, 2):
            shapes |= _spectral(f"attention_fusion.fusion_conv.{layer}", f, f)
        return shapes


def _spectral(name: str, outputs: int, inputs: int, kernel: int = 3, *, bias: bool = False) -> Shapes:
    """A convolution under torch's spectral norm: its weight, and the two vectors of the power iteration."""
    weight = f"{name}.parametrizations.weight"
    shapes: Shapes = {
        f"{weight}.original": (outputs, inputs, kernel, kernel),
        f"{weight}.0._u": (outputs,),
        f"{weight}.0._v": (inputs * kernel * kernel,),
    }
    return shapes | ({f"{name}.bias": (outputs,)} if bias else {})


def munet(
    features: int = 64, widths: Sequence[int] = (1, 2, 4, 8), generation: Generation = Generation.MUNET_B
) -> MUNetSpec:
    """The discriminator with upstream's `num_feat` and `ch_mult`."""
    return MUNetSpec(
        generation=generation,
        variant=f"nf{features}_{''.join(map(str, widths))}",
        scale=1,
        features=features,
        groups=1,
        blocks=len(widths),
        alpha=1.0,
        widths=tuple(widths),
    )


def recognise_munet(tensors: Tensors, facts: Facts) -> tuple[MUNetSpec, tuple[str, ...]]:
    """The network, and the names of unknown facts about it (see `Facts`)."""
    if not has(tensors, "freq_proc."):
        possible: tuple[Generation, ...] = (Generation.MUNET_B,)
    elif not has(tensors, "grad_conv."):
        possible = (Generation.MUNET_C,)
    elif has(tensors, "freq_luma."):
        possible = (Generation.MUNET_D, Generation.MUNET_E)
    else:
        possible = (Generation.MUNET_F,)
    generation = declared_generation(facts, possible)
    bare = "in_conv.weight" in tensors
    features = size(tensors, "in_conv.weight" if bare else "in_conv.parametrizations.weight.original", 0)
    levels = count(tensors, r"down_blocks\.\d+\.0\.parametrizations\.weight\.original")
    widths = [
        size(tensors, f"down_blocks.{level}.0.parametrizations.weight.original", 0) // max(1, features)
        for level in range(levels)
    ]
    ambiguous = facts.generation is None and len(possible) > 1
    return munet(features, widths, generation), ("generation",) if ambiguous else ()
