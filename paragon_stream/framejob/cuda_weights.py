"""The folded arrays in the order in which the CUDA kernels' lanes load them: tensor-core fragments and pairs.

Layouts are those that kernels/body.cuh and head.cuh state; fragments those of PTX's mma.m16n8k16.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.fold import Doubles, RealtimeBlock
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Tail

FEATURES = 16
LANES = 32
_QUADS = np.array([[2 * t, 2 * t + 1, 2 * t + 8, 2 * t + 9] for t in range(4)])
"""The channels that lane t of four holds of a pixel."""


def fragments(matrix: Doubles) -> NDArray[np.float16]:
    """Right operands of `multiply_add`: matrix (16, 8) → (32 lanes, 4 halves); leading axes stay.

    Lane 4·g + t holds rows 2t, 2t+1 and 2t+8, 2t+9 of column g.
    """
    lane = np.arange(LANES)
    return matrix[..., _QUADS[lane % 4], (lane // 4)[:, None]].astype(np.float16)


def body_weights(job: FrameJob, source_unit: float) -> bytes:
    """Everything that the kernel `body` loads. `source_unit` is what the kernel scales centred codes by.

    Features travel without the biases of the blocks' last 1×1, which the next depthwise convolution's bias
    (and conv_mid's) makes up for: there is no zero padding, so a constant stays one.
    """
    first = job.first.weight.astype(np.float64)
    inputs = len(job.inputs)
    taps = np.zeros((FEATURES, 4, 12))  # component, tap; the kernel brings 4 components of 12 taps
    taps[:, :inputs, :9] = first[:, :inputs].reshape(FEATURES, inputs, 9) / source_unit
    steps = []
    for k in range(3):
        matrix = np.zeros((16, FEATURES))
        for t in range(4):
            for component in range(4):
                matrix[2 * t + component % 2 + 8 * (component // 2)] = taps[:, component, 4 * k + t]
        steps.append(_tiles(matrix))
    slope = first[:, inputs, 1, 1] if job.spec.conditioned else np.zeros(FEATURES)
    parts = [
        np.concatenate(steps).tobytes(),
        _quads(job.first.bias.astype(np.float64)),
        _quads(slope),
    ]
    constant = np.zeros(FEATURES)
    for block in job.blocks:
        assert isinstance(block, RealtimeBlock)
        expand = block.expand.weight[:, :, 0, 0].astype(np.float64)
        depthwise = block.depthwise.weight[:, 0].astype(np.float64)
        project = block.project.weight[:, :, 0, 0].astype(np.float64)
        bias = block.depthwise.bias + depthwise.sum(axis=(1, 2)) * (expand @ constant + block.expand.bias)
        parts += [
            np.concatenate([_tiles(expand.T[:, :16]), _tiles(expand.T[:, 16:])]).tobytes(),
            np.concatenate([_tiles(project.T[:16]), _tiles(project.T[16:])]).tobytes(),
            _pairs(depthwise.reshape(2 * FEATURES, 9).T).tobytes(),
            _pairs(bias[None]).tobytes(),
        ]
        constant = constant + block.project.bias
    return b"".join(parts)


def head_weights(job: FrameJob, tail: Tail) -> bytes:
    """Everything that the kernel `head` loads."""
    mid = job.mid.weight.astype(np.float64)
    constant = sum((block.project.bias.astype(np.float64) for block in job.blocks), np.zeros(FEATURES))
    bias = job.mid.bias + mid.sum(axis=(2, 3)) @ constant
    weight = tail.conv.weight.astype(np.float64)
    tiles = len(weight) // 8
    rows, columns = weight.shape[2:]
    tail_taps = fragments(
        weight.transpose(2, 3, 0, 1).reshape(rows, columns, tiles, 8, FEATURES).swapaxes(3, 4)
    )
    tail_bias = np.zeros(8 * tiles, np.float32)
    tail_bias[:] = tail.conv.bias
    parts = [
        np.concatenate([_tiles(mid[:, :, dy, dx].T) for dy in range(3) for dx in range(3)]).tobytes(),
        _quads(bias),
        tail_bias.tobytes(),
        tail_taps.tobytes(),
    ]
    return b"".join(parts)


def _tiles(matrix: Doubles) -> NDArray[np.float16]:
    """matrix (16 inputs, 16 outputs) → (32 lanes, 8 halves): the fragments of outputs 0…7, then of 8…15."""
    return np.concatenate([fragments(matrix[:, :8]), fragments(matrix[:, 8:])], axis=1)


def _pairs(values: Doubles) -> NDArray[np.float16]:
    """values (n, 32 channels) → (n, 4 lanes, 8 halves): pairs 2t, 2t+8, 2t+16, 2t+24 of lane t."""
    return np.ascontiguousarray(
        values.reshape(-1, 4, 4, 2).transpose(0, 2, 1, 3).reshape(-1, 4, 8), np.float16
    )


def _quads(values: Doubles) -> bytes:
    """values (16 channels) → (4 lanes, 4 floats)."""
    lanes: NDArray[np.float32] = values[_QUADS].astype(np.float32)
    return lanes.tobytes()
