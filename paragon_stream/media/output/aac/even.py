"""AAC whose configuration changes, for containers that store one configuration."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from paragon_stream.media.output.aac.adts import AdtsFilter
from paragon_stream.media.output.audio import Transcoder, continuation

type Kind = tuple[int, int, int]
"""Object type, index of the sample rate, and channels (ISO/IEC 14496-3, 1.6.2.1)."""

_LOW_COMPLEXITY = 2
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
        self._strip = AdtsFilter(template)
        self._stored = None if config is None else kind_of_config(config)
        self._now = self._stored
        self._other: Transcoder | None = None

    def __call__(self, packet: Any) -> list[Any]:
        """The packets that are complete now. Raises PyAV's errors for damaged packets."""
        kind = kind_of_packet(packet)
        if kind is not None and self._stored is not None and kind != self._now:
            self._now = kind
            self.changes += 1
            self._other = self._transcoder() if kind != self._stored else None
        if self._other is None:
            bare = self._strip(packet)
            return [] if bare is None else [bare]
        unit = Fraction(packet.time_base)
        made = self._other.convert(packet)
        for each in made:
            factor = self._other.unit / unit
            each.pts, each.duration = round(each.pts * factor), round((each.duration or 0) * factor)
            each.dts, each.time_base = each.pts, unit
        return made

    def _transcoder(self) -> Transcoder | None:
        """None if FFmpeg cannot encode as the stored configuration says."""
        assert self._stored is not None
        object_type, rate, channels = self._stored
        if object_type != _LOW_COMPLEXITY or rate >= len(_RATES) or channels not in _LAYOUTS:
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
