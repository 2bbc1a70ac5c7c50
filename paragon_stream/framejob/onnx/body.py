"""The steps of a network's body as ONNX nodes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from paragon_stream.checkpoint.spec import HEADS
from paragon_stream.framejob.fold import Block, RealtimeBlock, StreamBlock
from paragon_stream.framejob.fold_attention import (
    NORM_EPSILON,
    ChannelGain,
    TokenAttention,
    WindowAttention,
)
from paragon_stream.framejob.onnx.graph import OnnxGraph
from paragon_stream.framejob.onnx.windows import attend


class Region(NamedTuple):
    """Position of the picture on the padded grid of rows and columns `grid`."""

    top: int
    left: int
    height: int
    width: int
    grid: tuple[int, int]


def add_step(graph: OnnxGraph, x: str, step: Block, region: Region, *, windows: int) -> str:
    """`x` [1, features, rows, columns] plus the result of `step`; see `GraphTypes.windows`."""
    match step:
        case RealtimeBlock():
            wide = graph.conv(_norm(graph, x) if step.on_norm else x, step.expand, "expand")
            wide = graph.node("Gelu", [graph.conv(wide, step.depthwise, "depthwise")])
            branch = graph.conv(wide, step.project, "project")
        case StreamBlock():
            branch = _gated(graph, x, step)
        case WindowAttention():
            branch = _window_attention(graph, _norm(graph, x), step, region.grid, windows)
        case ChannelGain():
            branch = graph.node("Mul", [x, _channel_gain(graph, x, step, region)])
        case TokenAttention():
            scores = graph.conv(_norm(graph, x), step.scores, "scores")
            branch = graph.conv(graph.node("Softmax", [scores], axis=1), step.read, "read")
    return graph.add(x, branch)


def _gated(graph: OnnxGraph, x: str, block: StreamBlock) -> str:
    near = graph.conv(graph.conv(x, block.near, "near"), block.from_near, "from_near")
    far = graph.conv(graph.conv(x, block.far, "far"), block.from_far, "from_far")
    seen = graph.add(near, far)
    gated = [
        graph.conv(graph.conv(seen, expand, "expand"), gate, "gate")
        for expand, gate in zip(block.expand, block.gate, strict=True)
    ]
    product = graph.node("Mul", gated)
    if math.isfinite(block.limit):
        product = graph.clipped(product, block.limit)
    return graph.conv(product, block.project, "project")


def _norm(graph: OnnxGraph, x: str) -> str:
    """Each pixel's features over their root mean square, which is taken in fp32."""
    wide = graph.to_float(x)
    mean = graph.node("ReduceMean", [graph.node("Mul", [wide, wide]), graph.constant([1], np.int64)])
    root = graph.node("Sqrt", [graph.add_constant(mean, NORM_EPSILON)])
    return graph.narrowed(graph.node("Div", [wide, root]))


def _channel_gain(graph: OnnxGraph, x: str, step: ChannelGain, region: Region) -> str:
    """Factors [1, features, 1, 1]."""
    bottom, right = region.top + region.height, region.left + region.width
    picture = graph.slice(x, [region.top, region.left], [bottom, right], [2, 3])
    mean = graph.node("ReduceMean", [graph.to_float(picture), graph.constant([2, 3], np.int64)])
    squeezed = graph.node("Gelu", [graph.conv(graph.narrowed(mean), step.squeeze, "squeeze")])
    factors = graph.node("Sigmoid", [graph.conv(squeezed, step.excite, "excite")])
    gain = graph.constant(step.gain[:, None, None], graph.conv_type)
    return graph.node("Mul", [factors, gain])


def _window_attention(
    graph: OnnxGraph, x: str, step: WindowAttention, grid: tuple[int, int], windows: int
) -> str:
    """The result of window attention; zeros outside shifted windows."""
    w, shift = step.window, step.window // 2 if step.shifted else 0
    if shift:
        x = graph.slice(x, [shift, shift], [side - (w - shift) for side in grid], [2, 3])
    rows, columns = ((side - (w if shift else 0)) // w for side in grid)
    features = step.project.weight.shape[0]
    channels = features // HEADS
    qkv = graph.reshape(graph.conv(x, step.qkv, "qkv"), [3 * HEADS, channels, rows, w, columns, w])
    tokens = graph.reshape(
        graph.transpose(qkv, [2, 4, 0, 3, 5, 1]), [rows * columns, 3 * HEADS, w * w, channels]
    )
    some = windows or rows * columns
    seen = graph.concat(
        [_attend(graph, tokens, first, first + some) for first in range(0, rows * columns, some)], 0
    )
    map = graph.transpose(graph.reshape(seen, [rows, columns, HEADS, w, w, channels]), [2, 5, 0, 3, 1, 4])
    mixed = graph.conv(graph.reshape(map, [1, features, rows * w, columns * w]), step.project, "project")
    return graph.pad_zeros(mixed, (shift, w - shift), (shift, w - shift)) if shift else mixed


def _attend(graph: OnnxGraph, tokens: str, first: int, end: int) -> str:
    """Windows `first` to `end` of queries, keys and values [windows, 3 · HEADS, pixels, channels]."""
    part = graph.slice(tokens, [first], [end], [0])
    query, key, value = (graph.channels(part, HEADS * n, HEADS * (n + 1)) for n in range(3))
    return attend(graph, query, key, value)
