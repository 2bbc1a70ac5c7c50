"""All streams but the upscaled video: copied packets, converted subtitles and sound, attached files.

A second demuxer reads the source when the writer needs packets, and returns them up to the time of the video.
In a badly interleaved source, packets that are due may come after others that are not; up to `HOLD_BYTES` of
those are held. Above that limit the due packets are written late; none is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.stream import Discard, Disposition

from paragon_stream.errors import reason
from paragon_stream.media.decode.timestamps import DISCONTINUITY_SECONDS, MOST_STRAYS
from paragon_stream.media.facts.containers import Container
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.info import StreamKind
from paragon_stream.media.facts.late_streams import streams_since
from paragon_stream.media.ffmpeg.display_sets import PGS, DisplaySets
from paragon_stream.media.ffmpeg.edited_sound import EditedSound
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.ffmpeg.stamps import decoding_stamp
from paragon_stream.media.output.aac.adts import audio_config, has_adts
from paragon_stream.media.output.aac.even import EvenAac
from paragon_stream.media.output.aac.latm import LatmFilter
from paragon_stream.media.output.attachments import Attachments
from paragon_stream.media.output.audio import AudioConverter
from paragon_stream.media.output.packet_trim import PacketTrimmer
from paragon_stream.media.output.route import AnyPacket, Route
from paragon_stream.media.output.stream_plans import Action, StreamPlan
from paragon_stream.media.output.subtitles import TextConverter
from paragon_stream.media.output.tags import stream_tags
from paragon_stream.media.output.timeline import SharedStamps, Timeline, move
from paragon_stream.media.output.trial_muxing import add_copy
from paragon_stream.media.source.opening import has_index, open_source
from paragon_stream.media.source.probing import HEADERS, Probing
from paragon_stream.media.source.readable import ReadingWatch
from paragon_stream.number_text import counted

HOLD_BYTES = 32 << 20
_RUN_UP = 5
"""Seconds by which a cut's first packets may precede the key frame of their time in the file."""
_MAX_EARLY = 2000
"""Packets buffered until the video reaches the same timestamp discontinuity."""
_SUBTITLES_LATE = 2
"""Seconds by which a subtitle may follow the sound and pictures of its time in the file."""

_SHARING = ("mpeg", "mpegts")
"""Demuxers that may give two packets of sound one timestamp."""


