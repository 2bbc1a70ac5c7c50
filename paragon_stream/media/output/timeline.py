"""One clock for all streams of a source whose timestamps start over: recordings glued together.

After such a jump the reader moves the video so that it continues without a gap (`timestamps.py`). This module
moves sound and subtitles by the same amount, which it finds from the packets of the video.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from paragon_stream.media.decode.timestamps import DISCONTINUITY_SECONDS


class Timeline:
    """Follows the video's packets, in the order of the file, and computes how far other packets are moved.

    interval: seconds between two frames at the nominal rate.
    """

    def __init__(self, interval: Fraction) -> None:
        self._interval = interval
        self._shifts = [Fraction(0)]
        """Seconds that timestamps of the first, second … recording are moved by."""
        self._latest: Fraction | None = None
        """The latest presentation time of the video so far, moved."""

    @property
    def latest_shift(self) -> Fraction:
        return self._shifts[-1]

    def video_passes(self, time: Fraction, is_key: bool) -> bool:
        """Note a packet of the video, stamped `time` (seconds); True if a recording begins there."""
        moved = time + self._shifts[-1]
        if self._latest is None:
            self._latest = moved
            return False
        begins = is_key and self._latest - moved > DISCONTINUITY_SECONDS
        if begins:
            self._shifts.append(self._latest + self._interval - time)
            moved = self._latest + self._interval
        self._latest = max(self._latest, moved)
        return begins

    def shift(self, time: Fraction) -> Fraction:
        """Seconds that a packet of another stream with the timestamp `time` is moved by.

        Streams reach a jump at different positions in the file: of the last two recordings, the packet
        belongs to the one that brings it closer to the video.
        """
        latest = self._latest
        if latest is None or len(self._shifts) == 1:
            return self._shifts[-1]
        return min(self._shifts[-2:], key=lambda shift: abs(time + shift - latest))


def tell_apart(packet: Any, previous: tuple[int, int] | None) -> tuple[int, int] | None:
    """Give a packet of sound that has the stamp of the one before the time behind it.

    So FFmpeg stamps the second of two packets that begin in the same piece of a program stream. `previous` is
    the decode time and duration of the packet before; those of this one are returned.
    """
    dts = packet.dts
    if dts is None or previous is None or previous[1] <= 1:
        pass  # the stamps are coarser than the packets are long
    elif dts == previous[0] and packet.pts in (None, dts):
        move(packet, previous[1])
    return None if packet.dts is None else (packet.dts, packet.duration or 0)


def move(packet: Any, ticks: int) -> None:
    """Show and decode a packet later."""
    if ticks:
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
