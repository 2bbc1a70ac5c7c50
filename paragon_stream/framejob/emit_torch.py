"""A frame job in torch: the nodes of its ONNX graph, each as the torch operation of the same meaning.

There is one description of a frame job, `emit_onnx`; this reads it, so that no engine drifts from another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn import functional

from paragon_stream.errors import EngineError
from paragon_stream.framejob.emit_onnx import emit_onnx
from paragon_stream.framejob.job import FrameJob

type Operation = Callable[..., Tensor]

_TAIL = "tail"
"""How `emit_onnx` labels the last convolution of the network; what follows it is in fp32."""
_TYPES = {
    TensorProto.UINT8: torch.uint8,
    TensorProto.UINT16: torch.uint16,
    TensorProto.FLOAT: torch.float32,
}

_SIMPLE: dict[str, Operation] = {
    "Add": torch.add,
    "Mul": torch.mul,
    "Round": torch.round,
    "Clip": torch.clamp,
    "Gelu": functional.gelu,
}


def emit_torch(
    job: FrameJob, *, device: torch.device | str = "cpu", body: torch.dtype = torch.float32
) -> TorchFrameJob:
    """`job` on `device`. The network's convolutions compute in `body`; base path, last addition and rounding
    in fp32 whatever it is.

    Raises EngineError for an operation that has no form here.
    """
    return TorchFrameJob(job, torch.device(device), body)


class TorchFrameJob:
    """Call it with tensors by the names and shapes of the graph; gives the outputs by name.

    Intermediate results are dropped as soon as nothing needs them.
    """

    def __init__(self, job: FrameJob, device: torch.device, body: torch.dtype) -> None:
        graph = emit_onnx(job).graph
        arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self._outputs = [each.name for each in graph.output]
        self._constants = {
            name: torch.tensor(array, device=device)
            for name, array in arrays.items()
            if array.dtype.kind == "f"
        }
        self._steps: list[tuple[Operation, tuple[str, ...], str]] = []
        in_body = True
        for node in graph.node:
            if node.op_type == "Conv":
                dtype = body if in_body else torch.float32
                in_body &= not node.name.startswith(_TAIL)
                operation = _conv(node, arrays, device, dtype, torch.float32 if not in_body else dtype)
                values = (node.input[0],)
            else:
                operation = _operation(node, arrays, device)
                values = tuple(name for name in node.input if name in self._constants or name not in arrays)
            self._steps.append((operation, values, node.output[0]))
        self._dropped_after = _last_uses(self._steps, {*self._constants, *self._outputs})

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        known = {**self._constants, **inputs}
        with torch.inference_mode():
            for (operation, values, name), dropped in zip(self._steps, self._dropped_after, strict=True):
                known[name] = operation(*[known[value] for value in values])
                for each in dropped:
                    del known[each]
        return {name: known[name] for name in self._outputs}


def _last_uses(steps: list[tuple[Operation, tuple[str, ...], str]], kept: set[str]) -> list[list[str]]:
    """For every step the values that no later one reads."""
    seen, dropped = set(kept), []
    for _, values, name in reversed(steps):
        dropped.append([each for each in dict.fromkeys((*values, name)) if each not in seen])
        seen.update(values)
    return dropped[::-1]


def _conv(
    node: NodeProto,
    arrays: Mapping[str, NDArray[Any]],
    device: torch.device,
    dtype: torch.dtype,
    result: torch.dtype,
) -> Operation:
    facts = _attributes(node)
    weight, bias = (torch.tensor(arrays[name], device=device, dtype=dtype) for name in node.input[1:])
    top, left, bottom, right = facts["pads"]
    stride, dilation, groups = tuple(facts["strides"]), tuple(facts["dilations"]), facts["group"]
    even = (top, left) == (bottom, right)

    def conv(x: Tensor) -> Tensor:
        x = x.to(dtype)
        if not even:
            x = functional.pad(x, (left, right, top, bottom))
        padding = (top, left) if even else 0
        return functional.conv2d(x, weight, bias, stride, padding, dilation, groups).to(result)

    return conv


def _operation(node: NodeProto, arrays: Mapping[str, NDArray[Any]], device: torch.device) -> Operation:
    """What `node` does, on the tensors that it reads; its integer inputs are constants, bound here."""
    facts = _attributes(node)
    integers = [
        [int(n) for n in np.atleast_1d(arrays[name])]
        for name in node.input
        if name in arrays and arrays[name].dtype.kind == "i"
    ]
    match node.op_type:
        case "Cast":
            return lambda x: x.to(_TYPES[facts["to"]])
        case "Add" | "Mul" | "Round" | "Clip" | "Gelu":
            return _SIMPLE[node.op_type]
        case "Concat":
            return lambda *parts: torch.cat(parts, facts["axis"])
        case "Expand":
            return lambda x: x.expand(integers[0])
        case "Reshape":
            return lambda x: x.reshape(integers[0])
        case "Transpose":
            return lambda x: x.permute(facts["perm"])
        case "DepthToSpace" if facts["mode"] == b"CRD":
            return lambda x: functional.pixel_shuffle(x, facts["blocksize"])
        case "Pad" if facts["mode"] == b"edge":
            *_, top, left, _, _, bottom, right = integers[0]
            return lambda x: functional.pad(x, (left, right, top, bottom), "replicate")
        case "Pad" if facts["mode"] == b"constant":
            *_, top, left, _, _, bottom, right = integers[0]
            filling = float(arrays[node.input[2]])
            return lambda x, _: functional.pad(x, (left, right, top, bottom), value=filling)
        case "Gather":
            places = torch.tensor(integers[0], device=device)
            return lambda x: x.index_select(facts["axis"], places)
        case "Slice":
            parts = {axis: slice(start, end, step) for start, end, axis, step in zip(*integers, strict=True)}
            index = tuple(parts.get(axis, slice(None)) for axis in range(4))
            return lambda x: x[index]
    raise EngineError(f"torch cannot run {node.op_type} of the frame job")


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
