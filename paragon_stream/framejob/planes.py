"""Buffers for frames."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragon_stream.frame import FrameFormat

type Plane = NDArray[np.uint8] | NDArray[np.uint16]

_ALIGNMENT = 64  # a cache line, and the widest vector register


def allocate_planes(format: FrameFormat) -> tuple[Plane, ...]:
    """Zeroed, C-contiguous arrays of `format.plane_shapes`: uint8 up to 8 bits, uint16 above.

    (And float32 for the floating formats of tiles.)
    """
    return tuple(_aligned(shape, np.dtype(format.pixel_format.sample_type)) for shape in format.plane_shapes)


def _aligned(shape: tuple[int, ...], sample: np.dtype[Any]) -> Plane:
    count = math.prod(shape) * sample.itemsize
    memory = np.zeros(count + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    raw = memory[start : start + count]
    plane: Plane = raw.view(sample).reshape(shape)
    return plane
