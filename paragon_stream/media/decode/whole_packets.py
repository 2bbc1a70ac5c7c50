"""Whether packets of FFV1 and of Motion JPEG are whole.

FFmpeg's decoders log a wrong checksum, or a picture without an end, and deliver the picture as if it were
whole.
"""

from __future__ import annotations

from collections.abc import Callable

from paragon_stream.media.checksum import crc32_high_first

_FOOTER = 8
"""Bytes behind each slice of FFV1: 3 of its size, 1 of its state, 4 of its checksum (RFC 9043, 4.9)."""
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
"""JPEG's markers (ITU-T T.81, B.1.1.3); coded samples never contain them."""


class WholePackets:
    """Examines the packets of one stream in turn.

    Streams of FFV1 may have no checksums, and pictures of some cameras have no end marker. So nothing counts
    as damaged until one packet is whole.
    """

    def __init__(self, is_whole: Callable[[bytes], bool]) -> None:
        self._is_whole = is_whole
        self._seen_whole = False
        self._before = 0

    @property
    def damaged_before(self) -> int:
        """The number of damaged packets before the first one that is whole: `damaged` did not report them."""
        return self._before if self._seen_whole else 0

    def damaged(self, packet: bytes) -> bool:
        """Whether `packet` is damaged, and one before it was whole."""
        if not packet:  # AVI repeats a picture by an empty packet
            return False
        whole = self._is_whole(packet)
        self._before += not (whole or self._seen_whole)
        self._seen_whole |= whole
        return self._seen_whole and not whole


def examined(codec: str) -> WholePackets | None:
    """What examines the packets of `codec` (FFmpeg's name); None if nothing does."""
    test = {"ffv1": _has_right_checksums, "mjpeg": _has_its_end}.get(codec)
    return None if test is None else WholePackets(test)


def _has_right_checksums(packet: bytes) -> bool:
    """FFV1 of version 3 with `ec` in its header: the checksum of every slice."""
    end = len(packet)
    while end > 0:
        if end < _FOOTER:
            return False
        start = end - _FOOTER - int.from_bytes(packet[end - _FOOTER : end - _FOOTER + 3], "big")
        if start < 0 or crc32_high_first(packet[start:end], 0):  # with its checksum the remainder is 0
            return False
        end = start
    return True


def _has_its_end(packet: bytes) -> bool:
    """JPEG: the end marker follows the last scan. Padding may follow it."""
    end = packet.rfind(_END)
    return end >= 0 and packet.find(_SCAN, end) < 0
