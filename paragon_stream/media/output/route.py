"""The way of one stream's packets from the source into the output."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from paragon_stream.errors import reason
from paragon_stream.media.decode.timestamps import rescale
from paragon_stream.media.ffmpeg.display_sets import DisplaySets
from paragon_stream.media.ffmpeg.edited_sound import EditedSound
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.output.aac.even import EvenAac
from paragon_stream.media.output.aac.latm import LatmFilter
from paragon_stream.media.output.audio import AudioConverter
from paragon_stream.media.output.packet_trim import PacketTrimmer
from paragon_stream.media.output.stream_plans import StreamPlan, stream_label
from paragon_stream.media.output.subtitles import TextConverter
from paragon_stream.media.output.timeline import SharedStamps
from paragon_stream.number_text import counted

type AnyPacket = av.Packet[Any]


@dataclass(slots=True)
class Route:
    """The way of one source stream into the output, and its state."""

    plan: StreamPlan
    unit: Fraction
    """Seconds per tick of the source's timestamps."""
    target: Any
    """The output stream."""
    shift: Fraction
    """Seconds that are subtracted from the source's times."""
    converter: AudioConverter | TextConverter | None = None
    held: deque[tuple[Fraction, AnyPacket]] = field(default_factory=deque)
    """Packets read and not taken yet, with their decode times in seconds."""
    dense: bool = False
    """True for audio and video, which have packets all the time; subtitles may have none for minutes."""
    reached: Fraction | None = None
    """Time up to which the source has been read, seconds."""
    step: int = 0
    """The least distance of two decode times that the muxer accepts, ticks."""
    strip: EvenAac | LatmFilter | None = None
    """Removes AAC headers or framing that the container does not accept."""
    last_dts: int | None = None
    spans: tuple[int, int] = (0, 0)
    """The last two distances of decode times, ticks."""
    repaired: int = 0
    failed: int = 0
    why_failed: str = ""
    stamps: SharedStamps | None = None
    """Separates packets of sound that share a timestamp; None if the source has none."""
    edits: EditedSound | None = None
    """Leaves out what an edit list does; None for other streams than sound."""
    lag: Fraction = Fraction(0)
    """Seconds by which the packets are moved, because their timestamps jumped back and the video's did
    not."""
    trimmer: PacketTrimmer | None = None
    """Selects the packets in the cut."""
    sets: DisplaySets | None = None
    """Joins the parts of PGS subtitles, so that a cut does not part them; None without a cut, and for other
    streams."""
    far: list[AnyPacket] = field(default_factory=list)
    """The latest packets, if they are far from those before them: their timestamps may be damaged."""
    strays: int = 0
    """Packets whose timestamps were damaged."""

    def finished(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """The packets for the muxer from a packet of the source. Errors of FFmpeg are counted in `failed`."""
        if self.converter is None:
            for bare in self._without_header(packet):
                yield self._addressed(bare, self.unit)
            return
        try:
            converted = self.converter.convert(packet)
        except AV_ERRORS as error:
            self.note_failure(error)
            return
        for result in converted:
            yield self._addressed(result, self.converter.unit)

    def flush(self) -> Iterator[AnyPacket]:
        """The last packets of the converter."""
        if self.converter is not None:
            for packet in self.converter.flush():
                yield self._addressed(packet, self.converter.unit)
        elif isinstance(self.strip, EvenAac):
            for packet in self.strip.flush():
                yield self._addressed(packet, self.unit)

    def note_failure(self, error: BaseException) -> None:
        """Count a packet that could not be written."""
        self.failed += 1
        self.why_failed = reason(error)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each kind of problem so far."""
        name, sentences = stream_label(self.plan.stream), []
        if self.failed:
            sentences.append(
                f"{counted(self.failed, 'packet')} of {name} could not be written: {self.why_failed}"
            )
        kinds = self.strip if isinstance(self.strip, EvenAac) else self.converter
        if isinstance(kinds, EvenAac) and kinds.unconverted:
            sentences.append(
                f"{counted(kinds.unconverted, 'packet')} of {name} with another rate or other channels than"
                " those of the beginning are not converted: players may play them wrongly"
            )
        elif isinstance(kinds, EvenAac | AudioConverter) and kinds.changes:
            sentences.append(
                f"the rate or the channels of {name} change {counted(kinds.changes, 'time')}:"
                " converted to those of the beginning"
            )
        if self.strays:
            sentences.append(
                f"{counted(self.strays, 'packet')} of {name} had a timestamp far from its neighbours';"
                " repaired"
            )
        if self.repaired:
            sentences.append(
                f"{counted(self.repaired, 'packet')} of {name} had timestamps that run backwards; repaired"
            )
        return sentences

    def _without_header(self, packet: AnyPacket) -> list[AnyPacket]:
        if self.strip is None:
            return [packet]
        try:
            return self.strip(packet)
        except AV_ERRORS as error:
            self.note_failure(error)
            return []

    def _addressed(self, packet: AnyPacket, unit: Fraction) -> AnyPacket:
        """`packet` with its output stream and times: each rounded once, decode times rising."""
        target = as_fraction(self.target.time_base)
        dts, pts, duration = packet.dts, packet.pts, packet.duration or 0
        start = pts if pts is not None else dts
        packet.stream = self.target
        packet.time_base = target
        if start is not None and duration:
            end = rescale(start + duration, unit, self.shift, target)
            packet.duration = max(0, end - rescale(start, unit, self.shift, target))
        if pts is not None:
            packet.pts = rescale(pts, unit, self.shift, target)
        if dts is not None:
            packet.dts = rescale(dts, unit, self.shift, target)
            least = None if self.last_dts is None else self.last_dts + self.step
            if least is not None and packet.dts < least:
                # Less than a tick of the source is rounding: TrueHD has 1200 packets a second.
                self.repaired += (least - packet.dts) * target > unit
                packet.dts = least
            if packet.pts is not None and packet.pts < packet.dts:
                packet.pts = packet.dts
            if self.last_dts is not None:
                self.spans = self.spans[1], packet.dts - self.last_dts
            self.last_dts = packet.dts
        if self.dense and not duration:
            # In MP4 a last packet without length is not played. One of the spans may be a gap.
            packet.duration = min(filter(None, self.spans), default=0)
        return packet
