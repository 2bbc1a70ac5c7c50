"""Weights in the order in which the kernels read them, with most biases folded into later ones.

There is no zero padding, so a constant that is added to a map can be moved through the convolutions after it.
Three kinds of biases remain: conv_in's (with the frame's strength), the depthwise convolutions', the tail's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.conv import Conv, Doubles, Floats
from paragon_stream.framejob.fold import Block, RealtimeBlock, StreamBlock
from paragon_stream.framejob.native.winograd import transformed
from paragon_stream.native.forms import Form, Precision

_LARGEST = float(np.finfo(np.float16).max)

_TILE = 16
"""Rows of AMX's tile registers, and 32-bit words of a row: `TILE_ROWS` in native/src/amx.h."""


@dataclass(frozen=True, kw_only=True)
class Packing:
    """`block` outputs are computed at once, from operands of a precision."""

    block: int
    precision: Precision
    amx: bool = False
    """Whether 1×1 convolutions are in the order of AMX's tile registers."""

    @classmethod
    def of(cls, form: Form, block: int) -> Packing:
        """The packing for `form`, whose dense kernels compute `block` outputs at once."""
        return cls(block=block, precision=form.precision, amx=form.amx)

    @property
    def exact(self) -> Packing:
        """For layers that are fp32 in every form."""
        return Packing(block=self.block, precision="fp32")

    @property
    def maps(self) -> Packing:
        """For layers with the arithmetic of feature maps, which is fp32 beside operands of bf16."""
        return self if self.precision == "fp16" else self.exact

    def words(self, values: Floats) -> Floats:
        """`values`, whose last axis is the inputs, in 32-bit words as the kernels' operands are."""
        match self.precision:
            case "bf16":
                return in_pairs(values)
            case "fp16":
                return in_both_halves(values)
            case _:
                return values


@dataclass(frozen=True, kw_only=True)
class BlockWeights:
    """The weights of a block, as in `Block` of native/src/abi.h; the last three are Stream's."""

    expand: Floats
    depthwise: Floats
    project: Floats
    near_far: Floats | None = None
    fuse: Floats | None = None
    limit: float = math.inf


def packed(weight: NDArray[np.floating], packing: Packing) -> Floats:
    """A dense convolution (outputs, inputs, rows, columns) as [block][row][column][input][output of it]."""
    if packing.amx:
        return packed_for_amx(weight)
    words = packing.words(weight.transpose(0, 2, 3, 1).astype(np.float32))
    return np.concatenate([np.moveaxis(block, 0, -1).ravel() for block in _in_blocks(words, packing)])


def packed_for_amx(weight: NDArray[np.floating]) -> Floats:
    """A 1×1 convolution of 16·n outputs as [16 outputs][16 pairs of inputs][output][pair], filled with 0."""
    pairs = in_pairs(weight[:, :, 0, 0].astype(np.float32))
    outputs, inputs = pairs.shape
    filled = np.zeros((outputs, -(-inputs // _TILE) * _TILE), np.float32)
    filled[:, :inputs] = pairs
    return filled.reshape(-1, _TILE, filled.shape[1] // _TILE, _TILE).transpose(0, 2, 1, 3).ravel()


def packed_in_tiles(weight: NDArray[np.floating], packing: Packing) -> Floats:
    """A convolution in fp32 for kernels that compute tiles of a row: [block][product][row][input][output of
    it]."""
    blocks = _in_blocks(transformed(weight), packing)
    return np.concatenate([block.transpose(3, 2, 1, 0).ravel() for block in blocks]).astype(np.float32)


def _in_blocks[T: np.generic](weight: NDArray[T], packing: Packing) -> list[NDArray[T]]:
    """Along the outputs: as many blocks of the kernels' as there are, then 4, 2 and 1 outputs."""
    made, first, size = [], 0, packing.block
    while first < len(weight):
        while size > len(weight) - first:
            size //= 2
        made.append(weight[first : first + size])
        first += size
    return made


def in_pairs(values: Floats) -> Floats:
    """Pairs along the last axis as bf16 in one 32-bit word, the first one in the low half."""
    bits = rounded_to_bf16(values).view(np.uint32) >> 16
    return (bits[..., 0::2] | bits[..., 1::2] << 16).view(np.float32)


def in_both_halves(values: Floats) -> Floats:
    """Each value as fp16, twice in one 32-bit word."""
    return np.repeat(np.clip(values, -_LARGEST, _LARGEST).astype(np.float16), 2, axis=-1).view(np.float32)


def rounded_to_bf16(values: Floats) -> Floats:
    """The nearest numbers with 8 bits of precision, half to even; finite values only."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def block_weights(blocks: Sequence[Block], packing: Packing) -> tuple[list[BlockWeights], Doubles]:
    """The blocks, and the constant per feature that is missing in their results. Raises TypeError for other
    blocks."""
    missing: Doubles = np.zeros(1)
    made = []
    for number, block in enumerate(blocks, 1):
        match block:
            case RealtimeBlock() if number == len(blocks):  # fp32 in every form: see native/src/realtime.h
                made.append(_realtime(block, missing, packing.maps))
            case RealtimeBlock():
                made.append(_realtime(block, missing, packing))
            case StreamBlock():
                made.append(_stream(block, missing, packing))
            case _:
                raise TypeError(f"there are no kernels for {block}")
        missing = missing + block.project.bias
    return made, missing


def _realtime(block: RealtimeBlock, missing: Doubles, packing: Packing) -> BlockWeights:
    return BlockWeights(
        expand=packed(block.expand.weight, packing),
        depthwise=packing.maps.words(_with_bias(block.depthwise, dense_constant(block.expand, missing))),
        project=packed(block.project.weight, packing),
    )


def _stream(block: StreamBlock, missing: Doubles, packing: Packing) -> BlockWeights:
    mixed = dense_constant(block.from_near, _depthwise_constant(block.near, missing))
    mixed = mixed + dense_constant(block.from_far, _depthwise_constant(block.far, missing))
    gates = zip(block.gate, block.expand, strict=True)
    depthwise = np.concatenate([_with_bias(gate, dense_constant(expand, mixed)) for gate, expand in gates])
    near_far = np.concatenate([conv.weight.reshape(-1, 9) for conv in (block.near, block.far)])
    return BlockWeights(
        expand=packed(np.concatenate([conv.weight for conv in block.expand]), packing),
        depthwise=packing.maps.words(depthwise),
        project=packed(block.project.weight, packing),
        near_far=packing.maps.words(near_far),
        fuse=packed(np.concatenate([block.from_near.weight, block.from_far.weight], axis=1), packing),
        limit=block.limit,
    )


def dense_constant(conv: Conv, missing: Doubles) -> Doubles:
    """The result of a dense convolution, per output, for a constant per input."""
    inputs = np.broadcast_to(missing, conv.weight.shape[1:2])
    total: Doubles = conv.weight.astype(np.float64).sum(axis=(2, 3)) @ inputs + conv.bias
    return total


def _depthwise_constant(conv: Conv, missing: Doubles) -> Doubles:
    total: Doubles = conv.weight.astype(np.float64).sum(axis=(1, 2, 3)) * missing + conv.bias
    return total


def _with_bias(conv: Conv, missing: Doubles) -> Floats:
    """Per channel 9 taps, and the bias plus the taps' result for `missing`."""
    bias = _depthwise_constant(conv, missing).astype(np.float32)
    return np.concatenate([conv.weight.reshape(-1, 9), bias[:, None]], axis=1)
