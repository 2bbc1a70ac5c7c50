"""Tensors of state dicts that are the same in every file: filter taps, indices, the identity."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN

_TAPS = (
    (re.compile(r"\.(sharp|sharpen)\."), MAGIC_SHARPEN),
    (re.compile(r"\.(blur|resample_conv)\."), MAGIC_BLUR),
)


def relative_index(window: int) -> NDArray[np.float32]:
    """[w², w²]: the row of the bias table for each query and key of a window."""
    rows, columns = (each.ravel() for each in np.meshgrid(*[np.arange(window)] * 2, indexing="ij"))
    across = rows[:, None] - rows + window - 1
    index: NDArray[np.float32] = (across * (2 * window - 1) + columns[:, None] - columns + window - 1).astype(
        np.float32
    )
    return index


def known_constant(name: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """The tensor called `name`; None if it is not the same in every file."""
    for pattern, taps in _TAPS:
        if pattern.search(name):
            rows = math.prod(shape) // len(taps)
            return np.tile(np.array(taps, np.float32), rows).reshape(shape)
    if "relative_position_index" in name:
        return relative_index(math.isqrt(shape[0]))
    if name.endswith(".tracked_initialized"):
        return np.ones(shape, np.float32)
    if name.endswith(".identity_kernel"):
        kernel = np.zeros(shape, np.float32)
        kernel[:, :, 1, 1] = 1
        return kernel
    return None
