"""The folded arrays in the order in which the WGSL texts read them, four by four, in fp32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.components import BaseTerm
from paragon_stream.framejob.conv import Conv, Doubles, double
from paragon_stream.framejob.fold import RealtimeBlock, StreamBlock
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.taps import FilterBank

CHUNK = 8
"""Number of widened channels that a block has in workgroup memory at a time."""


def first_weights(job: FrameJob, unit: float) -> bytes:
    """conv_in: bias, slope over the strength, and per tap and component the weights, all by four features.

    `unit` is the divisor of centred codes in the text.
    """
    weight, components = double(job.first.weight), len(job.inputs)
    slope = weight[:, components, 1, 1] if job.spec.conditioned else np.zeros(job.spec.features)
    taps = weight[:, :components].transpose(2, 3, 1, 0) * unit
    return _bytes(job.first.bias, slope, taps)


def block_weights(block: RealtimeBlock) -> bytes:
    """The last bias, and for every CHUNK of widened channels: biases and weights of expand, of depthwise, and
    the matrices of project."""
    expand, project = (double(each.weight[:, :, 0, 0]) for each in (block.expand, block.project))
    parts: list[NDArray[np.floating]] = [block.project.bias]
    for first in range(0, len(expand), CHUNK):
        for c in range(first, first + CHUNK, 4):
            rows = slice(c, c + 4)
            parts += [
                block.expand.bias[rows],
                *(matrix(expand[rows, k : k + 4]) for k in range(0, expand.shape[1], 4)),
                block.depthwise.bias[rows],
                _depthwise(block.depthwise, rows),
                *(matrix(project[k : k + 4, rows]) for k in range(0, len(project), 4)),
            ]
    return _bytes(*parts)


def mix_weights(block: StreamBlock) -> bytes:
    """The last bias, and for every four features: biases and taps of near and far, their matrices."""
    near, far = (double(each.weight[:, :, 0, 0]) for each in (block.from_near, block.from_far))
    parts: list[NDArray[np.floating]] = [block.from_near.bias + block.from_far.bias]
    for c in range(0, near.shape[1], 4):
        rows = slice(c, c + 4)
        parts += [
            *(each.bias[rows] for each in (block.near, block.far)),
            *(_depthwise(each, rows) for each in (block.near, block.far)),
            *(matrix(each[k : k + 4, rows]) for each in (near, far) for k in range(0, len(near), 4)),
        ]
    return _bytes(*parts)


def gate_weights(block: StreamBlock) -> bytes:
    """The last bias, and for every four widened channels: biases and matrices of both halves of expand,
    biases and taps of both of the gate, the matrices of project."""
    project = double(block.project.weight[:, :, 0, 0])
    expand = [double(each.weight[:, :, 0, 0]) for each in block.expand]
    parts: list[NDArray[np.floating]] = [block.project.bias]
    for c in range(0, project.shape[1], 4):
        rows = slice(c, c + 4)
        parts += [
            *(each.bias[rows] for each in block.expand),
            *(matrix(each[rows, k : k + 4]) for each in expand for k in range(0, each.shape[1], 4)),
            *(each.bias[rows] for each in block.gate),
            *(_depthwise(each, rows) for each in block.gate),
            *(matrix(project[k : k + 4, rows]) for k in range(0, len(project), 4)),
        ]
    return _bytes(*parts)


def _depthwise(conv: Conv, channels: slice) -> Doubles:
    """The nine taps of four channels."""
    return double(conv.weight[channels, 0]).transpose(1, 2, 0)


def conv_weights(conv: Conv) -> bytes:
    """The bias, and for every group of 16 inputs, tap, four inputs and four outputs a matrix."""
    outputs, inputs, rows, columns = conv.weight.shape
    grouped = double(conv.weight).reshape(outputs // 4, 4, inputs // 16, 4, 4, rows, columns)
    # Outputs' four last: a matrix lies column by column.
    return _bytes(conv.bias, grouped.transpose(2, 5, 6, 3, 0, 4, 1))


def matrix(weights: Doubles) -> Doubles:
    """weights (4 outputs, 4 inputs) as WGSL lays a mat4x4 out."""
    return weights.T


def base_table(term: BaseTerm) -> tuple[NDArray[np.float32], tuple[int, int], tuple[int, int]]:
    """The term's filters as one: weights (phases down, across, taps down, across), with the gain of a single
    plane; and, both for (down, across), the first tap's offset and the step from cell to cell."""
    rows, first_row, step_y = _joint([rows for _, rows, _ in term.filters])
    columns, first_column, step_x = _joint([columns for *_, columns in term.filters])
    total = sum(
        weight * np.einsum("ak,bl->abkl", down, across)
        for (weight, *_), down, across in zip(term.filters, rows, columns, strict=True)
    )
    gain = term.mix[0][1] if len(term.mix) == 1 else 1.0
    table: NDArray[np.float32] = (gain * np.asarray(total)).astype(np.float32)
    return table, (first_row, first_column), (step_y, step_x)


def _joint(banks: list[FilterBank]) -> tuple[list[Doubles], int, int]:
    """Every bank as (phases, taps), with the same taps; the first one's offset; the step."""
    first, last = min(bank.reach[0] for bank in banks), max(bank.reach[1] for bank in banks)
    tables = [
        np.array([[float(taps.get(k, 0)) for k in range(first, last + 1)] for taps in bank.phases])
        for bank in banks
    ]
    return tables, first, banks[0].step


def _bytes(*arrays: NDArray[np.floating]) -> bytes:
    return b"".join(np.ascontiguousarray(each, np.float32).tobytes() for each in arrays)
