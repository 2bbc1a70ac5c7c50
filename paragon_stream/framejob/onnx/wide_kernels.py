"""Splits wide depthwise kernels of a graph into two halves, for libraries that cannot compute them.

oneDNN never returns from preparing a depthwise convolution in bf16 whose kernel is wider than 14 columns (its
kernels for AVX-512; OpenVINO 2026.4, torch 2.14). Networks with such bands: v5 xl, v6 pro, v8 stream, and
large ones of the feature-space line.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

MOST_COLUMNS = 13
"""Largest number of columns of a kernel that oneDNN computes in bf16. Halves of this size make kernels of up
to 25."""


def split_wide_kernels(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with every wide depthwise convolution as the sum of two, in place.

    Both halves include the middle column, whose weight in the second is 0: then neither needs a padding below
    0.
    """
    graph = model.graph
    held = {each.name: each for each in graph.initializer}
    nodes: list[NodeProto] = []
    for node in graph.node:
        kernel = _wide_kernel(node, held)
        nodes.extend([node] if kernel is None else _halves(node, kernel, graph.initializer))
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _wide_kernel(node: NodeProto, held: dict[str, TensorProto]) -> NDArray[np.generic] | None:
    """The kernel of a node that must be split."""
    if node.op_type != "Conv" or node.input[1] not in held:
        return None
    shape = held[node.input[1]].dims
    if _facts(node).get("group", 1) == 1 or len(shape) != 4 or shape[3] <= MOST_COLUMNS:
        return None
    return numpy_helper.to_array(held[node.input[1]])


def _halves(
    node: NodeProto, kernel: NDArray[np.generic], initializers: MutableSequence[TensorProto]
) -> list[NodeProto]:
    facts = _facts(node)
    top, left, bottom, right = facts.pop("pads")
    facts.pop("kernel_shape", None)
    middle = kernel.shape[3] // 2
    assert left == right == middle, "bands keep the size of the map"
    first, second = kernel[..., : middle + 1].copy(), kernel[..., middle:].copy()
    second[..., 0] = 0
    x, _, *bias = node.input
    names = [f"{node.name}/{half}" for half in ("first", "second")]
    weights = [f"{name}/weight" for name in names]
    initializers.extend(map(numpy_helper.from_array, (first, second), weights))
    made = [
        helper.make_node("Conv", [x, weights[0], *bias], names[:1], pads=(top, left, bottom, 0), **facts),
        helper.make_node("Conv", [x, weights[1]], names[1:], pads=(top, 0, bottom, right), **facts),
        helper.make_node("Add", names, node.output),
    ]
    for each, name in zip(made, (*names, node.name), strict=True):
        each.name = name  # INT8 identifies convolutions by name
    return made


def _facts(node: NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
