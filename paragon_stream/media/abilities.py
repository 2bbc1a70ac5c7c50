"""What FFmpeg's libraries can do on this very machine, found out by trying."""

from __future__ import annotations

from fractions import Fraction

import av
import av.error
from av.video.codeccontext import VideoCodecContext

GPU_ENCODERS = ("h264_nvenc", "hevc_nvenc", "av1_nvenc")
GPU_DECODERS = ("h264_cuvid", "hevc_cuvid", "av1_cuvid", "vp9_cuvid")


def versions() -> dict[str, str]:
    """PyAV, FFmpeg and its libraries, by name."""
    libraries = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    return {"PyAV": av.__version__, "FFmpeg": av.ffmpeg_version_info, **libraries}


def encodes(name: str) -> bool:
    """Whether the video encoder called `name` is there and opens: those on a GPU do with their GPU only."""
    try:
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"
        context.time_base = Fraction(1, 25)
        context.open()
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return True


def decodes(name: str) -> bool:
    """Whether the video decoder called `name` is there and opens."""
    try:
        av.CodecContext.create(name, "r").open()
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return True
