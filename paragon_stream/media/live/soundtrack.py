"""The sound of a live source on its way into the output: copied where the container takes it, else AAC."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import av

from paragon_stream.media.decode.timestamps import rescale
from paragon_stream.media.facts.containers import TS, Container
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.live.connection import Connection
from paragon_stream.media.live.soundqueue import SoundQueue
from paragon_stream.media.output.aac.adts import AdtsFilter, config_of, has_adts
from paragon_stream.media.output.audio import AudioConverter, SoundCoding
from paragon_stream.media.output.trial_muxing import add_copy, refusal


@dataclass(frozen=True, kw_only=True)
class SoundSource:
    """The sound stream of a source: what an output needs, valid even after the source is closed."""

    queue: SoundQueue
    template: Any
    """A stream like the source's."""
    sample: bytes | None
    """The first packet of the stream."""

    @classmethod
    def of(cls, connection: Connection, queue: SoundQueue) -> Self | None:
        """The sound of `connection`; None if it has none. To be called between its feed's `ready` and
        `begin`."""
        if connection.sound is None:
            return None
        # A stream lives as long as its container, and connections are closed by another thread.
        template = add_copy(av.open(io.BytesIO(), "w", format="null"), connection.sound)
        return cls(queue=queue, template=template, sample=connection.first_sound)


class SoundTrack:
    """One output stream of sound."""

    def __init__(self, out: Any, source: SoundSource, container: Container) -> None:
        """Adds the stream to `out`. Raises what PyAV raises."""
        queue, template, sample = source.queue, source.template, source.sample
        self._queue = queue
        self._unit = as_fraction(template.time_base)
        self._last: int | None = None
        self._failed = 0
        self._strip: AdtsFilter | None = None
        self._converter: AudioConverter | None = None
        config = None
        bare = has_adts(template) and container.muxer not in (TS.muxer, "rtp_mpegts")
        if bare and sample is not None:
            config = config_of([av.Packet(sample)], template)
        copied = refusal(container, template, sample) is None and (config is not None or not bare)
        if copied:
            self._target = add_copy(out, template)
            if bare:
                self._strip = AdtsFilter(template)
                self._target.codec_context.extradata = config
        else:
            self._target = out.add_stream(container.audio_encoder)
            coding = SoundCoding(encoder=container.audio_encoder)
            self._converter = AudioConverter(template, self._target, coding)
        self.codec = f"{template.codec_context.codec.canonical_name}" if copied else container.audio_encoder
        self.copied = copied
        queue.wanted = True

    @property
    def index(self) -> int:
        """Index of the output stream."""
        return int(self._target.index)

    @property
    def lost(self) -> int:
        """Packets that could not be decoded, did not follow the one before them in time, or were of another
        kind than the first after an interruption."""
        return self._failed + self._queue.refused

    def take(self, until: Fraction, shift: Fraction) -> Iterator[Any]:
        """Packets up to `until` seconds of the source's clock, ready to be muxed, `shift` seconds earlier."""
        for packet in self._queue.take(until):
            try:
                packets = self._encoded(packet)
            except AV_ERRORS:
                self._failed += 1
                continue
            unit = self._unit if self._converter is None else self._converter.unit
            for each in packets:
                if self._addressed(each, unit, shift):
                    yield each

    def flush(self, shift: Fraction) -> Iterator[Any]:
        """The last packets, which the encoder still holds."""
        if self._converter is not None:
            for packet in self._converter.flush():
                if self._addressed(packet, self._converter.unit, shift):
                    yield packet

    def _encoded(self, packet: Any) -> list[Any]:
        if self._converter is not None:
            return self._converter.convert(packet)
        bare = packet if self._strip is None else self._strip(packet)
        return [] if bare is None else [bare]

    def _addressed(self, packet: Any, unit: Fraction, shift: Fraction) -> bool:
        """Give `packet` its stream and times. False for one from before the picture, or out of order."""
        target = as_fraction(self._target.time_base)
        start = packet.dts if packet.dts is not None else packet.pts
        stamp = rescale(start, unit, shift, target)
        if stamp < 0:
            return False
        if self._last is not None and stamp <= self._last:
            self._failed += 1
            return False
        self._last = stamp
        packet.duration = rescale(packet.duration or 0, unit, Fraction(0), target)
        packet.stream, packet.time_base = self._target, target
        packet.pts = packet.dts = stamp
        return True
