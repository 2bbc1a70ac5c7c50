"""What encoders of the FFmpeg inside PyAV are, and which builds of their libraries."""

from __future__ import annotations

import re
from typing import Any

import av

from paragon_stream.media.encode.encoders import EncoderJob, configure
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.scheduler_guard import ordinary_scheduling

_BUILD = re.compile(rb"(x264 - core [\w. ]+|x265 \(build [^)]+\)[^:\0]*)")
"""What x264 and x265 write of themselves into their streams."""


def codes_without_loss(name: str) -> bool:
    """Whether the encoder called `name` loses nothing, whatever its settings."""
    codec = av.Codec(name, "w")
    return codec.lossless and not codec.lossy


def encoder_build(job: EncoderJob) -> str:
    """Which build of its library `job`'s encoder is, as it says itself; "" where it does not."""
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
