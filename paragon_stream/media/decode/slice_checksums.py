"""Whether the slices of a packet of FFV1 have their checksums (RFC 9043, 4.9).

FFmpeg's decoder logs a wrong one and delivers the picture as if it were whole.
"""

from __future__ import annotations

from paragon_stream.media.checksum import crc32_high_first

_FOOTER = 8
"""Bytes behind each slice: 3 of its size, 1 of its state, 4 of its checksum."""


class SliceChecksums:
    """Examines packets of one FFV1 stream in turn.

    Streams of version 3 can have checksums (`ec` in their header). Whether this one has them is known from
    its first packet in which all are right.
    """

    def __init__(self) -> None:
        self._has_them = False

    def damaged(self, packet: bytes) -> bool:
        """Whether the stream has checksums and one in `packet` is wrong."""
        if not packet:  # AVI repeats a picture by an empty packet
            return False
        right = _all_right(packet)
        self._has_them |= right
        return self._has_them and not right


def _all_right(packet: bytes) -> bool:
    end = len(packet)
    while end > 0:
        if end < _FOOTER:
            return False
        start = end - _FOOTER - int.from_bytes(packet[end - _FOOTER : end - _FOOTER + 3], "big")
        if start < 0 or crc32_high_first(packet[start:end], 0):  # with its checksum the remainder is 0
            return False
        end = start
    return True
