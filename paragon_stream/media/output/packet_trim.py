"""Packets of a copied stream that belong to a cut of the programme, and streams that have none."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from paragon_stream.errors import reason
from paragon_stream.media.decode.timestamps import rescale
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.info import StreamInfo, StreamKind
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.ffmpeg.stamps import decoding_stamp, presentation_stamp
from paragon_stream.media.source.opening import has_index

logger = logging.getLogger(__name__)

_LOOK_AT = 64 << 20
"""Bytes of packets that are read: a stream of which none are found in them is assumed to have some later."""
_AROUND = Fraction(5)
"""Seconds before and after a cut that are read: packets of one time are not all in one place."""
_HIDE = 2
_COMMAND_BYTES = {0: 1, 1: 1, _HIDE: 1, 3: 3, 4: 3, 5: 7, 6: 5}
"""The commands of a DVD's subtitles, with their lengths: show always, show, hide, colours, contrasts, area,
lines. Others end the search."""


class PacketTrimmer:
    """Selects the packets of one stream that belong to `cut`; `unit` is seconds per tick of their timestamps.

    Covers: all. Sound, data: packets that begin in the cut. Video: packets from its first key frame on.
    Subtitles: all that are shown during the cut, trimmed to it. If they have no duration (bitmaps, which stay
    until the next one), the last one before the cut is shown at its start. Subtitles of DVDs state their end
    in their data.
    """

    def __init__(self, kind: StreamKind, cut: Cut, unit: Fraction, codec: str = "") -> None:
        self._kind, self._cut, self._unit = kind, cut, unit
        self._of_dvd = codec == "dvd_subtitle"
        self._saw_key = False
        self._standing: list[Any] = []
        """Packets of the last bitmap before the cut; several if a bitmap has segments."""

    def trim(self, packet: Any) -> Sequence[Any]:
        """The packets to write for `packet`: none, itself, or the bitmap from before the cut and itself."""
        stamp = presentation_stamp(packet)
        if self._kind is StreamKind.COVER:
            return (packet,)  # it belongs to the whole file
        if stamp is None:
            return ()
        time = stamp * self._unit
        if self._kind is StreamKind.SUBTITLE:
            return self._subtitle(packet, stamp, time)
        if self._kind is StreamKind.VIDEO:
            self._saw_key = self._saw_key or (bool(packet.is_keyframe) and time in self._cut)
            return (packet,) if self._saw_key and time in self._cut else ()
        return (packet,) if time in self._cut else ()

    def rest(self) -> Sequence[Any]:
        """The bitmap from before the cut, if no packet came in the cut."""
        standing, self._standing = self._standing, []
        for packet in standing:
            packet.pts = packet.dts = math.ceil(self._cut.start / self._unit)
        return standing

    def _subtitle(self, packet: Any, stamp: int, time: Fraction) -> Sequence[Any]:
        cut = self._cut
        if cut.is_past(time):
            return self.rest()
        if self._of_dvd and not packet.duration and (shown := seconds_shown(bytes(packet))) is not None:
            packet.duration = round(shown / self._unit)  # program streams have none
        if not packet.duration or packet.duration < 0:
            if time >= cut.start:
                if packet.dts is not None:  # it may be decoded before it is shown
                    packet.dts = max(packet.dts, math.ceil(cut.start / self._unit))
                return (*self.rest(), packet)
            if self._standing and (self._standing[-1].pts or self._standing[-1].dts) != stamp:
                self._standing.clear()
            self._standing.append(packet)
            return ()
        end = stamp + packet.duration
        if end * self._unit <= cut.start:
            return ()
        begin = max(stamp, math.ceil(cut.start / self._unit))
        if cut.end is not None:
            end = min(end, math.ceil(cut.end / self._unit))
        if end <= begin:
            return ()
        if begin != stamp:
            packet.pts = packet.dts = begin
        packet.duration = end - begin
        return (packet,)


def seconds_shown(picture: bytes) -> Fraction | None:
    """The seconds from the timestamp of a DVD's subtitle to the end that its commands state; None if they
    state none.

    The second word of the data is the position of the commands, in blocks: a delay (1024 ticks of 90 kHz),
    the position of the next block, which is its own in the last one, and commands up to 0xFF.
    """
    place, following = -1, int.from_bytes(picture[2:4])
    while place < following <= len(picture) - 4:
        place, following = following, int.from_bytes(picture[following + 2 : following + 4])
        if _HIDE in _commands(picture, place + 4):
            return Fraction(int.from_bytes(picture[place : place + 2]) * 1024, 90_000)
    return None


def _commands(picture: bytes, place: int) -> Iterator[int]:
    """The commands of one block, from `place` on."""
    while place < len(picture) and (command := picture[place]) in _COMMAND_BYTES:
        yield command
        place += _COMMAND_BYTES[command]


def cut_chapters(chapters: Sequence[Any], cut: Cut) -> list[Any]:
    """The chapters (in PyAV's form) that overlap `cut`, trimmed to it."""
    kept = []
    for chapter in chapters:
        unit = Fraction(chapter["time_base"].numerator, chapter["time_base"].denominator)
        start, end = chapter["start"], chapter["end"]
        first = max(start, math.ceil(cut.start / unit))
        last = end if cut.end is None else min(end, math.ceil(cut.end / unit))
        if first < last:
            kept.append({**chapter, "start": first, "end": last})
    return kept


def shifted_chapters(chapters: list[Any], shift: Fraction) -> list[Any]:
    """The chapters (as PyAV has them), `shift` seconds earlier, none before 0."""
    if not shift:
        return chapters
    moved = []
    for chapter in chapters:
        unit = Fraction(chapter["time_base"].numerator, chapter["time_base"].denominator)
        start, end = (max(0, rescale(chapter[key], unit, shift, unit)) for key in ("start", "end"))
        moved.append({**chapter, "start": start, "end": end})
    return moved


def without_packets(source: Any, streams: Iterable[StreamInfo], cut: Cut | None) -> tuple[set[int], set[int]]:
    """The indices of those of `streams`, sound and video, that have no packet in `cut`, and of those that
    have none near its beginning.

    None as a cut is the whole file. `source` is an open demuxer, which is read on; a few packets are usually
    enough.
    """
    units = {index: as_fraction(source.streams[index].time_base) for index in range(len(source.streams))}
    part = cut or Cut(start=Fraction(-(10**9)))
    wanted = {
        stream.index: PacketTrimmer(stream.kind, part, units[stream.index])
        for stream in streams
        if stream.kind in (StreamKind.AUDIO, StreamKind.VIDEO)
    }
    read = 0
    try:
        begin = max(Fraction(0), part.start - _AROUND)
        if wanted and (begin == 0 or has_index(source)):
            source.seek(round(begin * 1_000_000))
        for packet in source.demux() if wanted else ():
            index, stamp = packet.stream.index, decoding_stamp(packet)
            if index in wanted and packet.size and wanted[index].trim(packet):
                del wanted[index]
            read += packet.size
            if not wanted or (stamp is not None and part.is_past(stamp * units[index] - _AROUND)):
                break
            if read > _LOOK_AT:
                return set(), set(wanted)
    except AV_ERRORS as error:
        logger.debug("looking for packets: %s", reason(error))
        return set(), set(wanted)
    return set(wanted), set()
