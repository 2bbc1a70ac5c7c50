"""The network's tensors, folded with the colour maps of both formats.

Formulas: reference of the release line, f = conv_in(x),
y = base + gain · conv_out(PS(up(conv_mid(body(f))))). All sums in float64; the results are float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import STRENGTH_TENSOR, NetworkSpec, Variant
from paragon_stream.framejob.color import ColorMap

type Floats = NDArray[np.float32]
type Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Conv:
    """A convolution: `weight` (outputs, inputs / groups, kernel rows, kernel columns), `bias` (outputs).

    Rows and columns of zeros around the input: `pads` = (top, left, bottom, right).
    """

    weight: Floats
    bias: Floats
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    stride: tuple[int, int] = (1, 1)
    dilation: int = 1
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiplications per output position."""
        return self.weight.size


@dataclass(frozen=True, kw_only=True)
class RealtimeBlock:
    """`x + project(GELU(depthwise(expand(x))))`."""

    expand: Conv
    depthwise: Conv
    project: Conv


@dataclass(frozen=True, kw_only=True)
class StreamBlock:
    """`x + project(a ⊙ b)` with u = from_near(near(x)) + from_far(far(x)), a and b each gate(expand(u)).

    Upstream concatenates where this adds, and splits where this has two of everything: the same sums, without
    copies of the widest maps. a ⊙ b is held to ±`limit` where that is finite; upstream's own ±65504 is for
    the sake of fp16 and left out.
    """

    near: Conv
    far: Conv
    from_near: Conv
    from_far: Conv
    expand: tuple[Conv, Conv]
    gate: tuple[Conv, Conv]
    limit: float
    project: Conv


type Block = RealtimeBlock | StreamBlock


def fold_input(tensors: Tensors, colors: ColorMap) -> Conv:
    """conv_in on centred codes. Conditioned weights have one more input: the strength, on every sample."""
    weight = double(tensors["conv_in.weight"])
    on_codes = np.einsum("foyx,oc->fcyx", weight, colors.to_rgb)
    bias = tensors["conv_in.bias"] + np.einsum("foyx,o->f", weight, colors.rgb_of_centre)
    if STRENGTH_TENSOR in tensors:
        slope = np.zeros((len(weight), 1, 3, 3))
        slope[:, 0, 1, 1] = tensors[STRENGTH_TENSOR]
        on_codes = np.concatenate([on_codes, slope], axis=1)
    return folded(on_codes, bias, pads=(1, 1, 1, 1))


def fold_block(tensors: Tensors, spec: NetworkSpec, group: int, index: int) -> Block:
    """One residual block, its layer scale inside the last 1×1."""
    prefix = f"body.{group}.blocks.{index}"

    def layer(
        name: str, *, pad: int = 0, dilation: int = 1, groups: int = 1, gain: Doubles | None = None
    ) -> Conv:
        weight, bias = double(tensors[f"{prefix}.{name}.weight"]), double(tensors[f"{prefix}.{name}.bias"])
        if gain is not None:
            weight, bias = weight * gain[:, None, None, None], bias * gain
        return folded(weight, bias, pads=(pad,) * 4, dilation=dilation, groups=groups)

    gamma = double(tensors[f"{prefix}.scale.gamma"]).reshape(-1) if spec.has_layer_scale else None
    f = spec.features
    if spec.variant is Variant.REALTIME:
        return RealtimeBlock(
            expand=layer("conv1"),
            depthwise=layer("dw", pad=1, groups=2 * f),
            project=layer("conv2", gain=gamma),
        )
    fuse, expand, gate = layer("fuse"), layer("proj"), layer("gate", pad=1, groups=4 * f)
    return StreamBlock(
        near=layer("dw1", pad=1, groups=f),
        far=layer("dw3", pad=3, dilation=3, groups=f),
        from_near=replace(fuse, weight=np.ascontiguousarray(fuse.weight[:, :f])),
        from_far=replace(
            fuse, weight=np.ascontiguousarray(fuse.weight[:, f:]), bias=np.zeros_like(fuse.bias)
        ),
        expand=_halves(expand, groups=1),
        gate=_halves(gate, groups=2 * f),
        limit=spec.product_limit,
        project=layer("out", gain=gamma),
    )


def _halves(conv: Conv, *, groups: int) -> tuple[Conv, Conv]:
    """The convolutions that give the first and the second half of the output channels."""
    half = len(conv.bias) // 2
    return (
        replace(conv, weight=conv.weight[:half], bias=conv.bias[:half], groups=groups),
        replace(conv, weight=conv.weight[half:], bias=conv.bias[half:], groups=groups),
    )


def fold_mid(tensors: Tensors) -> Conv:
    return folded(double(tensors["conv_mid.weight"]), double(tensors["conv_mid.bias"]), pads=(1, 1, 1, 1))


def double(tensor: Floats) -> Doubles:
    return tensor.astype(np.float64)


def folded(
    weight: Doubles,
    bias: Doubles,
    *,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    stride: tuple[int, int] = (1, 1),
    dilation: int = 1,
    groups: int = 1,
) -> Conv:
    """The convolution in fp32, which is as exact as any runtime computes."""
    return Conv(
        weight=np.ascontiguousarray(weight, np.float32),
        bias=np.ascontiguousarray(bias, np.float32),
        pads=pads,
        stride=stride,
        dilation=dilation,
        groups=groups,
    )
