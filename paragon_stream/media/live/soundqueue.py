"""The queue of sound between the capturing thread and the writing thread."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any

from paragon_stream.media.ffmpeg.stamps import decoding_stamp
from paragon_stream.media.live.connection import Sound
from paragon_stream.media.live.soundkind import SoundKind
from paragon_stream.number_text import counted

_MOST_PACKETS = 4000
"""Packets in the queue: over a minute of AAC."""


class SoundQueue:
    """Packets with their times on the live clock, in seconds. A full queue drops its oldest packets.

    One thread puts, another takes; a deque needs no lock for that.
    """

    def __init__(self) -> None:
        self.wanted = False
        """Whether the output has sound."""
        self.stopped = False
        """Whether the source was stopped before its end, so that the sound ends with the picture."""
        self._packets: deque[tuple[Fraction, Any, SoundKind]] = deque(maxlen=_MOST_PACKETS)
        self.refused = 0
        """Packets that came before any picture of their clock, and were too many."""
        self.unwritten = 0
        """Packets that could not be decoded or converted, or did not follow the one before them in time: of
        all connections to the output."""

    @property
    def warnings(self) -> list[str]:
        """A sentence about the packets that an output with sound has lost, if there are any."""
        lost = self.refused + self.unwritten if self.wanted else 0
        return [f"{counted(lost, 'packet')} of sound could not be written"] if lost else []

    def put(self, sound: Sound, shift: Fraction) -> None:
        """Add a packet whose stamps are moved by `shift` seconds."""
        if not self.wanted:
            return
        packet = sound.packet
        ticks = round(shift / sound.unit)
        stamp = decoding_stamp(packet)
        if stamp is None:
            return
        packet.pts = stamp + ticks if packet.pts is None else packet.pts + ticks
        packet.dts = stamp + ticks
        self._packets.append((packet.dts * sound.unit, packet, sound.kind))

    def take(self, until: Fraction | None) -> list[tuple[Any, SoundKind]]:
        """The packets up to `until` seconds, in order; all for None."""
        due = []
        while self._packets and (until is None or self._packets[0][0] <= until):
            due.append(self._packets.popleft()[1:])
        return due
