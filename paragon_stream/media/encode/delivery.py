"""The pixel format of a video made of RGB images, unless the user chooses one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from paragon_stream.frame import Family
from paragon_stream.media.facts.info import IMAGE_SEQUENCE, MediaInfo
from paragon_stream.options.output import OutputOptions

_ANIMATIONS = ("gif", "apng", "webp", "webp_anim")
"""FFmpeg's demuxers of single files that are images in motion."""
_KEEPS_ALPHA = {".webm": "yuva420p", ".mov": "yuva444p10le", ".qt": "yuva444p10le", ".mkv": None}
"""Suffix → the format that images with alpha are delivered in; None is their own."""


def delivery_options(info: MediaInfo, options: OutputOptions, destination: Path | None) -> OutputOptions:
    """`options`; for a video made of RGB images 4:2:0 in 8 or 10 bits unless another format is requested.

    Players support that. `--pix-fmt gbrp`, or a chosen codec that stores it, keeps RGB. Images with alpha get
    a format that keeps it: ProRes 4444 in MOV, VP9 in WebM, RGB in Matroska. `destination` None is y4m.
    """
    source = info.video.format.pixel_format
    rgb_images = info.container in (IMAGE_SEQUENCE, *_ANIMATIONS) and source.family is Family.RGB
    if not rgb_images or options.pix_fmt or options.codec:
        return options
    suffix = "" if destination is None else destination.suffix.lower()
    if source.has_alpha and suffix in _KEEPS_ALPHA:
        return replace(options, pix_fmt=_KEEPS_ALPHA[suffix])
    return replace(options, pix_fmt="yuv420p10le" if source.depth > 8 else "yuv420p")
