"""Sizes and generations, read from tensors: the common part of recognising every line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import Generation
from paragon_stream.errors import CheckpointError

SCALES = (2, 3, 4, 8)


def declared_generation(facts: Facts, possible: Sequence[Generation]) -> Generation:
    """The generation that `facts` declare, or else the first of the `possible` ones, which have these
    tensors.

    Raises CheckpointError if another generation is declared.
    """
    declared = "p2v3fix" if facts.generation == "p2v3" else facts.generation
    if declared is None:
        return possible[0]
    if declared not in possible:
        raise CheckpointError(f"it is declared as {declared}, but its tensors are those of {possible[0]}")
    return Generation(declared)


def size(tensors: Tensors, name: str, axis: int) -> int:
    """The length of one axis of a tensor. Raises CheckpointError if there is no such tensor or axis."""
    if name not in tensors:
        raise CheckpointError(f"tensor {name} is missing")
    shape = tensors[name].shape
    if len(shape) <= axis:
        raise CheckpointError(f"tensor {name} has the shape {list(shape)}")
    return int(shape[axis])


def body_size(names: Iterable[str], inner: str = "blocks") -> tuple[int, int]:
    """The number of groups, and of blocks in each group."""
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
    """The scale of the PixelShuffle after the convolution `name`."""
    channels = size(tensors, f"{name}.weight", 0)
    scale = math.isqrt(channels // features) if features else 0
    if scale not in SCALES or scale * scale * features != channels:
        raise CheckpointError(f"tensor {name}.weight has {channels} outputs, which fits no scale")
    return scale
