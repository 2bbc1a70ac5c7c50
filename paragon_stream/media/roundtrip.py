"""Pictures through a video codec and back, in memory: how training pairs and tests get real artefacts.

Also what a decoded frame tells about how hard it was quantised (`mean_quantiser`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import PictureType

from paragon_stream.errors import EngineError, UsageError
from paragon_stream.media.av_errors import av_errors_as
from paragon_stream.media.planes import Plane, copy_from_frame, copy_to_frame
from paragon_stream.media.scheduling import ordinary_scheduling

DECODERS = {
    "libx264": "h264",
    "libx265": "hevc",
    "mpeg2video": "mpeg2video",
    "mpeg4": "mpeg4",
    "libvpx-vp9": "vp9",
    "libsvtav1": "libdav1d",
}
"""Encoders that a round trip knows, and FFmpeg's decoder of what they write."""

EXPORT_QUANTISERS = {"export_side_data": "venc_params"}
"""Decoder options that make FFmpeg attach quantisers to frames; see `mean_quantiser`."""

_QUANTISER_HEADER = struct.Struct("<IxxxxQQii")
_H264, _MPEG2, _VP9 = 1, 2, 0


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """An encoder of DECODERS with its options (FFmpeg's names), and the pixel format it is fed."""

    encoder: str
    options: Mapping[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A frame that came back: its planes, picture type (I, P, B …), and mean quantiser where known."""

    planes: tuple[Plane, ...]
    picture_type: str
    quantiser: float | None


def round_trip(
    frames: Sequence[tuple[Plane, ...]], encoding: Encoding, rate: Fraction = Fraction(25)
) -> list[Decoded]:
    """Encode `frames` (planes in the encoding's pixel format, all of one size) and decode them again.

    One thread each way, so results are reproducible. Raises UsageError for an unknown encoder and EngineError
    if the codec refuses or frames go missing.
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
        encoder.options = dict(encoding.options)
        with ordinary_scheduling():
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
        decoder.options = dict(EXPORT_QUANTISERS)
        decoded = [frame for packet in packets for frame in decoder.decode(packet)]
        decoded += decoder.decode(None)
    if len(decoded) != len(frames):
        raise EngineError(f"{encoding.encoder} gave back {len(decoded)} of {len(frames)} frames")
    depth = 8 if frames[0][0].dtype == np.uint8 else 10
    results = []
    for frame, source in zip(decoded, frames, strict=True):
        planes = tuple(np.empty_like(plane) for plane in source)
        copy_from_frame(frame, planes)
        results.append(
            Decoded(
                planes=planes,
                picture_type=PictureType(frame.pict_type).name,
                quantiser=mean_quantiser(frame, depth=depth),
            )
        )
    return results


def mean_quantiser(frame: av.VideoFrame, *, depth: int = 8) -> float | None:
    """Mean quantiser over the picture on H.264's 8-bit scale (0…51), or None where the decoder tells none.

    The frame must come from a decoder opened with EXPORT_QUANTISERS, and for H.264 without frame threads.
    H.264 and VP9 values are the codec's; H.264's count from another zero above 8 bits. MPEG-2's and
    MPEG-4's linear quantiser is put on H.264's logarithmic scale (6 per doubling), VP9's index (0…255)
    through its step size.
    """
    data = next((bytes(d) for kind, d in frame.side_data.items() if kind is Type.VIDEO_ENC_PARAMS), None)
    if data is None:
        return None
    count, offset, size, kind, base = _QUANTISER_HEADER.unpack_from(data)
    mean = float(base)
    if count:
        blocks = np.ndarray((count, 5), np.int32, data, offset, (size, 4))
        area = blocks[:, 2].astype(np.float64) * blocks[:, 3]
        if area.sum() > 0:
            mean += float((blocks[:, 4] * area).sum() / area.sum())
    if kind == _H264:
        return max(0.0, mean - 6 * (depth - 8))
    if kind == _MPEG2:
        return float(12 + 6 * np.log2(max(mean, 1.0)))
    if kind == _VP9:
        return float(51 * mean / 255)
    return None
