"""One clock for all streams of a source whose timestamps start again, such as joined recordings.

After such a jump the reader moves the video so that it continues without a gap (`timestamps.py`). This module
moves sound and subtitles by the same amount, which it finds from the packets of the video. It also moves
packets of sound apart that share one timestamp.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from paragon_stream.media.decode.timestamps import DISCONTINUITY_SECONDS, FAR_SECONDS, MOST_STRAYS

_MOST_ALIKE = 64
"""Packets with one timestamp that are moved apart."""


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
        self._strays = 0
        """Packets in a row that are far ahead of it; see `timestamps.with_strays`."""

    @property
    def latest_shift(self) -> Fraction:
        return self._shifts[-1]

    def video_passes(self, time: Fraction, is_key: bool) -> bool:
        """Note a packet of the video, stamped `time` (seconds); True if a recording begins there."""
        moved = time + self._shifts[-1]
        if self._latest is None:
            self._latest = moved
            return False
        self._strays = self._strays + 1 if moved > self._latest + FAR_SECONDS else 0
        if 0 < self._strays <= MOST_STRAYS:
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


class SharedStamps:
    """Gives packets of sound that share one timestamp times of their own.

    If a packet ends in the piece of a program or transport stream in which the next one begins, FFmpeg may
    give both the timestamp of the piece. The time of one of them is then missing before it, or after it.
    """

    def __init__(self) -> None:
        self._alike: list[Any] = []
        """Packets with the same decode time, the latest ones."""
        self._end: int | None = None
        """End of the packet before them, in ticks."""

    def add(self, packet: Any) -> list[Any]:
        """The packets whose times are certain now, in order; `packet` itself comes later."""
        first = self._alike[0] if self._alike else None
        alike = first is not None and packet.dts is not None and packet.dts == first.dts
        if alike and packet.pts in (None, packet.dts) and len(self._alike) < _MOST_ALIKE:
            self._alike.append(packet)
            return []
        done = self._settled(packet.dts)
        self._alike = [packet]
        return done

    def rest(self) -> list[Any]:
        """The last packets."""
        done = self._settled(None)
        self._alike = []
        return done

    def _settled(self, following: int | None) -> list[Any]:
        """The packets of `_alike`; the next one is decoded at `following`."""
        alike = self._alike
        if not alike:
            return []
        stamp, step, count = alike[0].dts, alike[0].duration or 0, len(alike)
        if count > 1 and step > 1:  # otherwise the timestamps are coarser than the packets are long
            free = 0 if self._end is None else stamp - self._end + step // 4
            begin = stamp - max(0, min(count - 1, free // step)) * step
            if following is not None and following > begin:
                step = min(step, max(1, (following - begin) // count))
            for number, packet in enumerate(alike):
                move(packet, begin + number * step - stamp)
        self._end = None if alike[-1].dts is None else alike[-1].dts + (alike[-1].duration or 0)
        return alike


def move(packet: Any, ticks: int) -> None:
    """Show and decode a packet later."""
    if ticks:
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
