"""Sizes read from tensors, for the recognition of every line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.errors import CheckpointError

SCALES = (2, 3, 4, 8)


def size(tensors: Tensors, name: str, axis: int) -> int:
    """The length of one axis of a tensor. Raises CheckpointError if there is no such tensor or axis."""
    if name not in tensors:
        raise CheckpointError(f"tensor {name} is missing")
    shape = tensors[name].shape
    if len(shape) <= axis:
        raise CheckpointError(f"tensor {name} has the shape {list(shape)}")
    return int(shape[axis])


def body_size(names: Iterable[str], inner: str = "blocks") -> tuple[int, int]:
    """Groups, and blocks in each."""
    found = [re.match(rf"body\.(\d+)\.{inner}\.(\d+)\.", name) for name in names]
    indices = [(int(match[1]), int(match[2])) for match in found if match]
    if not indices:
        raise CheckpointError(f"tensor body.0.{inner}.0 is missing")
    return max(group for group, _ in indices) + 1, max(block for _, block in indices) + 1


def count(names: Iterable[str], pattern: str) -> int:
    """The number of tensor names that match `pattern` completely."""
    return sum(re.fullmatch(pattern, name) is not None for name in names)


def has(names: Iterable[str], part: str) -> bool:
    """Whether any tensor name contains `part`."""
    return any(part in name for name in names)


def shuffled_scale(tensors: Tensors, name: str, features: int) -> int:
    """The scale of a PixelShuffle behind the convolution called `name`."""
    channels = size(tensors, f"{name}.weight", 0)
    scale = math.isqrt(channels // features) if features else 0
    if scale not in SCALES or scale * scale * features != channels:
        raise CheckpointError(f"tensor {name}.weight has {channels} outputs, which fits no scale")
    return scale
