"""Encodes and decodes pictures in memory, to give training pairs and tests real artefacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.video.frame import PictureType

from paragon_stream.errors import EngineError, UsageError
from paragon_stream.frame import Timing
from paragon_stream.media.ffmpeg.encoder_guard import guarded_opening
from paragon_stream.media.ffmpeg.errors import av_errors_as
from paragon_stream.media.ffmpeg.planes import Plane, copy_from_frame, copy_to_frame
from paragon_stream.media.frames.strength import StrengthTrack
from paragon_stream.media.quantisers.meter import Origin, QuantiserMeter, Reading

DECODERS = {
    "libx264": "h264",
    "libx265": "hevc",
    "mpeg2video": "mpeg2video",
    "mpeg4": "mpeg4",
    "libvpx-vp9": "vp9",
    "libsvtav1": "libdav1d",
    "mjpeg": "mjpeg",
}
"""Encoders of round trips, and FFmpeg's decoder of what they write."""

QUIET_X265 = "log-level=none:pools=1:frame-threads=1"
"""x265's own parameters in memory: no chatter, no threads beside the caller's."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """An encoder of DECODERS with its options (FFmpeg's names), and its pixel format."""

    encoder: str
    options: Mapping[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded frame: its planes, picture type (I, P, B …), the reading of its quantiser, and the strength
    of `--strength auto`."""

    planes: tuple[Plane, ...]
    picture_type: str
    reading: Reading | None
    strength: float

    @property
    def quantiser(self) -> float | None:
        """Mean quantiser on H.264's 8-bit scale; None where the stream has none."""
        known = self.reading is not None and self.reading.origin is not Origin.ESTIMATED
        return self.reading.quantiser if self.reading is not None and known else None


def round_trip(
    frames: Sequence[tuple[Plane, ...]], encoding: Encoding, rate: Fraction = Fraction(25)
) -> list[Decoded]:
    """Encode `frames` (planes in the encoding's pixel format, all of one size) and decode them again.

    One thread each way, so results are reproducible; those of libx264 only with `mbtree=0`, because its
    macroblock tree reads uninitialised memory at some sizes (224x128: with the same frames, MALLOC_PERTURB_
    changes the bits of FFmpeg's own command, too).

    Raises UsageError for an unknown encoder and EngineError if the codec refuses or frames go missing.
    """
    if encoding.encoder not in DECODERS:
        raise UsageError(f"no round trip through {encoding.encoder}; known: {', '.join(DECODERS)}")
    height, width = frames[0][0].shape[:2]
    with av_errors_as(EngineError, f"round trip through {encoding.encoder}"):
        encoder = av.CodecContext.create(encoding.encoder, "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height = width, height
        encoder.pix_fmt = encoding.pixel_format
        encoder.time_base, encoder.framerate = 1 / rate, rate
        encoder.thread_count = 1
        encoder.options = {"strict": "unofficial", **encoding.options}  # MJPEG of limited range
        with guarded_opening():
            encoder.open()
        packets = []
        for index, planes in enumerate(frames):
            frame = av.VideoFrame(width, height, encoding.pixel_format)
            copy_to_frame(planes, frame)
            frame.pts, frame.time_base = index, 1 / rate
            packets += encoder.encode(frame)
        packets += encoder.encode(None)

        decoder = av.CodecContext.create(DECODERS[encoding.encoder], "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.thread_count = 1
        decoder.copy_opaque = True
        meter = QuantiserMeter(decoder)
        decoded: list[tuple[av.VideoFrame, Reading | None]] = []
        for key, packet in enumerate([*packets, None]):
            if packet is not None:
                packet.opaque = key
                meter.sent(key, packet)
            decoded += [(frame, meter.of(frame.opaque, frame)) for frame in decoder.decode(packet)]
    if len(decoded) != len(frames):
        raise EngineError(f"{encoding.encoder} returned {len(decoded)} of {len(frames)} frames")
    results = []
    strengths = _strengths(decoded, rate)
    for (frame, reading), strength, source in zip(decoded, strengths, frames, strict=True):
        planes = tuple(np.empty_like(plane) for plane in source)
        copy_from_frame(frame, planes)
        results.append(
            Decoded(
                planes=planes,
                picture_type=PictureType(frame.pict_type).name,
                reading=reading,
                strength=strength,
            )
        )
    return results


def _strengths(decoded: Sequence[tuple[av.VideoFrame, Reading | None]], rate: Fraction) -> list[float]:
    """The strengths that a render of these frames would use."""
    readings = iter([reading for _, reading in decoded])
    track = StrengthTrack(lambda frame: next(readings))
    timed = ((frame, Timing(pts=n, duration=1, time_base=1 / rate)) for n, (frame, _) in enumerate(decoded))
    return [track.at(timing.time) for _, timing in track.watch(timed)]
