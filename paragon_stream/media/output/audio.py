"""Re-encodes sound that the container cannot hold: losslessly if it can, else at a high bit rate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av

from paragon_stream.errors import UsageError
from paragon_stream.media.facts.containers import Container
from paragon_stream.media.facts.streams import codec_name
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.number_text import parse_bit_rate

BITS_PER_CHANNEL = 96_000
"""Bits per second per channel: transparent to listeners, for Opus and for FFmpeg's AAC."""
_MOST_BITS = 100_000_000
"""The largest bit rate of sound that can be requested."""

_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Layouts that the encoders accept, by number of channels. Side and back speakers are renamed, not mixed."""
_USUAL_RATE = 48_000
_ALAC_CHANNELS = (1, 2, 3, 5, 6)
"""Numbers of channels for which ALAC has the layouts above."""
_ENCODERS = {"opus": "libopus", "mp3": "libmp3lame", "vorbis": "libvorbis"}
_LOSSLESS = frozenset({"flac", "alac", "tta", "wavpack", "truehd", "mlp", "s302m"})
_WAVPACK = "wavpack"
"""The only encoder that stores all 32 bits."""


@dataclass(frozen=True, kw_only=True)
class SoundCoding:
    """The encoding of sound. `sample_format` is FFmpeg's name of the encoder's input format, "" for its
    default.

    `bit_rate` is in bits per second for all channels together; None is the default of lossy encoders.
    """

    encoder: str
    sample_format: str = ""
    bit_rate: int | None = None

    @property
    def codec(self) -> str:
        """FFmpeg's name of the resulting codec."""
        return av.Codec(self.encoder, "w").canonical_name

    @property
    def options(self) -> dict[str, str]:
        """FFmpeg's options of the encoder; without them FLAC would have 32 bits, which few players
        support."""
        narrow = self.encoder != _WAVPACK and self.sample_format in ("s32", "s32p")
        return {"bits_per_raw_sample": "24"} if narrow else {}

    @property
    def lossless(self) -> bool:
        return self.encoder in _LOSSLESS or self.encoder.startswith("pcm_")

    def lost_bits(self, source: Any) -> str:
        """The loss if this lossless codec stores fewer bits of a sample than the sound of the stream `source`
        has, else ""."""
        bits, _ = _precision(source)
        format = self.sample_format.rstrip("p")
        stored = {"s16": 16, "flt": 32}.get(format, 32 if self.encoder == _WAVPACK else 24)
        return f"{self.encoder} stores {stored} of its {bits} bits" if bits > stored else ""


def lossless_coding(container: Container, source: Any) -> SoundCoding | None:
    """The encoding that stores the sound of the stream `source` in `container` losslessly; None if there is
    none.

    Lossy sound is stored in 24 bits, which is enough for its decoder's output, and so is WavPack's floating
    point in MP4, whose lossless codecs have no more.
    """
    bits, floats = _precision(source)
    channels = source.codec_context.layout.nb_channels
    if bits > 24 and container.name in ("mkv", "mov"):
        kind = "f" if floats else "s"
        return SoundCoding(encoder=f"pcm_{kind}{bits}le", sample_format=floats or "s32")
    if bits > 24 and codec_name(source) != _WAVPACK:
        return None
    wide = "s16" if bits == 16 else "s32"
    if container.name == "mov":  # editors read PCM
        return SoundCoding(encoder=f"pcm_s{bits}le", sample_format=wide)
    if container.name == "mp4" and channels in _ALAC_CHANNELS:
        return SoundCoding(encoder="alac", sample_format=f"{wide}p")
    if container.name in ("mp4", "mkv") and channels <= max(_LAYOUTS):
        return SoundCoding(encoder="flac", sample_format=wide)
    return None


def _precision(source: Any) -> tuple[int, str]:
    """Bits per sample of the sound of the stream `source`, and the name of their format if they are floating
    point, else "". Sound of lossy codecs has 24 bits."""
    context, name = source.codec_context, codec_name(source)
    format = context.format.name.rstrip("p") if context.format is not None else "flt"
    if name.startswith(("pcm_f", _WAVPACK)) and format in ("flt", "dbl"):
        return (32 if format == "flt" else 64), format
    if format == "s32" and (name.startswith("pcm_s32") or context.bits_per_raw_sample == 32):
        return 32, ""
    return (16 if format in ("u8", "s16") else 24), ""


