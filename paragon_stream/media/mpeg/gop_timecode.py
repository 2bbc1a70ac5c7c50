"""The timecode at the start of MPEG-1 and MPEG-2 video, from the headers of its groups of pictures.

Tapes (HDV) and studios store the time of the recording there. Many encoders leave it at zero, or write the
same time again and again: those times mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice

from paragon_stream.media.timecode import Timecode

_GROUP = b"\0\0\1\xb8"
_PICTURE = b"\0\0\1\0"
_DAY = 24 * 60 * 60
_MOST = 400
"""Pictures among which a second group must begin."""


@dataclass(frozen=True)
class _Group:
    """A group's header (ISO/IEC 13818-2, 6.2.2.6), and the temporal_reference of its first coded picture."""

    bits: int
    temporal_reference: int
    """Number of pictures of the group that are shown before this picture."""

    @property
    def drop(self) -> bool:
        return bool(self.bits >> 31)

    def time(self, nominal: int) -> Timecode:
        """The time that it has, in pictures of which `nominal` make a second."""
        digits = self.bits >> 26 & 31, self.bits >> 20 & 63, self.bits >> 13 & 63, self.bits >> 7 & 63
        return Timecode.counted(*digits, drop=self.drop, nominal=nominal)

    @property
    def closed(self) -> bool:
        """Whether the pictures before the first coded one can be decoded without an earlier group."""
        return bool(self.bits >> 6 & 1)

    def number(self, nominal: int) -> int:
        time = self.time(nominal)
        return ((time.hours * 60 + time.minutes) * 60 + time.seconds) * nominal + time.frames


def start_timecode(packets: Iterable[bytes], nominal: int) -> str:
    """The timecode of the first picture shown: "01:02:03:04", or "01:02:03;04" where numbers are dropped.

    `packets` are the coded pictures from the start of the video; `nominal` pictures make a second. Returns ""
    for times that are zero, do not advance with the pictures, or cannot be shown at this rate.
    """
    pictures = iter(packets)
    first = _group(next(pictures, b""))
    if first is None:
        return ""
    for count, packet in enumerate(islice(pictures, _MOST), 1):
        if (group := _group(packet)) is not None:
            advance = (group.number(nominal) - first.number(nominal)) % (_DAY * nominal)
            numbers_dropped = nominal // 15 if first.drop else 0
            return _shown(first, nominal) if 0 <= advance - count + 1 <= 2 + numbers_dropped else ""
    return ""


def _group(packet: bytes) -> _Group | None:
    at = packet.find(_GROUP)
    picture = packet.find(_PICTURE, at)
    if at < 0 or picture < 0 or picture + 6 > len(packet):
        return None
    temporal_reference = int.from_bytes(packet[picture + 4 : picture + 6]) >> 6
    return _Group(int.from_bytes(packet[at + 4 : at + 8]), temporal_reference)


def _shown(group: _Group, nominal: int) -> str:
    time = group.time(nominal)
    if time.is_zero:
        return ""
    # Decoders leave out pictures that need a group before the first one.
    time = replace(time, frames=time.frames + (0 if group.closed else group.temporal_reference))
    return str(time) if time.exists(nominal) else ""
