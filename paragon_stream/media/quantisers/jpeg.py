"""Quantiser steps of JPEG and Motion JPEG, read from a picture's own tables.

Letters and numbers in parentheses are those of ITU-T T.81.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_LOW = slice(1, 21)
"""The coefficients after DC, in zigzag order, that matter most to the eye."""
_DQT, _SOS = 0xDB, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of frame headers (table B.1)."""
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a segment."""


class JpegHeaders:
    """Reads pictures one by one: each contains its own tables."""

    def quantiser(self, packet: bytes) -> float | None:
        """Mean quantiser step of the low frequencies of the first component, which is luma if there is one;
        None if `packet` has no complete header."""
        tables: dict[int, tuple[int, ...]] = {}
        used = 0
        try:
            for marker, body in _segments(packet):
                if marker == _DQT:
                    tables |= _tables(body)
                elif marker in _FRAMES:
                    used = body[8]  # Tq of the first component (B.2.2)
        except (struct.error, IndexError):
            return None
        if used not in tables:
            return None
        steps = tables[used][_LOW]
        return sum(steps) / len(steps)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and what their segments hold (B.1.1), up to the first scan."""
    at = 0
    while at + 1 < len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or marker == _SOS:
            return
        if marker in _ALONE or marker == 0xFF:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length


def _tables(body: bytes) -> dict[int, tuple[int, ...]]:
    """The quantisation tables of a segment by their number, in zigzag order (B.2.4.1)."""
    found: dict[int, tuple[int, ...]] = {}
    at = 0
    while at < len(body):
        precision, number = body[at] >> 4, body[at] & 15
        found[number] = struct.unpack_from(">64H" if precision else "64B", body, at + 1)
        at += 1 + 64 * (1 + (precision > 0))
    return found
