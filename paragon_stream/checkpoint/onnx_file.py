"""ONNX files as checkpoints: those that `export onnx` writes keep the state dict's names.

What upstream's state dict holds and no graph needs (taps that alpha switches off, indices) is listed in the
metadata and made again.
"""

from __future__ import annotations

import json
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint.constants import known_constant
from paragon_stream.errors import CheckpointError

STATE = "state"
"""Name of the metadata that say how the state dict is stored."""

SCALE_SUFFIX = "/scale"
"""Suffix of the tensor with an INT8 tensor's steps, one for each output channel."""


class State(TypedDict):
    left_out: dict[str, list[int]]
    """Name → shape of tensors that `known_constant` makes."""
    reshaped: dict[str, list[int]]
    """Name → shape in the state dict, where that is not the shape in the graph."""


def looks_like_onnx(data: bytes) -> bool:
    """Whether the bytes begin as a ModelProto does: field 1, the IR version, of one byte."""
    return len(data) > 2 and data[0] == 8 and 0 < data[1] < 64


def read_onnx(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The state dict and metadata in a file of `export onnx`. Raises CheckpointError."""
    import onnx  # 0.3 s, and most checkpoints are no ONNX files
    from onnx import numpy_helper

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError, which has no public name
        raise CheckpointError(f"it is a damaged ONNX file ({error})") from error
    metadata = {each.key: each.value for each in model.metadata_props}
    if STATE not in metadata and model.producer_name == "paragon-stream":
        raise CheckpointError(
            "it is the graph of a frame job, whose tensors are folded: give the checkpoint that it was made "
            "of, or export the network without --frame-job"
        )
    if STATE not in metadata:
        raise CheckpointError(
            "it is an ONNX file, but paragon-stream did not write it, so its tensors cannot be identified: "
            "give the checkpoint that it was made of"
        )
    try:
        state: State = json.loads(metadata.pop(STATE))
        held = {each.name: each for each in model.graph.initializer}
        tensors: dict[str, NDArray[Any]] = {}
        for name, proto in held.items():
            if proto.name.startswith("constant_") or "/" in name:
                continue
            values = numpy_helper.to_array(proto)
            if f"{name}{SCALE_SUFFIX}" in held:
                steps = numpy_helper.to_array(held[f"{name}{SCALE_SUFFIX}"])
                values = values.astype(np.float32) * steps.reshape(-1, *[1] * (values.ndim - 1))
            tensors[name] = values.reshape(state["reshaped"].get(name, values.shape))
        for name, shape in state["left_out"].items():
            constant = known_constant(name, tuple(shape))
            if constant is None:
                raise CheckpointError(f"tensor {name} is missing")
            tensors[name] = constant
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"it is a damaged ONNX file of paragon-stream ({error})") from error
    return tensors, metadata
