"""Sound encoded again, where the container cannot hold it as it is: a loss, but small beside silence."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from paragon_stream.media.ffmpeg.errors import AV_ERRORS

BITS_PER_CHANNEL = 96_000
"""Bits per second: beyond what listeners tell from the original, for Opus and for FFmpeg's AAC."""

_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""By number of channels: what both encoders take. Side and back speakers are renamed, not mixed."""
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_OPUS_RATE = 48_000


class AudioConverter:
    """Packets of one audio stream in, packets of another codec out.

    Packets come out with times in units of `unit` seconds. Raises what PyAV raises.
    """

    def __init__(self, source: Any, target: Any) -> None:
        """`source`: the stream that packets come from; `target`: the output stream, not open yet."""
        self._decoder, self._encoder = source.codec_context, target.codec_context
        rate = self._decoder.sample_rate
        if self._encoder.codec.canonical_name == "opus":
            rate = _OPUS_RATE
        elif rate not in _AAC_RATES:
            rate = 48_000
        channels = min(self._decoder.layout.nb_channels, max(_LAYOUTS))
        self.unit = Fraction(1, rate)
        self._encoder.sample_rate = rate
        self._encoder.layout = _LAYOUTS[channels]
        self._encoder.bit_rate = BITS_PER_CHANNEL * channels
        self._encoder.time_base = self.unit
        target.time_base = self.unit

    def convert(self, packet: Any) -> list[Any]:
        """The packets that are complete now."""
        return [made for frame in self._decoder.decode(packet) for made in self._encoder.encode(frame)]

    def flush(self) -> list[Any]:
        """What decoder and encoder still hold."""
        try:
            rest = self._decoder.decode(None)
        except AV_ERRORS:
            rest = []  # a damaged end; the sound before it is kept
        return [made for frame in [*rest, None] for made in self._encoder.encode(frame)]
