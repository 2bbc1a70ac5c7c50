"""The sound of a live source on its way into the output: copied where the container takes it, else AAC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import av

from paragon_stream.media.decode.timestamps import rescale
from paragon_stream.media.facts.containers import TS, Container
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.ffmpeg.stamps import decoding_stamp
from paragon_stream.media.live.connection import Connection
from paragon_stream.media.live.soundkind import SoundKind
from paragon_stream.media.live.soundqueue import SoundQueue
from paragon_stream.media.output.aac.adts import config_of
from paragon_stream.media.output.aac.even import LOW_COMPLEXITY, EvenAac, kind_of_config
from paragon_stream.media.output.audio import AudioConverter, SoundCoding, Transcoder, continuation
from paragon_stream.media.output.trial_muxing import add_copy, refusal

_CONTINUED = ("mp2", "mp3", "ac3", "eac3", "opus")
"""Codecs, besides AAC, whose packets contain all that a decoder needs."""


@dataclass(frozen=True, kw_only=True)
class SoundSource:
    """The sound of a source: its packets, and their kind at the beginning."""

    queue: SoundQueue
    kind: SoundKind

    @classmethod
    def of(cls, connection: Connection, queue: SoundQueue) -> Self | None:
        """The sound of `connection`; None if it has none. To be called between its feed's `ready` and
        `begin`."""
        return None if connection.sound is None else cls(queue=queue, kind=connection.sound)


class SoundTrack:
    """One output stream of sound."""

    def __init__(self, out: Any, source: SoundSource, container: Container) -> None:
        """Adds the stream to `out`. Raises what PyAV raises."""
        self._queue, self._first = source.queue, source.kind
        template, sample = self._first.template, self._first.sample
        self._now = self._first
        """The kind of the latest packet."""
        self._other: Transcoder | None = None
        """Makes packets of the first kind from those of another one; None if that is impossible."""
        self._last: int | None = None
        self._strip: EvenAac | None = None
        self._converter: AudioConverter | None = None
        config = None
        bare = self._first.has_adts and container.muxer not in (TS.muxer, "rtp_mpegts")
        if bare and sample is not None:
            config = config_of([av.Packet(sample)], template)
        complete = bool(self._first.rate and self._first.channels) and (config is not None or not bare)
        copied = complete and refusal(container, template, sample) is None
        if copied:
            self._target = add_copy(out, template)
            if bare:
                self._strip = EvenAac(template, config)
                self._target.codec_context.extradata = config
        else:
            self._target = out.add_stream(container.audio_encoder)
            coding = SoundCoding(encoder=container.audio_encoder)
            self._converter = AudioConverter(template, self._target, coding)
        self.codec = self._first.codec if copied else container.audio_encoder
        self.copied = copied
        source.queue.wanted = True

    @property
    def index(self) -> int:
        """Index of the output stream."""
        return int(self._target.index)

    @property
    def warnings(self) -> list[str]:
        """A sentence if packets of another kind were left as they are."""
        if self._strip is None or not self._strip.unconverted:
            return []
        return [
            "the rate or the channels of the sound change, and it is not converted:"
            " players may play it wrongly"
        ]

    def take(self, until: Fraction, shift: Fraction) -> Iterator[Any]:
        """Packets up to `until` seconds of the source's clock, ready to be muxed, `shift` seconds earlier."""
        return self._taken(until, shift)

    def _taken(self, until: Fraction | None, shift: Fraction) -> Iterator[Any]:
        for packet, kind in self._queue.take(until):
            try:
                packets, unit = self._encoded(packet, kind)
            except AV_ERRORS:
                self._queue.unwritten += 1
                continue
            for each in packets:
                if self._addressed(each, unit, shift):
                    yield each

    def finish(self, end: Fraction, shift: Fraction) -> Iterator[Any]:
        """The last packets, also those that the encoder still holds.

        If the source was stopped, the sound ends at `end`, the end of the picture on the source's clock.
        """
        yield from self._taken(end if self._queue.stopped else None, shift)
        if self._converter is not None:
            for packet in self._converter.flush():
                if self._addressed(packet, self._converter.unit, shift):
                    yield packet

    def _encoded(self, packet: Any, kind: SoundKind) -> tuple[list[Any], Fraction]:
        """The packets for the output, and seconds per tick of their stamps."""
        if kind is not self._now:
            self._change_to(kind)
        if self._converter is not None:
            return self._converter.convert(packet), self._converter.unit
        if kind.key == self._first.key:
            packets = [packet] if self._strip is None else self._strip(packet)
            return packets, as_fraction(kind.template.time_base)
        if self._other is None:
            self._queue.unwritten += 1
            return [], Fraction(1)
        return self._other.convert(packet), self._other.unit

    def _change_to(self, kind: SoundKind) -> None:
        """Prepare for packets of another connection."""
        self._now, self._other = kind, None
        if self._converter is not None:
            self._converter.continue_with(kind.template.codec_context)
        elif kind.key != self._first.key and self._continues:
            first = self._first
            self._other = continuation(kind.template.codec_context, first.codec, first.rate, first.layout)

    @property
    def _continues(self) -> bool:
        """Whether encoded packets can follow the copied ones of the first kind."""
        first = self._first
        if first.codec != "aac":
            return first.codec in _CONTINUED
        config = kind_of_config(bytes(first.template.codec_context.extradata or b""))
        return not first.has_adts and config is not None and config[0] == LOW_COMPLEXITY

    def _addressed(self, packet: Any, unit: Fraction, shift: Fraction) -> bool:
        """Give `packet` its stream and times. False for one without a time, from before the picture, or
        out of order."""
        target = as_fraction(self._target.time_base)
        start = decoding_stamp(packet)
        if start is None or (stamp := rescale(start, unit, shift, target)) < 0:
            return False
        if self._last is not None and stamp <= self._last:
            self._queue.unwritten += 1
            return False
        self._last = stamp
        packet.duration = rescale(packet.duration or 0, unit, Fraction(0), target)
        packet.stream, packet.time_base = self._target, target
        packet.pts = packet.dts = stamp
        return True
