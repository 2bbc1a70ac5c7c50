"""The CRC-32 of Ogg, transport streams and FFV1: zlib's polynomial, from the highest bit of each byte on."""

from __future__ import annotations

import zlib

_ONES = 0xFFFFFFFF
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in the other order."""


def crc32_high_first(data: bytes, start: int) -> int:
    """The checksum of `data`, without a final inversion; 0 if `data` ends with its own checksum.

    `start`: 0 in Ogg and FFV1, 0xFFFFFFFF in transport streams (ISO/IEC 13818-1).
    """
    before = _reversed(start) ^ _ONES  # zlib inverts what it begins with, and its result
    return _reversed(~zlib.crc32(data.translate(_REVERSED), before) & _ONES)


def _reversed(word: int) -> int:
    return int.from_bytes(word.to_bytes(4, "little").translate(_REVERSED))