def fitting_coding(wanted: SoundCoding, source: Any) -> tuple[SoundCoding, str]:
    """`wanted` with the sample format that holds the sound of the stream `source`, and the loss if there is
    none, else "". Names of PCM, and lossy encoders, say themselves what is stored."""
    if wanted.encoder not in _LOSSLESS:
        return wanted, ""
    formats = {each.name.rstrip("p"): each.name for each in av.Codec(wanted.encoder, "w").audio_formats or ()}
    bits, floats = _precision(source)
    best = "flt" if floats and "flt" in formats else "s16" if bits <= 16 else "s32"
    fitting = replace(wanted, sample_format=formats.get(best, ""))
    return fitting, fitting.lost_bits(source)


def wanted_coding(codec: str, bit_rate: int | None) -> SoundCoding:
    """The encoder that the user named. Raises UsageError if it is not an audio encoder."""
    try:
        found = av.Codec(_ENCODERS.get(codec.lower(), codec.lower()), "w")
    except (*AV_ERRORS, LookupError):
        found = None
    if found is None or found.type != "audio":
        raise UsageError(
            f"unknown audio codec {codec!r}: choose aac, libopus, flac, ac3 or another of FFmpeg's"
        )
    return SoundCoding(encoder=found.name, bit_rate=bit_rate)


def audio_bit_rate(value: str | int | None) -> int | None:
    """Bits per second that --audio-bitrate requests; None for None. Raises UsageError."""
    return parse_bit_rate("--audio-bitrate", value, most=_MOST_BITS, like="192k")


class EvenSound:
    """Decoded sound of any kind in, sound of the kind of the first frame out.

    Broadcasts change between stereo and 5.1. Encoders, and FFmpeg's resampler, accept frames of one kind.
    """

    def __init__(self) -> None:
        self.changes = 0
        """Number of times that the kind has changed."""
        self._first: tuple[str, str, int] | None = None
        self._now: tuple[str, str, int] | None = None
        """Sample format, layout and rate: of the first frame and of the latest one."""
        self._tick = Fraction(1)
        self._resampler: av.AudioResampler | None = None
        """From the present kind to the first one; None if they are the same."""

    def __call__(self, frame: Any) -> list[Any]:
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if self._first is None:
            self._first = self._now = kind
            self._tick = Fraction(frame.time_base)
        ended = []
        if kind != self._now:
            ended, self._now = self.flush(), kind
            self.changes += 1
            self._resampler = None if kind == self._first else av.AudioResampler(*self._first)
        return [*ended, *self._timed([frame] if self._resampler is None else self._resampler.resample(frame))]

    def flush(self) -> list[Any]:
        """The last frames, which the resampler still holds."""
        return [] if self._resampler is None else self._timed(self._resampler.resample(None))

    def _timed(self, frames: list[Any]) -> list[Any]:
        """`frames` with times in the unit of the first frame: the encoder's resampler accepts no other."""
        for frame in frames:
            if frame.pts is not None and frame.time_base != self._tick:
                frame.pts = round(frame.pts * Fraction(frame.time_base) / self._tick)
                frame.time_base = self._tick
        return frames


