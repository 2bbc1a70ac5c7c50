"""Sources from pipes: standard input ("-"), and named pipes such as those of `<(command)`.

A pipe can be read only once, but a source is opened many times: for its facts, its pictures, its other
streams. Therefore all bytes that were read from the pipe are kept in a temporary file, and every reader has
its own position in it. A reader waits only for the bytes that it needs: for all of the pipe if an index is at
the end of the file, but only for the first bytes if the header is at the beginning.

Uncompressed video (y4m) would fill the disk and has no other streams: after `let_pass` no more bytes are
kept.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

from paragon_stream.errors import InputError, reason
from paragon_stream.media.ffmpeg.position_reader import PositionReader

STANDARD_INPUT = "-"
_SHOWN = "standard input"
_PIECE = 1 << 18
_LARGE = Path("/var/tmp")
"""The folder for large temporary files; /tmp may be in memory."""
_Y4M = b"YUV4MPEG2 "
_NAP = 0.2
"""Seconds between two checks whether the wait for a silent pipe was cancelled."""

_open: dict[Path, Pipe] = {}
"""Pipes that a plan has begun to read and that no render has read to the end."""


class Pipe:
    """The data that one pipe has delivered, and the rest, read on request. Used from several threads."""

    def __init__(self, path: Path, source: BinaryIO) -> None:
        self.path = path
        self.interrupted: KeyboardInterrupt | None = None
        """A Ctrl-C that came while FFmpeg was waiting for the pipe: FFmpeg lets no exception pass."""
        self._source = source
        self._kept = tempfile.TemporaryFile(dir=_folder())  # noqa: SIM115, closed by `close`
        self._size = 0
        """Bytes that were kept."""
        self._passed: int | None = None
        """Bytes of the whole, if its end came after `let_pass`."""
        self._ended = self._passing = self._abandoned = False
        self._turn = threading.Lock()
        """Held by the reader that waits for the pipe."""
        self._lock = threading.Lock()
        """Held for a moment, for the temporary file's position."""

    @property
    def size(self) -> int | None:
        """Bytes of the whole; None until its end has come."""
        return self._size if self._ended else self._passed

    @property
    def kept(self) -> int:
        """Bytes that were kept so far."""
        return self._size

    def reach(self, position: int) -> int:
        """Read the pipe up to `position`, or its end; how far it was read."""
        while self._size < position and not self._ended:
            with self._turn:
                if self._size < position and not self._ended:
                    self._keep(self._next(_PIECE))
        return self._size

    def read(self, position: int, size: int) -> bytes:
        """Up to `size` bytes from `position` on, at least one unless the pipe ends there."""
        if self.reach(position + 1) <= position:
            return b""
        with self._lock:
            self._kept.seek(position)
            return self._kept.read(size)

    def let_pass(self) -> None:
        """Stop keeping data: from now on the only reader gets the rest directly from the pipe."""
        self._passing = True

    def read_on(self, position: int, size: int) -> bytes:
        """`read` for the only reader after `let_pass`."""
        if not self._passing or position < self._size:
            return self.read(position, size)
        data = self._next(size)
        if not data:
            self._passed = position
        return data

    def abandon(self) -> None:
        """Wait no longer for a pipe that is silent: its readers get an end. From any thread."""
        self._abandoned = True

    def close(self) -> None:
        self._kept.close()
        self._source.close()

    def _next(self, size: int) -> bytes:
        try:
            while not self._abandoned:
                if _is_ready(self._source):
                    return os.read(self._source.fileno(), size)
            return b""
        except KeyboardInterrupt as error:
            self.interrupted = error
            return b""
        except OSError as error:
            raise InputError(f"reading {self.path} failed: {reason(error)}") from error

    def _keep(self, data: bytes) -> None:
        if not data:
            self._ended = True
            return
        try:
            with self._lock:
                self._kept.seek(self._size)
                self._kept.write(data)
                self._kept.flush()
        except OSError as error:
            raise InputError(
                f"what comes out of {self.path} is kept in {_folder()} until the render ends, and cannot be"
                f" written there: {reason(error)} (the variable TMPDIR names another folder)"
            ) from error
        self._size += len(data)


class PipeReader(PositionReader):
    """A position in a pipe, which may be ahead of what has been read.

    `read` returns fewer bytes than requested if the pipe has no more at the moment.
    """

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(str(pipe.path))
        self._pipe = pipe

    def _read_at(self, position: int, size: int) -> bytes:
        return self._pipe.read_on(position, size)

    def _length(self) -> int | None:
        return self._pipe.size


def is_pipe(name: str | Path) -> bool:
    """Whether `name` is standard input or a pipe in the file system."""
    if str(name) == STANDARD_INPUT:
        return True
    try:
        return stat.S_ISFIFO(Path(name).stat().st_mode)
    except (OSError, ValueError):
        return False


def begin_pipe(name: str | Path) -> Path:
    """Open the pipe `name`, unless a plan has. Returns the path by which it is read. Raises InputError."""
    path = Path(_SHOWN) if str(name) == STANDARD_INPUT else Path(name)
    if path not in _open:
        if str(name) == STANDARD_INPUT and sys.stdin is None:  # by the shell's <&-
            raise InputError("standard input is closed")
        try:
            number = sys.stdin.fileno() if str(name) == STANDARD_INPUT else os.open(path, os.O_RDONLY)
            source = os.fdopen(number, "rb", buffering=0, closefd=str(name) != STANDARD_INPUT)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be opened: {reason(error)}") from error
        _open[path] = Pipe(path, source)
    return path


def pipe_at(path: Path) -> Pipe | None:
    """The pipe that is called `path` and has begun to be read; None for everything else."""
    return _open.get(path)


def abandon_pipe(path: Path) -> None:
    """End all waiting for the pipe `path`, if it is one, because the render ends."""
    if pipe := _open.get(path):
        pipe.abandon()


def end_pipe(path: Path) -> None:
    """Close `path` if it is a pipe that was read, or that will not be read."""
    if pipe := _open.pop(path, None):
        pipe.close()


def is_uncompressed(path: Path) -> bool:
    """Whether y4m comes out of the pipe `path`."""
    pipe = pipe_at(path)
    return pipe is not None and pipe.reach(len(_Y4M)) > 0 and pipe.read(0, len(_Y4M)) == _Y4M


def _is_ready(source: BinaryIO) -> bool:
    """Whether a read would return at once; False after a nap."""
    if sys.platform == "win32":
        return True  # `select` knows only sockets there
    return bool(select.select([source], [], [], _NAP)[0])


def _folder() -> str:
    usual = tempfile.gettempdir()
    return str(_LARGE) if usual == "/tmp" and os.access(_LARGE, os.W_OK) else usual
