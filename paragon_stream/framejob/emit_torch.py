"""A frame job in torch: the nodes of its ONNX graph, each as the torch operation of the same meaning.

`emit_onnx` is the only description of a frame job. This module reads its graph, so that all engines agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, fx, nn
from torch.nn import functional

from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.onnx.emit import GraphTypes, emit_onnx
from paragon_stream.framejob.onnx.windows import ATTENTION

type Operation = Callable[..., Tensor]

_SIMPLE: dict[str, Operation] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "Mul": torch.mul,
    "Div": torch.div,
    "Exp": torch.exp,
    "MatMul": torch.matmul,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Sqrt": torch.sqrt,
    "Sigmoid": torch.sigmoid,
    "Round": torch.round,
    "Clip": torch.clamp,
    "Gelu": functional.gelu,
    "HardSwish": functional.hardswish,
    "Relu": torch.relu,
    "Softplus": functional.softplus,
    "Sub": torch.sub,
    "Tanh": torch.tanh,
}


def emit_torch(
    job: FrameJob,
    *,
    device: torch.device | str = "cpu",
    body: torch.dtype = torch.float32,
    guard: bool = False,
) -> fx.GraphModule:
    """`job` as a module on `device`. The network's body computes in `body`; base path, last addition and
    rounding are always fp32.

    Call it with the tensors of the graph's inputs, in its order (planes, then the strength of conditioned
    weights); it returns a tuple of the outputs (planes, then the guard, see `GraphTypes`). Its control flow
    does not depend on the values of tensors, so it can be compiled and captured. Intermediate results are
    freed after their last use.

    Raises EngineError for an operation that is not supported here.
    """
    types = GraphTypes(half=body is not torch.float32, guard=guard)
    return _Translation(emit_onnx(job, types=types).graph, body).module.to(device)


class _Translation:
    """Translates one ONNX graph to a torch module, whose buffers are the graph's constants."""

    def __init__(self, onnx_graph: GraphProto, body: torch.dtype) -> None:
        self._arrays = {each.name: numpy_helper.to_array(each) for each in onnx_graph.initializer}
        self._types = {
            TensorProto.UINT8: torch.uint8,
            TensorProto.UINT16: torch.uint16,
            TensorProto.FLOAT: torch.float32,
            TensorProto.FLOAT16: body,
        }
        self._body = body
        self._graph = fx.Graph()
        self._tracer = fx.proxy.GraphAppendingTracer(self._graph)
        self._root = nn.Module()
        self._values: dict[str, Any] = {}
        self._attended: dict[str, tuple[Any, ...]] = {}
        for each in onnx_graph.input:
            self._values[each.name] = self._proxy(self._graph.placeholder(each.name))
        for node in onnx_graph.node:
            if node.name.startswith(f"{ATTENTION}_"):
                self._attend(node)
            else:
                operation = self._operation(node)
                self._values[node.output[-1]] = operation(*self._read(node))
        self._graph.output(tuple(self._values[each.name].node for each in onnx_graph.output))
        self.module = fx.GraphModule(self._root, self._graph)

    def _proxy(self, node: fx.Node) -> Any:
        return fx.Proxy(node, self._tracer)

    def _read(self, node: NodeProto) -> list[Any]:
        """The tensors that `node` reads. Its integers are constants, bound in `_operation`."""
        names = (name for name in node.input if name)
        return [self._value(n) for n in names if n not in self._arrays or self._arrays[n].dtype.kind == "f"]

    def _value(self, name: str) -> Any:
        if name not in self._values:
            array = self._arrays[name]
            dtype = self._body if array.dtype == np.float16 else torch.float32
            self._root.register_buffer(name, torch.tensor(array, dtype=dtype))
            self._values[name] = self._proxy(self._graph.get_attr(name))
        return self._values[name]

    def _held(self, node: NodeProto, integers: list[int]) -> Any:
        """The constant `integers` of `node` as a tensor."""
        name = f"integers_{node.name}"
        self._root.register_buffer(name, torch.tensor(integers))
        return self._proxy(self._graph.get_attr(name))

    def _attend(self, node: NodeProto) -> None:
        """Product, softmax and product become one torch operation, which does not store the scores."""
        first, second = node.input[0], node.input[-1]
        result = node.output[0]
        if node.op_type == "Softmax":
            self._attended[result] = self._attended[first]
        elif node.op_type == "Add":
            self._attended[result] = *self._attended[first], self._value(second)
        elif first in self._attended:
            query, key, *masks = self._attended[first]
            key = key.transpose(-1, -2)
            self._values[result] = functional.scaled_dot_product_attention(
                query, key, self._values[second], masks[0] if masks else None, scale=1.0
            )
        else:
            self._attended[result] = self._values[first], self._values[second]

    def _operation(self, node: NodeProto) -> Operation:
        """The operation of `node`, as a function of its input tensors."""
        facts = _attributes(node)
        integers = _integers(node, self._arrays)
        match node.op_type:
            case "Conv":
                return _conv(facts)
            case "Cast":
                dtype = self._types[facts["to"]]
                return lambda x: x.to(dtype)
            case "Concat":
                return lambda *parts: torch.cat(parts, facts["axis"])
            case "Expand":
                return lambda x: x.expand(integers[0])
            case "Reshape":
                return lambda x: x.reshape(integers[0])
            case "Transpose":
                return lambda x: x.permute(facts["perm"])
            case "LeakyRelu":
                return lambda x: functional.leaky_relu(x, facts["alpha"])
            case "Softmax":
                return lambda x: torch.softmax(x, facts["axis"])
            case "ReduceMean":
                return lambda x: x.mean(integers[0], keepdim=True)
            case "ReduceL2":
                return lambda x: torch.linalg.vector_norm(x, dim=integers[0], keepdim=True)
            case "ArgMax":
                return lambda x: x.argmax(facts["axis"])
            case "TopK":  # all integers, smallest first: see `OnnxGraph.sorted_places`
                return lambda x: x.argsort()
            case "Add" | "Mul" if integers:
                held = self._held(node, integers[0])
                return lambda x: _SIMPLE[node.op_type](x, held)
            case "AveragePool":
                return lambda x: functional.avg_pool2d(x, facts["kernel_shape"])
            case "Resize" if facts["mode"] == b"nearest":
                return lambda x: functional.interpolate(x, integers[0][2:], mode="nearest")
            case "Resize":
                return lambda x: functional.interpolate(
                    x, integers[0][2:], mode="bilinear", align_corners=False
                )
            case "ReduceSum":
                return lambda x: x.sum()
            case "DepthToSpace" if facts["mode"] == b"CRD":
                return lambda x: functional.pixel_shuffle(x, facts["blocksize"])
            case "Pad" if facts["mode"] == b"edge":
                *_, top, left, _, _, bottom, right = integers[0]
                return lambda x: functional.pad(x, (left, right, top, bottom), "replicate")
            case "Pad" if facts["mode"] == b"constant":
                *_, top, left, _, _, bottom, right = integers[0]
                filling = float(self._arrays[node.input[2]])
                return lambda x, _: functional.pad(x, (left, right, top, bottom), value=filling)
            case "Gather" if integers:
                held = self._held(node, integers[0])
                return lambda x: x.index_select(facts["axis"], held)
            case "Gather":
                return lambda x, places: x.index_select(facts["axis"], places)
            case "Slice":
                starts, ends, axes, steps = integers
                parts = {
                    a: slice(start, end, step)
                    for a, start, end, step in zip(axes, starts, ends, steps, strict=True)
                }
                index = tuple(parts.get(axis, slice(None)) for axis in range(4))
                return lambda x: x[index]
            case kind if kind in _SIMPLE:
                return _SIMPLE[kind]
        raise EngineError(f"torch cannot run {node.op_type} of the frame job")


def _conv(facts: Mapping[str, Any]) -> Operation:
    top, left, bottom, right = facts.get("pads", (0, 0, 0, 0))
    stride, dilation = tuple(facts.get("strides", (1, 1))), tuple(facts.get("dilations", (1, 1)))
    groups = facts.get("group", 1)
    even = (top, left) == (bottom, right)

    def conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if not even:
            x = functional.pad(x, (left, right, top, bottom))
        return functional.conv2d(x, weight, bias, stride, (top, left) if even else 0, dilation, groups)

    return conv


def _integers(node: NodeProto, arrays: Mapping[str, NDArray[Any]]) -> list[list[int]]:
    return [
        [int(n) for n in np.atleast_1d(arrays[name])]
        for name in node.input
        if name in arrays and arrays[name].dtype.kind == "i"
    ]


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