class Transcoder:
    """Packets of one audio codec in, packets of another out.

    Packets come out with times in units of `unit` seconds. Raises what PyAV raises.
    """

    def __init__(self, decoder: Any, encoder: Any, unit: Fraction) -> None:
        self.unit = unit
        self._decoder, self._encoder = decoder, encoder
        self._even = EvenSound()
        self._next: Fraction | None = None
        """Start of the next frame, in seconds."""
        self._tick = unit
        """The unit of the decoder's stamps."""

    def continue_with(self, decoder: Any) -> None:
        """Take packets of another stream from now on."""
        self._decoder = decoder

    @property
    def changes(self) -> int:
        """Number of times that the rate, the channels or the format of the sound has changed."""
        return self._even.changes

    def convert(self, packet: Any) -> list[Any]:
        """The packets that are complete now."""
        frames = self._timed(self._decoder.decode(packet))
        return [made for frame in frames for even in self._even(frame) for made in self._encoder.encode(even)]

    def flush(self) -> list[Any]:
        """The last packets, from the frames that the decoder and the encoder still hold."""
        try:
            rest = self._timed(self._decoder.decode(None))
        except AV_ERRORS:
            rest = []  # the end is damaged; the sound before it is kept
        frames = [even for frame in rest for even in self._even(frame)] + self._even.flush()
        return [packet for frame in [*frames, None] for packet in self._encoder.encode(frame)]

    def _timed(self, frames: list[Any]) -> list[Any]:
        """`frames`; those without a timestamp, such as the last ones, follow the one before."""
        for frame in frames:
            if frame.pts is None and self._next is not None:
                # In the unit of the others: the resampler accepts no other.
                frame.time_base, frame.pts = self._tick, round(self._next / self._tick)
            if frame.pts is not None:
                self._tick = Fraction(frame.time_base)
                self._next = frame.pts * self._tick + Fraction(frame.samples, frame.sample_rate)
        return frames


class AudioConverter(Transcoder):
    """The transcoder of one stream of a source into one stream of an output."""

    def __init__(self, source: Any, target: Any, coding: SoundCoding) -> None:
        """`source`: the stream that packets come from; `target`: the output stream, not open yet."""
        decoder, encoder = source.codec_context, target.codec_context
        # A stream whose first packet comes late has no rate and no channels yet.
        rate = decoder.sample_rate or _USUAL_RATE
        rates = encoder.codec.audio_rates or [rate]
        if rate not in rates or encoder.codec.canonical_name == "opus":  # decoders of Opus return 48 kHz
            rate = _USUAL_RATE if _USUAL_RATE in rates else max(rates)
        channels = decoder.layout.nb_channels or 2
        if not coding.encoder.startswith("pcm_"):
            channels = min(channels, max(_LAYOUTS))
        super().__init__(decoder, encoder, Fraction(1, rate))
        encoder.sample_rate = rate
        encoder.layout = _LAYOUTS.get(channels, decoder.layout.name)
        if coding.sample_format:
            encoder.format = coding.sample_format
        if not coding.lossless:
            encoder.bit_rate = coding.bit_rate or BITS_PER_CHANNEL * channels
        encoder.time_base = self.unit
        target.time_base = self.unit


_JITTER = Fraction(1, 20)
"""Seconds by which timestamps may be wrong in a continuation: after a change of the rate, FFmpeg's demuxer of
transport streams guesses them by the first rate."""


class _Continuation(Transcoder):
    """Its frames follow each other without gaps, unless their timestamps are off by more than `_JITTER`.

    Leaves out packets from before the first frame, which an encoder makes to start up.
    """

    _begin: Fraction | None = None
    _due: Fraction | None = None
    """Time at which the next frame begins, in seconds, if there is no gap."""

    def _timed(self, frames: list[Any]) -> list[Any]:
        for frame in super()._timed(frames):
            if frame.pts is None:
                continue
            unit = Fraction(frame.time_base)
            begin = frame.pts * unit
            if self._due is not None and abs(begin - self._due) <= _JITTER:
                begin = self._due
                frame.pts = round(begin / unit)
            self._due = begin + Fraction(frame.samples, frame.sample_rate)
        return frames

    def convert(self, packet: Any) -> list[Any]:
        made = super().convert(packet)
        if self._begin is None and packet.pts is not None:
            self._begin = packet.pts * Fraction(packet.time_base)
        return [each for each in made if self._begin is None or each.pts * self.unit >= self._begin]


def continuation(decoder: Any, codec: str, rate: int, layout: str) -> Transcoder:
    """A transcoder that continues a copied stream of this `codec`, `rate` and `layout` with what `decoder`
    decodes.

    Raises what PyAV raises.
    """
    encoder: Any = av.CodecContext.create(_ENCODERS.get(codec, codec), "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, layout, encoder.codec.audio_formats[0]
    encoder.time_base = unit = Fraction(1, rate)
    if not SoundCoding(encoder=encoder.codec.name).lossless:
        encoder.bit_rate = BITS_PER_CHANNEL * encoder.layout.nb_channels
    return _Continuation(decoder, encoder, unit)
