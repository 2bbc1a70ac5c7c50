"""`QuantiserMeter`: the quantiser of every frame of a stream, and the source of that value."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import av

from paragon_stream.media.quantisers.av1 import Av1Headers
from paragon_stream.media.quantisers.exported import EXPORT_QUANTISERS, EXPORTED_LATE, exported_quantiser
from paragon_stream.media.quantisers.h264 import H264Headers
from paragon_stream.media.quantisers.hevc import HevcHeaders
from paragon_stream.media.quantisers.jpeg import JpegHeaders
from paragon_stream.media.quantisers.scale import Scale, on_h264_scale
from paragon_stream.media.quantisers.vp9 import Vp9Headers

_EXPORTED = {
    "h264": Scale.H264,
    "mpeg1video": Scale.MPEG2,
    "mpeg2video": Scale.MPEG2,
    "vp9": Scale.VP9,
    **dict.fromkeys(
        ("mpeg4", "h263", "h263p", "flv1", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2"), Scale.MPEG4
    ),
}
"""Codecs whose decoders export quantisers (see `exported`), by FFmpeg's name."""

_MEZZANINE = ("prores", "dnxhd", "cfhd")
"""Lossy codecs for editing, whose losses are invisible."""

_INTRA = ("mjpeg", "mjpegb", "dvvideo", "jpeg2000", "hap", "speedhq")

_HARDEST_ESTIMATE = 28.0
"""Factor on estimates. They may be far off, and too high a strength is worse than too low a one."""

_MOST_WAITING = 1024
"""Number of packets without a decoded frame that are kept."""


class Origin(StrEnum):
    """The source of a quantiser value."""

    DECODER = "exported by the decoder"
    HEADERS = "read from packet headers"
    ESTIMATED = "estimated from coded bits per pixel"
    CLEAN = "a codec without visible loss"


@dataclass(frozen=True, slots=True)
class Reading:
    """One frame's mean quantiser on H.264's 8-bit scale, and the codec's own number (`raw`) if it has one."""

    quantiser: float
    origin: Origin
    bits_per_pixel: float
    """Coded bits of the frame's packet, per pixel of luma."""
    raw: float | None = None


class _Headers(Protocol):
    def quantiser(self, packet: bytes) -> float | None: ...


class QuantiserMeter:
    """Reads the quantisers of one stream, whose decoder `codec` is not open yet. Not thread-safe.

    Every packet goes through `sent` before it is decoded, in coded order, under a key that the frames made
    of it carry; `of` gives a frame's reading.
    """

    def __init__(self, codec: av.VideoCodecContext, *, on_gpu: bool = False) -> None:
        """GPUs export no quantisers, so with `on_gpu` the headers of H.264 and VP9 are read too: the
        quantisers of slices and frames; those of blocks may vary around them."""
        name = codec.codec.canonical_name
        self._clean = name in _MEZZANINE or (codec.codec.lossless and not codec.codec.lossy)
        self._exported = _EXPORTED.get(name)
        self._headers: _Headers | None = None
        self._scale = self._exported or Scale.H264
        self._bits_scale = Scale.INTRA_BITS if name in _INTRA else Scale.BITS
        self._exports = False
        self._waiting: OrderedDict[object, tuple[int, float | None]] = OrderedDict()
        """Key → bytes of the packet, and the quantiser in its headers."""
        match name:
            case "hevc":
                self._headers, self._scale = HevcHeaders(codec.extradata), Scale.HEVC
            case "av1":
                self._headers, self._scale = Av1Headers(codec.extradata), Scale.AV1
            case "mjpeg":
                self._headers, self._scale = JpegHeaders(), Scale.JPEG
            case "h264" if on_gpu:
                self._headers, self._exported = H264Headers(codec.extradata), None
            case "vp9" if on_gpu:
                self._headers, self._exported = Vp9Headers(), None
        if self._exported is not None:
            codec.options = {**codec.options, **EXPORT_QUANTISERS}
        self.wants_whole_frames = name in EXPORTED_LATE and self._exported is not None
        """Whether the decoder must not use frame threads; see `exported`."""

    def sent(self, key: object, packet: av.Packet[av.VideoStream]) -> None:
        """`packet` is decoded next."""
        value = self._headers.quantiser(bytes(packet)) if self._headers else None
        self._waiting[key] = packet.size, value
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    def of(self, key: object, frame: av.VideoFrame) -> Reading | None:
        """The reading of `frame`, decoded from the packet sent under `key`; None if unknown."""
        size, value = self._waiting.pop(key, (0, None))
        bits = 8 * size / (frame.width * frame.height)
        if self._clean:
            return Reading(0.0, Origin.CLEAN, bits)
        if self._exported is not None:
            value = exported_quantiser(frame, depth=frame.format.components[0].bits)
            self._exports |= value is not None
            if value is None and self._exports:
                return None  # the last frame of MPEG streams
        if value is not None:
            origin = Origin.HEADERS if self._exported is None else Origin.DECODER
            return Reading(on_h264_scale(self._scale, value), origin, bits, value)
        estimate = min(on_h264_scale(self._bits_scale, bits), _HARDEST_ESTIMATE)
        return Reading(estimate, Origin.ESTIMATED, bits) if size else None
