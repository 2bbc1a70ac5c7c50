"""Frames of a source that are identical to the frame before: held drawings, still screens.

If the network does not depend on earlier frames and both frames have the same strength, their results are
equal. The encoder gets the previous result again with the new timestamp; nothing is computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import UsageError
from paragon_stream.pipeline.slot import Slot
from paragon_stream.runtimes import Plane

_METHODS = ("exact", "off")


def parse_reuse(value: str) -> bool:
    """Whether results are used again. Raises UsageError."""
    if value not in _METHODS:
        raise UsageError(f"--reuse-duplicates {value}: choose {' or '.join(_METHODS)}")
    return value == "exact"


class Repeats:
    """Compares every frame with the previous one; `count` is the number of repeated frames."""

    def __init__(self, *, conditioned: bool, wanted: bool = True) -> None:
        """`conditioned`: the result depends on the strength of compression. With `wanted` False, no frame
        counts as a repeat."""
        self._conditioned, self._wanted = conditioned, wanted
        self._planes: tuple[Plane, ...] = ()
        self._strength = 0.0
        self.count = 0

    def begin(self) -> None:
        """Begin a stretch of another format: its first frame is not a repeat."""
        self._planes = ()

    def found(self, slot: Slot[Plane]) -> bool:
        """Whether the frame in `slot` is identical to that of the previous call.

        Call it on the thread that reads: only that thread writes into the planes of the previous frame.
        """
        before, strength = self._planes, self._strength
        on_gpu = slot.picture is not None
        self._planes, self._strength = () if on_gpu else slot.inputs, slot.strength
        if not self._wanted or on_gpu or not before or before is slot.inputs:
            return False
        if self._conditioned and strength != slot.strength:
            return False
        if not all(map(_same, before, slot.inputs)):
            return False
        self.count += 1
        return True


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    middle = len(a) // 2
    if not np.array_equal(a[middle], b[middle]):
        return False
    first, second = (plane.reshape(-1).view(np.uint8) for plane in (a, b))
    if len(first) % 8 == 0:
        return np.array_equal(first.view(np.uint64), second.view(np.uint64))
    return np.array_equal(first, second)
