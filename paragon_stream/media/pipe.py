"""Video from a pipe, every frame of it: standard input ("-"), or a named pipe such as those of `<(command)`.

A pipe can be read once. So it is opened by the plan, which looks at the first frames, and stays open until
the render takes it. Its sound and subtitles are not carried over.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from sys import platform

import av

from paragon_stream.errors import InputError, UsageError
from paragon_stream.media.decode.frame_source import LeftGpu
from paragon_stream.media.facts.info import Damage, MediaInfo
from paragon_stream.media.ffmpeg.errors import AV_ERRORS, reason
from paragon_stream.media.live.connection import Connection, DecodedFrame
from paragon_stream.media.live.source import find_source
from paragon_stream.media.quantisers.meter import Reading
from paragon_stream.options.live import CaptureOptions
from paragon_stream.options.source import SourceOptions

STANDARD_INPUT = "-"
_ONLY_FILES = ("start", "end", "duration", "video", "idet", "ivtc", "probesize")
"""Options that need a file: it is read there and back."""

_waiting: dict[Path, Connection] = {}
"""Pipes that a plan has opened and no render has taken."""


def is_pipe(said: str | Path) -> bool:
    """Whether `said` is standard input or a pipe in the file system."""
    if str(said) == STANDARD_INPUT:
        return True
    try:
        return stat.S_ISFIFO(Path(said).stat().st_mode)
    except (OSError, ValueError):
        return False


def probe_pipe(said: str | Path, options: SourceOptions) -> MediaInfo:
    """The facts of the video in a pipe, by its first frames.

    Raises UsageError for options that need a file, and InputError.
    """
    defaults = SourceOptions()
    for name in _ONLY_FILES:
        if getattr(options, name) != getattr(defaults, name):
            raise UsageError(f"--{name} needs a file: a pipe is read once, from its beginning to its end")
    source = find_source(str(said), CaptureOptions(), platform)
    path = Path(source.name)
    if path not in _waiting:
        _waiting[path] = Connection(source, quantisers=True, sound=False, patience=None)
    info = _waiting[path].info()
    begin = float((info.video.start_pts or 0) * info.video.time_base)
    return MediaInfo(
        path=path,
        container=info.container,
        streams=info.streams,
        video=info.video,
        start_time=begin,
        seekable=False,
    )


class PipeFrames:
    """The `FrameSource` of a pipe that `probe_pipe` has opened. Raises InputError if it was read already."""

    def __init__(self, path: Path) -> None:
        connection = _waiting.pop(path, None)
        if connection is None:
            raise InputError(f"{path} has been read already: a pipe can be read once")
        self._connection = connection
        self._now: DecodedFrame | None = None
        self.left_gpu: LeftGpu | None = None
        self.first_pts: int | None = None
        self.gave_up: str | None = None

    @property
    def name(self) -> str:
        return self._connection.decoder

    @property
    def damage(self) -> Damage:
        return self._connection.damage

    def __iter__(self) -> Iterator[av.VideoFrame]:
        try:
            for item in self._connection:
                if isinstance(item, DecodedFrame):
                    self._now = item
                    yield item.frame
        except AV_ERRORS as error:
            self.gave_up = reason(error)

    def reading(self, frame: av.VideoFrame) -> Reading | None:
        return None if self._now is None else self._now.reading

    def aspect(self, frame: av.VideoFrame) -> Fraction | None:
        return None if self._now is None else self._now.aspect

    def close(self) -> None:
        self._connection.close()
