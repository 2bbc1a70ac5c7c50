"""Buffers for frames."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from paragon_stream.frame import FrameFormat

type Plane = NDArray[np.uint8] | NDArray[np.uint16]

_ALIGNMENT = 64  # a cache line, and the widest vector register


def allocate_planes(format: FrameFormat) -> tuple[Plane, ...]:
    """Zeroed, C-contiguous arrays of `format.plane_shapes`: uint8 up to 8 bits, uint16 above."""
    dtype = np.uint8 if format.pixel_format.bytes_per_sample == 1 else np.uint16
    return tuple(_aligned(shape, np.dtype(dtype)) for shape in format.plane_shapes)


def _aligned(shape: tuple[int, ...], dtype: np.dtype[np.uint8] | np.dtype[np.uint16]) -> Plane:
    count = math.prod(shape) * dtype.itemsize
    memory = np.zeros(count + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + count].view(dtype).reshape(shape)
