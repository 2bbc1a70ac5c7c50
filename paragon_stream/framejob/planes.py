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
    return tuple(_aligned(shape, format.pixel_format.bytes_per_sample) for shape in format.plane_shapes)


def _aligned(shape: tuple[int, ...], sample_bytes: int) -> Plane:
    count = math.prod(shape) * sample_bytes
    memory = np.zeros(count + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    raw = memory[start : start + count]
    return raw.reshape(shape) if sample_bytes == 1 else raw.view(np.uint16).reshape(shape)
