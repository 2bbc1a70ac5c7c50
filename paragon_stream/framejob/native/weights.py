"""Weights in the order in which the kernels read them, with biases folded where a sum begins anyway.

There is no zero padding, so a constant that is added to a map can be carried through the convolutions after
it. That leaves three biases: conv_in's (with the frame's strength), the depthwise convolutions', the tail's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.conv import Conv, Doubles, Floats
from paragon_stream.framejob.fold import RealtimeBlock


@dataclass(frozen=True, kw_only=True)
class Packing:
    """`block` outputs are computed at once, from operands of `channels` channels: 1 in fp32, 2 in bf16."""

    block: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class RealtimeWeights:
    expand: Floats
    depthwise: Floats
    project: Floats


def packed(weight: NDArray[np.floating], packing: Packing) -> Floats:
    """A dense convolution (outputs, inputs, rows, columns) as [block][row][column][input][output of it]."""
    taps = weight.transpose(0, 2, 3, 1).astype(np.float32)
    words = in_pairs(taps) if packing.channels == 2 else taps
    blocks = [words[first : first + packing.block] for first in range(0, len(words), packing.block)]
    return np.concatenate([np.moveaxis(block, 0, -1).ravel() for block in blocks])


def in_pairs(values: Floats) -> Floats:
    """Neighbours along the last axis as bf16 in one 32-bit word, the first in its low half."""
    bits = rounded_to_bf16(values).view(np.uint32) >> 16
    return (bits[..., 0::2] | bits[..., 1::2] << 16).view(np.float32)


def rounded_to_bf16(values: Floats) -> Floats:
    """The nearest numbers with 8 bits of precision, half to even; finite values only."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def realtime_weights(
    blocks: tuple[RealtimeBlock, ...], packing: Packing
) -> tuple[list[RealtimeWeights], Doubles]:
    """The blocks, and the constant per feature that their results lack."""
    missing = np.zeros(len(blocks[0].project.bias)) if blocks else np.zeros(1)
    made = []
    for block in blocks:
        made.append(
            RealtimeWeights(
                expand=packed(block.expand.weight, packing),
                depthwise=_depthwise(block.depthwise, constant_of(block.expand, missing)),
                project=packed(block.project.weight, packing),
            )
        )
        missing = missing + block.project.bias
    return made, missing


def constant_of(conv: Conv, missing: Doubles) -> Doubles:
    """What a dense convolution makes of a constant input, per output."""
    total: Doubles = conv.weight.astype(np.float64).sum(axis=(2, 3)) @ missing + conv.bias
    return total


def _depthwise(conv: Conv, missing: Doubles) -> Floats:
    """Per channel 9 taps and the bias."""
    taps = conv.weight.reshape(-1, 9).astype(np.float64)
    bias = conv.bias + taps.sum(axis=1) * missing
    return np.concatenate([taps, bias[:, None]], axis=1).astype(np.float32)
