"""Writes ONNX graphs: every method adds one operation and returns the name of its result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from paragon_stream.framejob.conv import Conv

OPSET = 20  # the first with Gelu
_IR_VERSION = 10  # all readers of opset 20 support it


class OnnxGraph:
    """Collects nodes; `model()` checks and returns the graph. All tensors are NCHW unless stated
    otherwise."""

    def __init__(
        self,
        name: str,
        conv_type: type[np.generic] = np.float32,
        *,
        filters_are_convolutions: bool = False,
        keeps_names: bool = False,
    ) -> None:
        """`conv_type`: the type of the network's convolutions; their inputs have to be `narrowed`.
        `keeps_names`: tensors of a state dict are stored under their names there, each by itself."""
        self.filters_are_convolutions = filters_are_convolutions
        self.keeps_names = keeps_names
        self._name = name
        self._conv_type = conv_type
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}
        self._named: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: int, shape: Sequence[int | str]) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def output(self, value: str, name: str, dtype: int, shape: Sequence[int | str]) -> None:
        """Add the output `name`: `value`, cast to `dtype`."""
        self._nodes.append(helper.make_node("Cast", [value], [name], name=f"{name}/cast", to=dtype))
        self._outputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))

    def constant(self, values: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """The name of a constant tensor. Equal constants are stored once."""
        array = np.asarray(values, dtype=dtype)
        content = (array.dtype.str, array.shape, array.tobytes())
        if content not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[content] = numpy_helper.from_array(array, name)
        return self._constants[content].name

    def stored(self, name: str, values: ArrayLike, dtype: type[np.generic] | None = None) -> str:
        """The tensor `name` of a state dict, by default in the convolutions' type."""
        dtype = dtype or self._conv_type
        if not (name and self.keeps_names):
            return self.constant(values, dtype)
        if name not in self._named:
            self._named[name] = numpy_helper.from_array(np.asarray(values, dtype=dtype), name)
        return name

    @property
    def stored_names(self) -> tuple[str, ...]:
        """The names under which tensors of the state dict are stored so far."""
        return tuple(self._named)

    def node(self, kind: str, inputs: Sequence[str], *, label: str = "", **attributes: Any) -> str:
        result = f"{label or kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [result], name=result, **attributes))
        return result

    def sorted_places(self, value: str, count: int) -> str:
        """The places of the `count` integers in `value`, smallest first; they must differ."""
        result = f"TopK_{len(self._nodes)}"
        inputs = [value, self.constant([count], np.int64)]
        outputs = [f"{result}/values", result]
        self._nodes.append(helper.make_node("TopK", inputs, outputs, name=result, axis=0, largest=0))
        return result

    def to_float(self, value: str) -> str:
        return self.node("Cast", [value], to=TensorProto.FLOAT)

    @property
    def conv_type(self) -> type[np.generic]:
        """The type of convolutions."""
        return self._conv_type

    @property
    def is_half(self) -> bool:
        """Whether convolutions are fp16."""
        return self._conv_type is np.float16

    def narrowed(self, value: str) -> str:
        """A float `value` in the type of convolutions."""
        return self.node("Cast", [value], to=TensorProto.FLOAT16) if self.is_half else value

    def widened(self, value: str) -> str:
        """A result of convolutions as float."""
        return self.to_float(value) if self.is_half else value

    def clipped(self, value: str, limit: float) -> str:
        """A value of the convolutions' type, clamped to ±`limit`."""
        low, high = (self.constant(bound, self._conv_type) for bound in (-limit, limit))
        return self.node("Clip", [value, low, high])

    def add(self, a: str, b: str) -> str:
        return self.node("Add", [a, b])

    def add_constant(self, a: str, values: ArrayLike) -> str:
        return self.node("Add", [a, self.constant(values)])

    def scale(self, a: str, values: ArrayLike) -> str:
        return self.node("Mul", [a, self.constant(values)])

    def concat(self, values: Sequence[str], axis: int = 1) -> str:
        return values[0] if len(values) == 1 else self.node("Concat", values, axis=axis)

    def slice(
        self,
        value: str,
        starts: Sequence[int],
        ends: Sequence[int],
        axes: Sequence[int],
        steps: Sequence[int] = (),
    ) -> str:
        indices = [self.constant(each, np.int64) for each in (starts, ends, axes, steps or [1] * len(axes))]
        return self.node("Slice", [value, *indices])

    def channels(self, value: str, start: int, stop: int) -> str:
        return self.slice(value, [start], [stop], [1])

    def pad_edges(self, value: str, rows: tuple[int, int], columns: tuple[int, int]) -> str:
        """Replicate the border samples."""
        amounts = [0, 0, rows[0], columns[0], 0, 0, rows[1], columns[1]]
        return self.node("Pad", [value, self.constant(amounts, np.int64)], mode="edge")

    def pad_with(self, value: str, rows: tuple[int, int], columns: tuple[int, int], filling: float) -> str:
        """Pad with samples of the value `filling`."""
        return self._pad(value, rows, columns, self.constant(filling))

    def pad_zeros(self, value: str, rows: tuple[int, int], columns: tuple[int, int]) -> str:
        """Pad features, which have the convolutions' type, with zeros."""
        return self._pad(value, rows, columns, self.constant(0, self._conv_type))

    def _pad(self, value: str, rows: tuple[int, int], columns: tuple[int, int], filling: str) -> str:
        amounts = [0, 0, rows[0], columns[0], 0, 0, rows[1], columns[1]]
        return self.node("Pad", [value, self.constant(amounts, np.int64), filling], mode="constant")

    def transpose(self, value: str, order: Sequence[int]) -> str:
        return self.node("Transpose", [value], perm=list(order))

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        return self.node("Reshape", [value, self.constant(shape, np.int64)])

    def conv(self, value: str, conv: Conv, label: str = "Conv", *, name: str = "") -> str:
        """`name` is that of the layer in the state dict, if it is stored as it is there."""
        weight, bias = conv.weight, conv.bias
        return self.node(
            "Conv",
            [
                value,
                self.stored(name and f"{name}.weight", weight),
                self.stored(name and f"{name}.bias", bias),
            ],
            label=label,
            kernel_shape=list(weight.shape[2:]),
            pads=list(conv.pads),
            strides=list(conv.stride),
            dilations=[conv.dilation] * 2,
            group=conv.groups,
        )

    def shuffle(self, value: str, block: tuple[int, int], grid: tuple[int, int]) -> str:
        """Cells of `block` samples, held as channels in rows, to one plane."""
        if block == (1, 1):
            return value
        if block[0] == block[1]:
            return self.node("DepthToSpace", [value], blocksize=block[0], mode="CRD")
        rows, columns = grid
        woven = self.transpose(self.reshape(value, [*block, rows, columns]), [2, 0, 3, 1])
        return self.reshape(woven, [1, 1, rows * block[0], columns * block[1]])

    def model(self) -> onnx.ModelProto:
        constants = [*self._named.values(), *self._constants.values()]
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, constants)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="paragon-stream"
        )
