"""Tests which codecs a GPU decodes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.error

from paragon_stream.media.decode.nvdec import decoder_on_gpu
from paragon_stream.media.facts.info import Gpu
from paragon_stream.media.ffmpeg.encoder_guard import guarded_opening

_ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp8": "libvpx",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
}
"""Codec → the encoder that makes a test picture of it."""


def decodes_on_gpu(number: int) -> list[str]:
    """The codecs of `nvdec.CODECS` that the GPU `number` decodes, tested with one picture of each."""
    try:
        decoder_on_gpu("h264", Gpu(number=number))
    except (av.error.FFmpegError, ValueError, OSError):
        return []
    return [codec for codec, encoder in _ENCODERS.items() if _decodes(codec, encoder, number)]


def _decodes(codec: str, encoder: str, number: int) -> bool:
    try:
        context: Any = av.VideoCodecContext.create(encoder, "w")
        context.options = {"x265-params": "log-level=none"} if encoder == "libx265" else {}
        context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"
        context.time_base = Fraction(1, 25)
        picture = av.VideoFrame(256, 256, "yuv420p")
        picture.pts = 0
        with guarded_opening():
            packets = [*context.encode(picture), *context.encode(None)]
        decoder = decoder_on_gpu(codec, Gpu(number=number))
        frames = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return bool(frames) and frames[0].format.name == "nv12"