class Remuxer:
    """The other streams of the source. Open it, `add` each stream to the output, then `take` packets.

    Raises InputError if the source cannot be opened again or read any more, and what PyAV raises from `add`.
    """

    def __init__(
        self,
        path: Path,
        plans: Sequence[StreamPlan],
        video: int | None,
        shift: Fraction,
        cut: Cut | None = None,
        interval: Fraction = Fraction(1, 25),
        probing: Probing = HEADERS,
    ) -> None:
        self._plans = {plan.stream.index: plan for plan in plans}
        self._shift = shift
        self._cut = cut
        self._video = video
        self._probing = probing
        self._watch = ReadingWatch(path, probing)
        self._source = open_source(path, probing)
        self._routes: dict[int, Route] = {}
        self._attachments = Attachments(path, probing)
        self._packets: Iterator[AnyPacket] | None = None
        self._ended = False
        self._video_reached: Fraction | None = None
        self._timeline = Timeline(interval)
        self._early: list[AnyPacket] = []
        """Packets after a discontinuity that the video has not reached; it will determine how far they are
        moved."""
        self._settling = False
        self._held_bytes = 0
        self._trouble: str | None = None
        self._unseen: list[str] = []
        """Streams that began after the searched part of the file."""
        self.refused = 0
        """Number of packets that the muxer refused later, without naming them."""

    @property
    def source(self) -> Any:
        """The open demuxer, for tags and chapters."""
        return self._source

    def close(self) -> None:
        self._packets = None
        self._source.close()

    def add(self, index: int, out: Any, container: Container) -> None:
        """Make the output stream for source stream `index`, if it has one."""
        plan = self._plans[index]
        template = self._source.streams[index]
        if plan.action is Action.ATTACH:
            self._attachments.attach(template, out)
            return
        if plan.action is Action.COPY:
            target = add_copy(out, template, plan.windows, plan.aac)
            converter: AudioConverter | TextConverter | None = None
        elif plan.action is Action.CONVERT:
            target = out.add_stream(plan.codec, options=plan.sound.options if plan.sound else None)
            if plan.sound is not None:
                converter = AudioConverter(template, target, plan.sound)
            else:
                converter = TextConverter(template, target)
        else:
            return
        target.metadata.clear()
        language = plan.stream.language  # may come from an added file's name
        target.metadata.update(stream_tags(template.metadata, muxer=container.muxer, language=language))
        cover = template.disposition & Disposition.attached_pic
        flags = Disposition(0)
        for name in plan.stream.dispositions:
            flags |= Disposition[name]
        target.disposition = cover or flags  # MP4 recognises covers only without other flags
        strip: EvenAac | LatmFilter | None = LatmFilter(plan.aac.config) if plan.aac else None
        if strip is None and plan.action is Action.COPY and has_adts(template) and container.name != "ts":
            config = audio_config(Path(self._source.name), index, self._probing)
            strip = EvenAac(template, config)
            target.codec_context.extradata = config
        dense = template.type in ("audio", "video") and not cover
        unit = as_fraction(template.time_base)
        start = template.start_time
        sound = plan.stream.kind is StreamKind.AUDIO
        shares = sound and self._source.format.name in _SHARING
        self._routes[index] = Route(
            plan=plan,
            unit=unit,
            target=target,
            shift=self._shift,
            converter=converter,
            dense=dense,
            step=int(dense and container.strict_decode_order),
            strip=strip,
            stamps=SharedStamps() if shares else None,
            edits=EditedSound(decoded=converter is not None) if sound else None,
            trimmer=PacketTrimmer(plan.stream.kind, self._cut, unit, plan.stream.codec)
            if self._cut
            else None,
            sets=DisplaySets(template) if self._cut and plan.stream.codec == PGS else None,
            # Do not wait for packets of a stream before the time that it begins.
            reached=start * unit if self._probing.size and start is not None else None,
        )

    def take(self, until: Fraction | None) -> Iterator[AnyPacket]:
        """Packets due by `until` seconds of the output, ready to be muxed; all remaining ones for None.

        They come in order of decode time, with timestamps in the output stream's units.
        """
        limit = None if until is None else until + self._shift
        while True:
            self._read(limit)
            due = [r for r in self._routes.values() if r.held and (limit is None or r.held[0][0] <= limit)]
            if not due:
                return
            route = min(due, key=lambda route: route.held[0][0])
            _, packet = route.held.popleft()
            self._held_bytes -= packet.size
            yield from route.finished(packet)

    def flush(self) -> Iterator[AnyPacket]:
        """The last packets of the converters, after everything has been taken."""
        for route in self._routes.values():
            yield from route.flush()

    def failed(self, packet: AnyPacket, error: BaseException) -> bool:
        """Note that the muxer refused `packet`, if it is one of these; return whether it is."""
        for route in self._routes.values():
            if route.target.index == packet.stream_index:
                route.note_failure(error)
                return True
        return False

    @property
    def warnings(self) -> list[str]:
        """Problems so far, one sentence for each stream and kind."""
        sentences = [self._trouble] if self._trouble else []
        sentences += [
            f"a stream that begins late was not found in time and is missing ({words}):"
            " render again with --probesize all"
            for words in self._unseen
        ]
        if self.refused:
            sentences.append(
                f"{counted(self.refused, 'damaged packet')} of the copied streams could not be written"
            )
        for route in self._routes.values():
            sentences += route.warnings
        return sentences

    def _read(self, limit: Fraction | None) -> None:
        """Read until every dense stream has passed `limit`, the source ends, or `HOLD_BYTES` are held."""
        if self._packets is None:
            self._packets = self._demux()
        while not self._ended and self._held_bytes < HOLD_BYTES and self._wants_more(limit):
            packet = None if self._is_past_cut() else next(self._packets, None)
            if packet is None:
                self._ended = True
                self._unseen = streams_since(self._source)
                for route in self._routes.values():
                    last, route.far = route.far, []
                    stamped = route.stamps.rest() if route.stamps else ()
                    for timed in (*last, *stamped, *(route.sets.add(None) if route.sets else ())):
                        self._hold_timed(route, timed)
                self._hold_early(settling=True)
                for route in self._routes.values():
                    for standing in route.trimmer.rest() if route.trimmer else ():
                        self._keep(route, standing)
            else:
                self._hold(packet)

    def _is_past_cut(self) -> bool:
        """Whether all dense streams have been read to the end of the cut, with a margin."""
        if self._cut is None or self._cut.end is None:
            return False
        return all(t is not None and self._cut.is_past(t - _SUBTITLES_LATE) for t in self._reached())

    def _wants_more(self, limit: Fraction | None) -> bool:
        if limit is None or not self._routes:
            return bool(self._routes)
        return any(time is None or time <= limit for time in self._reached())

    def _reached(self) -> list[Fraction | None]:
        """The time up to which the dense streams have been read; all streams in a file without video."""
        if self._video is None:
            return [route.reached for route in self._routes.values()]
        return [route.reached for route in self._routes.values() if route.dense] + [self._video_reached]

    def _demux(self) -> Iterator[AnyPacket]:
        for stream in self._source.streams:
            if stream.index != self._video and stream.index not in self._routes:
                stream.discard = Discard.all
        try:
            self._seek_to_cut()
            yield from self._watch.read(self._source)
        except AV_ERRORS as error:
            self._trouble = f"the source could not be read to its end: {reason(error)}"

    def _seek_to_cut(self) -> None:
        """Seek to the cut if that is safe; a subtitle may have begun long before."""
        kinds = {route.plan.stream.kind for route in self._routes.values()}
        if self._cut and StreamKind.SUBTITLE not in kinds and has_index(self._source):
            begin = self._cut.start - _RUN_UP
            stream = None if self._video is None else self._source.streams[self._video]
            first = (stream.start_time or 0) * as_fraction(stream.time_base) if stream else Fraction(0)
            if begin > max(Fraction(0), first):  # FFmpeg seeks to key frames, of which the first may be later
                self._source.seek(round(begin * 1_000_000))

    def _hold(self, packet: AnyPacket) -> None:
        index = packet.stream.index
        route = self._routes.get(index)
        if route is None:
            if index == self._video:
                self._video_passes(packet)
            return
        if packet.size == 0:
            return  # the end of the stream, or nothing to copy
        if route.sets is not None:
            for whole in route.sets.add(packet):
                self._hold_timed(route, whole)
            return
        for played in (packet,) if route.edits is None else route.edits.add(packet):
            for timed in (played,) if route.stamps is None else route.stamps.add(played):
                for near in self._near(route, timed):
                    self._hold_timed(route, near)

    def _near(self, route: Route, packet: AnyPacket) -> list[AnyPacket]:
        """The packets to go on with. Those that are far from the ones before are held until it is clear
        whether their timestamps stray, as those of pictures do (see `timestamps.with_strays`)."""
        time = self._time(route, packet)
        if not route.dense or route.reached is None or time is None:
            return [packet]
        held, route.far = route.far, []
        if abs(time - route.reached) <= DISCONTINUITY_SECONDS:
            step = (time - route.reached) / (len(held) + 1)
            for number, stray in enumerate(held, 1):
                was = self._time(route, stray)
                assert was is not None, "packets without a time are not far from others"
                move(stray, round((route.reached + number * step - was) / route.unit))
            route.strays += len(held)
            return [*held, packet]
        if len(held) < MOST_STRAYS:
            route.far = [*held, packet]
            return []
        return [*held, packet]

    def _time(self, route: Route, packet: AnyPacket) -> Fraction | None:
        """The time of a packet on the clock of the video, in seconds."""
        stamp = decoding_stamp(packet)
        if stamp is None:
            return None
        return stamp * route.unit + self._timeline.shift(stamp * route.unit) + route.lag

    def _hold_timed(self, route: Route, packet: AnyPacket) -> None:
        index = packet.stream.index
        stamp = decoding_stamp(packet)
        if stamp is None:
            route.reached = self._shift if route.reached is None else route.reached
        else:
            shift = self._timeline.shift(stamp * route.unit) + route.lag
            time = stamp * route.unit + shift
            back = route.reached - time if route.dense and route.reached is not None else Fraction(0)
            if not self._settling and (back > DISCONTINUITY_SECONDS or self._has_early(index)):
                self._early.append(packet)
                if len(self._early) >= _MAX_EARLY:
                    self._hold_early(settling=True)
                return
            if back > DISCONTINUITY_SECONDS:
                route.lag += back  # only this stream jumps, not the video
                shift, time = shift + back, time + back
            move(packet, round(shift / route.unit))
            route.reached = time
        for admitted in (packet,) if route.trimmer is None else route.trimmer.trim(packet):
            self._keep(route, admitted)

    def _video_passes(self, packet: AnyPacket) -> None:
        if packet.is_discard:
            return  # an edit list leaves it out: its time may lie anywhere
        unit = as_fraction(packet.time_base)
        if packet.pts is not None and self._timeline.video_passes(packet.pts * unit, packet.is_keyframe):
            self._hold_early(settling=False)
        stamp = decoding_stamp(packet)
        if stamp is not None:
            self._video_reached = stamp * unit + self._timeline.latest_shift

    def _has_early(self, index: int) -> bool:
        return any(packet.stream.index == index for packet in self._early)

    def _hold_early(self, *, settling: bool) -> None:
        """Take the buffered packets; with `settling`, do not wait for the video."""
        early, self._early = self._early, []
        self._settling = settling
        for packet in early:
            self._hold_timed(self._routes[packet.stream.index], packet)
        self._settling = False

    def _keep(self, route: Route, packet: AnyPacket) -> None:
        stamp = decoding_stamp(packet)
        time = self._shift if route.reached is None else route.reached
        route.held.append((time if stamp is None else stamp * route.unit, packet))
        self._held_bytes += packet.size
