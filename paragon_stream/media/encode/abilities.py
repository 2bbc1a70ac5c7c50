"""Facts about the encoders of PyAV's FFmpeg: whether they are lossless, and the builds of their libraries."""

from __future__ import annotations

import re
from typing import Any

import av

from paragon_stream.media.encode.encoder_job import EncoderJob, configure
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.scheduler_guard import ordinary_scheduling

_BUILD = re.compile(rb"(x264 - core [\w. ]+|x265 \(build [^)]+\)[^:\0]*)")
"""The version text that x264 and x265 write into their streams."""


def codes_without_loss(name: str) -> bool:
    """Whether the encoder called `name` is lossless with all settings."""
    codec = av.Codec(name, "w")
    return codec.lossless and not codec.lossy


def encoder_build(job: EncoderJob) -> str:
    """The build of `job`'s encoder library, as its stream states it; "" if it does not."""
    context: Any = av.VideoCodecContext.create(job.encoder.name, "w")
    configure(context, job)
    context.flags |= av.codec.context.Flags.global_header
    try:
        with ordinary_scheduling():
            context.open()
    except AV_ERRORS:
        return ""
    found = _BUILD.search(bytes(context.extradata or b""))
    return found[1].decode("ascii", "replace").strip() if found else ""
