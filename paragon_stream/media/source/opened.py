"""The bytes of a source: a file, a pipe, or a file of another machine.

Everything that reads a source opens it here.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from paragon_stream.media.source.distant import DistantReader, distant_at
from paragon_stream.media.source.pipes import PipeReader, pipe_at


@contextmanager
def opened_bytes(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """`path` as bytes, and its `source_size`. Raises OSError."""
    if (reader := _reader(path)) is not None:
        yield cast(BinaryIO, io.BufferedReader(reader)), source_size(path)
        return
    with path.open("rb") as file:
        yield file, path.stat().st_size


def source_size(path: Path) -> int:
    """The size in bytes; for a pipe that has not ended, `sys.maxsize`. Raises OSError."""
    if (pipe := pipe_at(path)) is not None:
        return sys.maxsize if pipe.size is None else pipe.size
    content = distant_at(path)
    return path.stat().st_size if content is None else content.size


def size_at_hand(path: Path) -> int:
    """The bytes that can be read without waiting: of a pipe, those that were read before. Raises OSError."""
    pipe = pipe_at(path)
    return source_size(path) if pipe is None else pipe.kept


def is_file_here(path: Path) -> bool:
    """Whether `path` is looked up on this machine: it has begun to be read neither as a pipe nor from
    elsewhere."""
    return pipe_at(path) is None and distant_at(path) is None


def demuxer_input(path: Path) -> str | io.RawIOBase:
    """The argument of `av.open` for `path`: a name, or an object that reads."""
    reader = _reader(path)
    return ffmpeg_name(path) if reader is None else reader


def ffmpeg_name(path: Path) -> str:
    """`path` in a form that FFmpeg treats as a file: "Movie: The Sequel.mkv" would name a protocol."""
    return str(path.absolute())


def _reader(path: Path) -> io.RawIOBase | None:
    if (pipe := pipe_at(path)) is not None:
        return PipeReader(pipe)
    content = distant_at(path)
    return None if content is None else DistantReader(path, content)
