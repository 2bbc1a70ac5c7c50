"""Reads the tensors of a .pth/.pt file without torch, and without running code of the file.

A modern torch file is a ZIP archive: `NAME/data.pkl` describes the objects, `NAME/data/KEY` are the raw
storages. A file from before torch 1.6 is pickles in a row: a magic number, a protocol number, facts about the
machine, the objects, the keys of the storages; then the storages, each with its length before it. The
unpicklers below accept tensors, storages and ordered dicts; any other class is refused by name.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import CheckpointError

_MAX_BYTES = 4 << 30
_BFLOAT16 = "bfloat16"

_STORAGE_TYPES: dict[str, str] = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


LEGACY_START = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""First bytes of files from before torch 1.6: their magic number, pickled."""


def widen_bfloat16(raw: bytes) -> NDArray[np.float32]:
    """bfloat16 words as float32: the upper half of the same bit pattern."""
    words = np.frombuffer(raw, "<u2").astype(np.uint32) << np.uint32(16)
    return words.view(np.float32)


def read_torch_file(data: bytes) -> Any:
    """The object saved in `data`, with tensors as numpy arrays.

    Raises CheckpointError if it is no torch archive, is cut off, or holds anything but tensors, containers,
    numbers and strings.
    """
    try:
        if data.startswith(LEGACY_START):
            return _read_legacy(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _Unpickler(archive).load()
    except zipfile.BadZipFile:
        raise CheckpointError("it is not a torch archive") from None
    except CheckpointError:
        raise
    except Exception as error:  # a hostile or damaged pickle can raise anything
        raise CheckpointError(f"it is damaged ({type(error).__name__}: {error})") from error


def _read_legacy(data: bytes) -> Any:
    stream = io.BytesIO(data)
    for _ in ("magic number", "protocol", "machine"):
        _LegacyUnpickler(stream, len(data)).load()
    objects = _LegacyUnpickler(stream, len(data))
    content = objects.load()
    for key in _LegacyUnpickler(stream, len(data)).load():
        storage = objects.storages[key]
        count, raw = int.from_bytes(stream.read(8), "little"), stream.read(storage.nbytes)
        if count != storage.size or len(raw) != storage.nbytes:
            raise CheckpointError(f"storage {key} is cut off")
        storage.view(np.uint8)[:] = np.frombuffer(raw, np.uint8)
    return content


class _RestrictedUnpickler(pickle.Unpickler):
    """Accepts only the classes of a state dict, by name."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGE_TYPES:
            return _STORAGE_TYPES[name]
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "Size"): tuple,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        }
        try:
            return known[module, name]
        except KeyError:
            raise CheckpointError(
                f"it holds a {module}.{name}, which is not loaded for safety: save only the state dict"
            ) from None


class _LegacyUnpickler(_RestrictedUnpickler):
    """Objects whose storages come later in the file: until then they are zeros."""

    def __init__(self, stream: io.BytesIO, most: int) -> None:
        super().__init__(stream)
        self.storages: dict[str, NDArray[Any]] = {}
        self._left = most

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        tag, kind, key, _device, count, view = pid
        if tag != "storage" or not isinstance(kind, str) or view is not None or kind == _BFLOAT16:
            raise CheckpointError("it holds an unknown kind of storage; save it again by a newer torch")
        if key not in self.storages:
            self._left -= count * np.dtype(kind).itemsize
            if count < 0 or self._left < 0:
                raise CheckpointError(f"storage {key} is larger than the file")
            self.storages[key] = np.zeros(count, kind)
        return self.storages[key]


class _Unpickler(_RestrictedUnpickler):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError("it is a ZIP archive but was not written by torch.save")
        super().__init__(io.BytesIO(_stored(archive, pickles[0])))
        self._archive = archive
        self._root = pickles[0].removesuffix("data.pkl")
        self._storages: dict[str, NDArray[Any]] = {}
        if f"{self._root}byteorder" in archive.namelist():
            order = _stored(archive, f"{self._root}byteorder")
            if order != b"little":
                raise CheckpointError("it was written on a big-endian machine")

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        tag, kind, key, _device, count = pid
        if tag != "storage" or not isinstance(kind, str):
            raise CheckpointError("it holds an unknown kind of storage")
        if key not in self._storages:
            raw = _stored(self._archive, f"{self._root}data/{key}")
            array = widen_bfloat16(raw) if kind == _BFLOAT16 else np.frombuffer(raw, kind)
            if array.size < count:
                raise CheckpointError(f"storage {key} is cut off")
            self._storages[key] = array
        return self._storages[key]


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """One member's bytes; torch never compresses, so a compressed member is not torch's (or a ZIP bomb)."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > _MAX_BYTES:
        raise CheckpointError("it is a ZIP archive but was not written by torch.save")
    return archive.read(info)


def _rebuild_tensor(
    storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> NDArray[Any]:
    """A view of `storage`, checked to lie inside it."""
    if len(size) != len(stride) or min((offset, *size, *stride)) < 0:
        raise CheckpointError("a tensor has an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= storage.size:
        raise CheckpointError("a tensor reaches beyond its storage")
    strides = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)


def _rebuild_parameter(data: NDArray[Any], *_: Any) -> NDArray[Any]:
    return data
