"""The folded arrays in the order in which the CUDA kernels' lanes load them: tensor-core fragments and pairs.

Layouts are those that the kernels' files state; fragments those of PTX's mma.m16n8k16.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.conv import Conv, Doubles
from paragon_stream.framejob.fold import RealtimeBlock, StreamBlock
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Tail

LANES = 32
_QUADS = np.array([[2 * t, 2 * t + 1, 2 * t + 8, 2 * t + 9] for t in range(4)])
"""The channels, of 16, that lane t of four holds of a pixel."""


def fragments(matrix: Doubles) -> NDArray[np.float16]:
    """Right operands of `multiply_add`: matrix (16, 8) → (32 lanes, 4 halves); leading axes stay.

    Lane 4·g + t holds rows 2t, 2t+1 and 2t+8, 2t+9 of column g.
    """
    lane = np.arange(LANES)
    return matrix[..., _QUADS[lane % 4], (lane // 4)[:, None]].astype(np.float16)


def body_weights(job: FrameJob, source_unit: float) -> bytes:
    """The weights of the kernel `body`. `source_unit` is the kernel's scale of centred codes."""
    first = job.first.weight.astype(np.float64)
    features, inputs = job.spec.features, len(job.inputs)
    taps = np.zeros((features, 4, 12))  # component, tap; the kernel brings 4 components of 12 taps
    taps[:, :inputs, :9] = first[:, :inputs].reshape(features, inputs, 9) / source_unit
    matrix = np.zeros((3, 16, features))
    for k, t, component in np.ndindex(3, 4, 4):
        matrix[k, 2 * t + component % 2 + 8 * (component // 2)] = taps[:, component, 4 * k + t]
    slope = first[:, inputs, 1, 1] if job.spec.conditioned else np.zeros(features)
    parts = [
        b"".join(map(_operand, matrix)),
        _quads(job.first.bias.astype(np.float64)),
        _quads(slope),
    ]
    for block, constant in zip(job.blocks, _constants(job), strict=False):
        if isinstance(block, RealtimeBlock):
            parts.append(_realtime_block(block, constant))
    return b"".join(parts)


def block_weights(job: FrameJob) -> list[bytes]:
    """The weights of each launch of the kernel `block`: one for each block of Stream."""
    return [
        _stream_block(block, constant)
        for block, constant in zip(job.blocks, _constants(job), strict=False)
        if isinstance(block, StreamBlock)
    ]


def head_weights(job: FrameJob, tail: Tail) -> bytes:
    """The weights of the kernel `head`."""
    mid = job.mid.weight.astype(np.float64)
    bias = job.mid.bias + mid.sum(axis=(2, 3)) @ _constants(job)[-1]
    weight = tail.conv.weight.astype(np.float64)
    outputs, features, rows, columns = weight.shape
    tail_taps = fragments(
        weight.transpose(2, 3, 1, 0)
        .reshape(rows, columns, features // 16, 16, outputs // 8, 8)
        .swapaxes(3, 4)
    )
    parts = [
        b"".join(_operand(mid[:, :, dy, dx].T) for dy in range(3) for dx in range(3)),
        _quads(bias),
        tail.conv.bias.astype(np.float32).tobytes(),
        tail_taps.tobytes(),
    ]
    return b"".join(parts)


def _constants(job: FrameJob) -> list[Doubles]:
    """The constants that are missing in the input of each block and, last, of conv_mid: the biases of the
    last 1×1 convolutions of earlier blocks. The next biases include them. Without zero padding a constant
    stays a constant.
    """
    constants = [np.zeros(job.spec.features)]
    for block in job.blocks:
        if isinstance(block, RealtimeBlock | StreamBlock):  # the only blocks with kernels
            constants.append(constants[-1] + block.project.bias)
    return constants


def _realtime_block(block: RealtimeBlock, constant: Doubles) -> bytes:
    """The weights of one block, in the order of kernels/realtime.cuh."""
    expand, project = _pointwise(block.expand), _pointwise(block.project)
    depthwise = _depthwise(block.depthwise)
    bias = block.depthwise.bias + depthwise.sum(axis=0) * (expand @ constant + block.expand.bias)
    return b"".join(
        [_operand(expand.T), _operand(project.T), _pairs(depthwise).tobytes(), _pairs(bias[None]).tobytes()]
    )


def _stream_block(block: StreamBlock, constant: Doubles) -> bytes:
    """The weights of one block, in the order of kernels/stream.cuh: all biases end up in the gate's."""
    near, far = _depthwise(block.near), _depthwise(block.far)
    from_near, from_far = _pointwise(block.from_near), _pointwise(block.from_far)
    mixed = (
        from_near @ (near.sum(axis=0) * constant + block.near.bias)
        + block.from_near.bias
        + from_far @ (far.sum(axis=0) * constant + block.far.bias)
        + block.from_far.bias
    )
    expand = [_pointwise(each) for each in block.expand]
    gate = [_depthwise(each) for each in block.gate]
    bias = [
        g.bias + taps.sum(axis=0) * (weight @ mixed + e.bias)
        for g, e, taps, weight in zip(block.gate, block.expand, gate, expand, strict=True)
    ]
    chunks = [slice(start, start + 8) for start in range(0, len(bias[0]), 8)]
    parts = [
        _pairs(near).tobytes(),
        _pairs(far).tobytes(),
        _operand(np.concatenate([from_near, from_far], axis=1).T),
        *(_operand(np.concatenate([half[chunk] for half in expand]).T) for chunk in chunks),
        _operand(_pointwise(block.project).T),
        *(_pairs(np.concatenate([half[:, chunk] for half in gate], axis=1)).tobytes() for chunk in chunks),
        *(_pairs(np.concatenate([half[chunk] for half in bias])[None]).tobytes() for chunk in chunks),
    ]
    return b"".join(parts)


def _pointwise(conv: Conv) -> Doubles:
    """(outputs, inputs)."""
    return conv.weight[:, :, 0, 0].astype(np.float64)


def _depthwise(conv: Conv) -> Doubles:
    """(taps, channels)."""
    return conv.weight.reshape(len(conv.weight), -1).T.astype(np.float64)


def _operand(matrix: Doubles) -> bytes:
    """matrix (inputs, outputs) → [inputs / 16][outputs / 16][32 lanes][8 halves]: two fragments."""
    inputs, outputs = matrix.shape
    blocks = matrix.reshape(inputs // 16, 16, outputs // 16, 2, 8).transpose(0, 2, 3, 1, 4)
    return fragments(blocks).swapaxes(2, 3).tobytes()


def _pairs(values: Doubles) -> NDArray[np.float16]:
    """values (n, channels) → (n, 4 lanes, channels / 4 halves): pairs 2t, 2t+8, 2t+16 … of lane t."""
    rows, channels = values.shape
    pairs = values.reshape(rows, channels // 8, 4, 2).swapaxes(1, 2)
    return np.ascontiguousarray(pairs.reshape(rows, 4, channels // 4), np.float16)


def _quads(values: Doubles) -> bytes:
    """values (channels) → [channels / 16][4 lanes][4 floats]."""
    lanes: NDArray[np.float32] = values.reshape(-1, 16)[:, _QUADS].astype(np.float32)
    return lanes.tobytes()
