"""A plane of device memory as a DLPack tensor, from which FFmpeg (through PyAV) makes frames.

The struct is DLPack's `DLManagedTensor` (dlpack.h, version 0.8): the consumer of the tensor calls its deleter
when it no longer needs the memory, from any thread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from paragon_stream.device.interface import DevicePlane

_CUDA = 2  # kDLCUDA
_UNSIGNED = 1  # kDLUInt


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("dimensions", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)

_lent: dict[int, tuple[object, Callable[[], None]]] = {}
"""Tensors in use by consumers: address → the objects to keep alive, and the function to call on release."""


def _given_back(address: int) -> None:
    _, returned = _lent.pop(address)
    returned()


_deleter = _Deleter(_given_back)


class DeviceTensor:
    """`plane`, on cuda:`ordinal`, as rows of samples of `sample_bytes` each, for one consumer.

    `given_back` is called when the consumer releases it.
    """

    def __init__(
        self, plane: DevicePlane, *, ordinal: int, sample_bytes: int, given_back: Callable[[], None]
    ) -> None:
        self._shape = (ctypes.c_int64 * 2)(plane.rows, plane.row_bytes // sample_bytes)
        self._strides = (ctypes.c_int64 * 2)(plane.pitch // sample_bytes, 1)
        tensor = _Tensor(
            data=plane.pointer,
            device_type=_CUDA,
            device_id=ordinal,
            dimensions=2,
            code=_UNSIGNED,
            bits=8 * sample_bytes,
            lanes=1,
            shape=self._shape,
            strides=self._strides,
        )
        self._managed = _Managed(tensor=tensor, deleter=ctypes.cast(_deleter, ctypes.c_void_p))
        self._given_back = given_back

    def __dlpack__(self, stream: int | None = None) -> object:
        """The capsule. `stream` is not used: the plane is complete before it is exported."""
        address = ctypes.addressof(self._managed)
        _lent[address] = (self, self._given_back)
        return _new_capsule(address, b"dltensor", None)

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CUDA, self._managed.tensor.device_id
