"""Facts about the encoders of PyAV's FFmpeg: whether they can be opened here, whether they are lossless, and
the builds of their libraries."""

from __future__ import annotations

import re
from fractions import Fraction

import av
import av.error
from av.video.codeccontext import VideoCodecContext

from paragon_stream.media.encode.encoder_job import EncoderJob, open_encoder
from paragon_stream.media.ffmpeg.encoder_guard import guarded_opening
from paragon_stream.media.ffmpeg.errors import AV_ERRORS

GPU_ENCODERS = ("h264_nvenc", "hevc_nvenc", "av1_nvenc")

_BUILD = re.compile(rb"(x264 - core [\w. ]+|x265 \(build [^)]+\)[^:\0]*)")
"""The version text that x264 and x265 write into their streams."""


def encodes(name: str) -> bool:
    """Whether FFmpeg has the video encoder called `name` and can open it; GPU encoders need their GPU."""
    try:
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"
        context.time_base = Fraction(1, 25)
        with guarded_opening():
            context.open()
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return True


def codes_without_loss(name: str) -> bool:
    """Whether the encoder called `name` is lossless with all settings."""
    codec = av.Codec(name, "w")
    return codec.lossless and not codec.lossy


def encoder_build(job: EncoderJob) -> str:
    """The build of `job`'s encoder library, as its stream states it; "" if it does not."""
    try:
        context = open_encoder(job, header=True)
    except AV_ERRORS:
        return ""
    found = _BUILD.search(bytes(context.extradata or b""))
    return found[1].decode("ascii", "replace").strip() if found else ""
