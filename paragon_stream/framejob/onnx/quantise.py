"""INT8 in ONNX graphs: inputs of convolutions go through QuantizeLinear and DequantizeLinear.

A convolution is identified by its number among those of the network, so a calibration with the graph of one
size or precision is valid for another. Weights are symmetric with a step per output channel; activations have
one step and zero point per tensor. Results stay in floating point: rounding them too would double the noise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from paragon_stream.checkpoint.onnx_file import SCALE_SUFFIX

LEVELS = 127
"""Steps of a weight to each side of zero."""

MOST = 255
"""Largest code of an activation; the smallest is 0."""

_STRIDE = 2
"""Distance between the rows, and columns, of a map that calibration samples."""

_FIXED = re.compile(r"sharp|blur|resample|magic|filter|sharpen|lift")
"""Filters of the base path are not quantised."""


type Range = tuple[float, float]
"""The range that is not clipped; it includes 0."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The range of every convolution's input, and the convolutions that are INT8."""

    ranges: tuple[Range, ...]
    chosen: frozenset[int]


def convolutions(model: onnx.ModelProto) -> list[NodeProto]:
    """The convolutions of the network, in order."""
    return [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and not _FIXED.search(f"{node.input[1]} {node.name}")
    ]


def sampled(model: onnx.ModelProto, numbers: range) -> tuple[onnx.ModelProto, list[str]]:
    """`model` with further outputs: samples of the inputs of its convolutions `numbers`."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    indices = [
        numpy_helper.from_array(np.array(each, np.int64), f"sample/{name}")
        for name, each in (
            ("starts", [0, 0]),
            ("ends", [1 << 30] * 2),
            ("axes", [2, 3]),
            ("steps", [_STRIDE] * 2),
        )
    ]
    graph.initializer.extend(indices)
    names = [each.name for each in indices]
    taken: dict[str, str] = {}

    def sample(tensor: str) -> str:
        if tensor not in taken:
            taken[tensor] = f"sample/{len(taken)}"
            graph.node.append(helper.make_node("Slice", [tensor, *names], [taken[tensor]]))
            graph.output.append(helper.make_tensor_value_info(taken[tensor], TensorProto.FLOAT, None))
        return taken[tensor]

    wanted = convolutions(model)[numbers.start : numbers.stop]
    return changed, [sample(node.input[0]) for node in wanted]


def best_range(samples: Sequence[NDArray[np.float32]]) -> Range:
    """The range to clip to so that the squared error of rounding `samples` is least."""
    values = np.concatenate([each.ravel() for each in samples])
    low, high = min(0.0, float(values.min(initial=0))), max(0.0, float(values.max(initial=0)))
    best, least = (low, high or 1.0), np.inf
    for part in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
        tried = (low * part, high * part if high or low else 1.0)
        step, zero = steps_of(tried)
        codes = np.clip(np.rint(values / step) + zero, 0, MOST)
        error = float(np.square((codes - zero) * step - values).mean())
        if error < least:
            best, least = tried, error
    return best


def steps_of(range_: Range) -> tuple[float, int]:
    """The step, and the code of 0."""
    step = (range_[1] - range_[0]) / MOST
    return step, round(-range_[0] / step)


def quantised(model: onnx.ModelProto, calibration: Calibration, chosen: Iterable[int]) -> onnx.ModelProto:
    """`model` with the convolutions numbered in `chosen` in INT8."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    numbers = {node.name: number for number, node in enumerate(convolutions(model))}
    wanted = set(chosen)
    initializers = {each.name: each for each in changed.graph.initializer}
    nodes: list[NodeProto] = []
    constants: dict[str, TensorProto] = {}
    known: dict[str, str] = {}

    def constant(name: str, values: NDArray[np.generic]) -> str:
        constants.setdefault(name, numpy_helper.from_array(np.asarray(values), name))
        return name

    def rounded(tensor: str, range_: Range, kind: type[np.generic]) -> str:
        """`tensor` through 8 bits and back."""
        if tensor not in known:
            step, zero = steps_of(range_)
            held = [
                constant(f"{tensor}/step", np.array(step, kind)),
                constant(f"{tensor}/zero", np.array(zero, np.uint8)),
            ]
            small, known[tensor] = f"{tensor}/int8", f"{tensor}/rounded"
            nodes.append(helper.make_node("QuantizeLinear", [tensor, *held], [small], name=small))
            nodes.append(
                helper.make_node("DequantizeLinear", [small, *held], [known[tensor]], name=known[tensor])
            )
        return known[tensor]

    used = set()
    for node in changed.graph.node:
        number = numbers.get(node.name, -1)
        weight = initializers.get(node.input[1]) if number in wanted else None
        if weight is None:
            nodes.append(node)
            continue
        values = numpy_helper.to_array(weight)
        kind = values.dtype.type
        wide = values.astype(np.float32)
        peaks = np.abs(wide).max(axis=tuple(range(1, wide.ndim)))
        steps = (np.where(peaks > 0, peaks, 1) / LEVELS).astype(np.float32)
        small = np.rint(wide / steps.reshape(-1, *[1] * (wide.ndim - 1))).astype(np.int8)
        name = node.input[1]
        used.add(name)
        constants[name] = numpy_helper.from_array(small, name)
        scale = constant(f"{name}{SCALE_SUFFIX}", steps.astype(kind))
        weights = f"{name}/dequantised"
        if not any(each.output[0] == weights for each in nodes):
            nodes.append(helper.make_node("DequantizeLinear", [name, scale], [weights], name=weights, axis=0))
        node.input[0] = rounded(node.input[0], calibration.ranges[number], kind)
        node.input[1] = weights
        nodes.append(node)
    kept = [each for name, each in initializers.items() if name not in used]
    del changed.graph.node[:], changed.graph.initializer[:]
    changed.graph.node.extend(nodes)
    changed.graph.initializer.extend([*kept, *constants.values()])
    return changed
