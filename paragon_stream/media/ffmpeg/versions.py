"""Versions of PyAV and of its FFmpeg."""

from __future__ import annotations

import av


def versions() -> dict[str, str]:
    """PyAV, FFmpeg and its libraries, by name."""
    libraries = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    return {"PyAV": av.__version__, "FFmpeg": av.ffmpeg_version_info, **libraries}
