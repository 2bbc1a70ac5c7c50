"""Files to tensors: safetensors, torch archives and our ONNX files, unwrapped, with plain float32 values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from paragon_stream.checkpoint.onnx_file import looks_like_onnx, read_onnx
from paragon_stream.checkpoint.torch_file import LEGACY_START, read_torch_file, widen_bfloat16
from paragon_stream.errors import CheckpointError

type Tensors = dict[str, NDArray[np.float32]]

_WRAPPERS = ("params_ema", "params", "state_dict", "model", "net")
_DROPPED_COMPONENTS = ("module", "_orig_mod")

# An early spelling of the release line; a pure renaming. The other legacy renames of upstream's scripts
# (conv_fuse, detail_upsampler, net.0 …) make tensors of v6–v8 load into another network and are not done.
_RENAMES = {
    f"base.{part}.conv_{axis}.weight": f"base.{part}.{axis}.weight"
    for part in ("sharp", "blur")
    for axis in ("h", "v")
}

_SAFETENSORS_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
    "BOOL": "?",
}


def read_checkpoint(data: bytes) -> tuple[Tensors, dict[str, str]]:
    """Tensors by name and the metadata of a checkpoint file's bytes.

    Wrappers (`params_ema`, `params`, `state_dict`, `model`, `net`) are opened, the path components `module`
    and `_orig_mod` dropped. Metadata exists in safetensors and ONNX only. Messages of the CheckpointError
    raised here start with "it": the caller puts the file's name in front.
    """
    if data[:2] == b"PK" or data.startswith(LEGACY_START):
        return _plain(_unwrap(read_torch_file(data))), {}
    if data[8:9] == b"{":
        raw, metadata = _read_safetensors(data)
        return _plain(raw), metadata
    if looks_like_onnx(data):
        raw, metadata = read_onnx(data)
        return _plain(raw), metadata
    raise CheckpointError("it is neither a safetensors file, nor a torch archive, nor an ONNX file")


def _read_safetensors(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    try:
        entries = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except Exception as error:  # SafetensorError and, for hostile headers, ValueError
        raise CheckpointError(f"it is a damaged safetensors file ({error})") from error
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    tensors: dict[str, NDArray[Any]] = {}
    for name, entry in entries:
        kind, raw = entry["dtype"], bytes(entry["data"])
        if kind == "BF16":
            values: NDArray[Any] = widen_bfloat16(raw)
        elif kind in _SAFETENSORS_TYPES:
            values = np.frombuffer(raw, _SAFETENSORS_TYPES[kind])
        else:
            raise CheckpointError(f"it holds tensor {name} in the unknown type {kind}")
        tensors[name] = values.reshape(entry["shape"])
    return tensors, metadata


def _unwrap(content: Any) -> dict[str, NDArray[Any]]:
    """The innermost dict of tensors."""
    for _ in range(4):
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping):
        raise CheckpointError("it contains no state dict")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise CheckpointError(f"it holds {name!r}, which is not a tensor: save only the state dict")
    return dict(content)


def _plain(raw: Mapping[str, NDArray[Any]]) -> Tensors:
    if not raw:
        raise CheckpointError("it contains no tensors")
    tensors: Tensors = {}
    for name, value in raw.items():
        plain = ".".join(part for part in name.split(".") if part not in _DROPPED_COMPONENTS)
        plain = _RENAMES.get(plain, plain)
        if plain in tensors:
            raise CheckpointError(f"it holds tensor {plain} twice")
        tensors[plain] = np.ascontiguousarray(value, dtype=np.float32).reshape(value.shape)
        if not np.isfinite(tensors[plain]).all():
            raise CheckpointError(f"tensor {plain} holds NaN or infinity")
    return tensors
