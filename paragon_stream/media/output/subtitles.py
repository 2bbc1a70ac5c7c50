"""Text subtitles converted from one codec to another, by FFmpeg's decoders and encoders.

FFmpeg's common form is the ASS event: eight fields and a text with override tags. This module also leaves out
events that draw shapes (their text is numbers), and if the target shows one text at a time (MP4's timed text)
it merges overlapping events into one text for the time that they share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av
from av.subtitles.subtitle import SubtitleSet

from paragon_stream.media.ffmpeg.rational import as_fraction

TEXT_CODECS = frozenset(
    {
        *("ass", "ssa", "subrip", "srt", "webvtt", "mov_text", "text", "microdvd", "mpl2", "subviewer"),
        *("subviewer1", "sami", "realtext", "jacosub", "vplayer", "pjs", "stl", "hdmv_text_subtitle"),
    }
)
"""Codecs that FFmpeg decodes into ASS events."""

PLAIN_CODECS = frozenset({"subrip", "srt", "text", "mov_text", "webvtt"})
"""Text codecs without typesetting: a conversion between them loses nothing essential."""

MILLISECOND = Fraction(1, 1000)
_DRAWING = re.compile(r"\\p[1-9]")
_FIELDS = 8
"""Commas before the text of an event: ReadOrder, Layer, Style, Name, three margins, Effect."""
_NO_END = -1
"""The end of a text that is shown until the next one, as lyrics (LRC) and MicroDVD have them."""
_LAST_SHOWN = 5000
"""Milliseconds for which such a text is shown if there is no next one."""


@dataclass(frozen=True, slots=True)
class Event:
    """One text: shown from `start` to `end`, in milliseconds (`_NO_END`: until the next one).

    `ass` is FFmpeg's form of it."""

    start: int
    end: int
    ass: bytes


class TextConverter:
    """Packets of one text subtitle stream in, packets of another codec out.

    `source` is the stream that the packets come from, `target` the output stream, its encoder not open yet.
    Packets come out with pts and duration in milliseconds (`unit`), in order of start. Raises what PyAV
    raises.
    """

    unit = MILLISECOND

    def __init__(self, source: Any, target: Any) -> None:
        self._decoder = source.codec_context
        self._decoder.open(strict=False)
        self._encoder = target.codec_context
        self._encoder.time_base = MILLISECOND
        self._encoder.subtitle_header = self._decoder.subtitle_header
        self._merge = _OneAtATime() if self._encoder.codec.name == "mov_text" else None
        is_script = self._decoder.codec.canonical_name in ("ass", "ssa")
        # Blocks of Matroska without a duration last until the next one (RFC 9559, 5.1.3.5.3).
        self._needs_end = "matroska" in source.container.format.name and not is_script
        self._endless: list[Event] = []
        """Texts without an end, of one start, until the next text comes."""

    def convert(self, packet: av.Packet[Any]) -> list[av.Packet[Any]]:
        """The packets that are complete now that the text in `packet` is known."""
        return [self._encode(event) for event in self._passed(self._ended(self._decode(packet)))]

    def flush(self) -> list[av.Packet[Any]]:
        """The packets that are still held back."""
        last = self._passed(self._ended_at(None))
        return [self._encode(event) for event in (*last, *(self._merge.flush() if self._merge else ()))]

    def _ended(self, events: Iterable[Event]) -> Iterator[Event]:
        """`events` with an end each; those that have none come when the next one is known."""
        for event in events:
            if self._endless and event.start > self._endless[0].start:
                yield from self._ended_at(event.start)
            if event.end == _NO_END:
                self._endless.append(event)
            else:
                yield event

    def _ended_at(self, time: int | None) -> Iterator[Event]:
        """The texts without an end; the next one begins at `time`, None if there is none."""
        endless, self._endless = self._endless, []
        for event in endless:
            yield replace(event, end=event.start + _LAST_SHOWN if time is None else time)

    def _passed(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            yield from self._merge.add(event) if self._merge else (event,)

    def _decode(self, packet: av.Packet[Any]) -> Iterator[Event]:
        shown = self._decoder.decode2(packet)
        if shown is None or packet.pts is None:
            return
        unit = as_fraction(packet.time_base) / MILLISECOND
        start = round(packet.pts * unit)
        length = round((packet.duration or 0) * unit) or shown.end_display_time
        is_endless = (packet.duration or 0) < 0 or length >= 0xFFFFFFFF  # FFmpeg's decoders give 2³²-1
        if length == 0 and not is_endless and not self._needs_end:
            return  # it is never shown, such as a comment in an ASS script
        is_endless = is_endless or length == 0
        end = _NO_END if is_endless else start + length
        for rect in shown:
            ass = getattr(rect, "ass", b"")
            if ass and not _DRAWING.search(_text(ass).decode("utf-8", "replace")):
                yield Event(start, end, ass)

    def _encode(self, event: Event) -> av.Packet[Any]:
        subtitle = SubtitleSet.create(event.ass, 0, event.end - event.start, 0)
        packet: av.Packet[Any] = self._encoder.encode_subtitle(subtitle)
        packet.pts = packet.dts = event.start
        packet.duration = event.end - event.start
        packet.time_base = MILLISECOND
        return packet


class _OneAtATime:
    """Cuts overlapping events, given in order of start, into stretches that show one text each."""

    def __init__(self) -> None:
        self._shown: list[Event] = []
        self._done = 0
        """The end of the last event that was returned, in milliseconds."""

    def add(self, event: Event) -> Iterator[Event]:
        yield from self._until(event.start)
        self._shown.append(event)

    def flush(self) -> Iterator[Event]:
        yield from self._until(max((event.end for event in self._shown), default=0))

    def _until(self, time: int) -> Iterator[Event]:
        """Stretches up to `time`, from which on more may be shown."""
        while self._shown:
            start = max(self._done, min(event.start for event in self._shown))
            ends = [event.end for event in self._shown if event.end > start]
            end = min([*ends, time])
            if end <= start:
                break
            together = [event for event in self._shown if event.start <= start < event.end]
            yield Event(start, end, _joined(together))
            self._done = end
            self._shown = [event for event in self._shown if event.end > end]


def _text(ass: bytes) -> bytes:
    return ass.split(b",", _FIELDS)[-1]


def _joined(events: list[Event]) -> bytes:
    """The text of one event with the texts of all `events`, one line each, in the style of the first."""
    first, *others = events
    return first.ass + b"".join(b"\\N{\\r}" + _text(event.ass) for event in others)
