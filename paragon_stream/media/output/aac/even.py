"""AAC whose configuration changes, for containers that store one configuration."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from paragon_stream.media.output.aac.adts import AdtsFilter
from paragon_stream.media.output.audio import Transcoder, continuation

type Kind = tuple[int, int, int]
"""Object type, index of the sample rate, and channels (ISO/IEC 14496-3, 1.6.2.1)."""

LOW_COMPLEXITY = 2
"""The object type that FFmpeg's encoder writes."""
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "7.1"}
"""By the number of the channel configuration."""


class EvenAac:
    """ADTS packets of one stream in, packets without headers and of one configuration out.

    Broadcasts change between stereo and 5.1. Matroska and MP4 have one configuration, by which players decode
    all packets: others would sound wrong. These are decoded, converted and encoded again.
    """

    def __init__(self, template: Any, config: bytes | None) -> None:
        """`config`: the AudioSpecificConfig that the container stores."""
        self.changes = 0
        """Number of times that the configuration has changed."""
        self.unconverted = 0
        """Packets of another configuration than the stored one that were left as they are."""
        self._strip = AdtsFilter(template)
        self._stored = None if config is None else kind_of_config(config)
        self._now = self._stored
        self._other: Transcoder | None = None
        self._unit = Fraction(1)

    def __call__(self, packet: Any) -> list[Any]:
        """The packets that are complete now. Raises PyAV's errors for damaged packets."""
        kind = kind_of_packet(packet)
        if kind is not None and self._stored is not None and kind != self._now:
            ended, self._now = self.flush(), kind
            self.changes += 1
            self._other = self._transcoder() if kind != self._stored else None
            return [*ended, *self._finished(packet)]
        return self._finished(packet)

    def flush(self) -> list[Any]:
        """The last packets, which the encoder still holds."""
        return [] if self._other is None else self._timed(self._other.flush(), self._other.unit)

    def _finished(self, packet: Any) -> list[Any]:
        self._unit = Fraction(packet.time_base)
        if self._other is not None:
            return self._timed(self._other.convert(packet), self._other.unit)
        self.unconverted += self._now != self._stored
        bare = self._strip(packet)
        return [] if bare is None else [bare]

    def _timed(self, packets: list[Any], unit: Fraction) -> list[Any]:
        """`packets` with times in the unit of the source."""
        for packet in packets:
            factor = unit / self._unit
            packet.pts, packet.duration = round(packet.pts * factor), round((packet.duration or 0) * factor)
            packet.dts, packet.time_base = packet.pts, self._unit
        return packets

    def _transcoder(self) -> Transcoder | None:
        """None if FFmpeg cannot encode as the stored configuration says."""
        assert self._stored is not None
        object_type, rate, channels = self._stored
        if object_type != LOW_COMPLEXITY or rate >= len(_RATES) or channels not in _LAYOUTS:
            return None
        decoder = av.CodecContext.create("aac", "r")
        return continuation(decoder, "aac", _RATES[rate], _LAYOUTS[channels])


def kind_of_packet(packet: Any) -> Kind | None:
    """The kind in the ADTS header (1.A.2.2.1) of `packet`; None without a valid header."""
    head = bytes(memoryview(packet)[:4])
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xF0 != 0xF0:
        return None
    return (head[2] >> 6) + 1, head[2] >> 2 & 15, (head[2] & 1) << 2 | head[3] >> 6


def kind_of_config(config: bytes) -> Kind | None:
    """The kind in an AudioSpecificConfig; None for kinds that ADTS cannot express."""
    if len(config) < 2:
        return None
    kind = config[0] >> 3, (config[0] & 7) << 1 | config[1] >> 7, config[1] >> 3 & 15
    return kind if kind[0] <= 4 and kind[1] < len(_RATES) else None
