"""Tests whether a file can still be read: for FFmpeg a lost network share is the end, or damage."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from paragon_stream.errors import InputError, reason
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.stamps import decoding_stamp
from paragon_stream.media.source.opened import is_file_here, opened_bytes, source_size
from paragon_stream.media.source.opening import open_source
from paragon_stream.media.source.pipes import pipe_at
from paragon_stream.media.source.probing import Probing

_LOOK = 4 << 20
"""Bytes that are read from the position of an error."""
_PACKETS = 1000
"""Largest number of the stream's packets between the target of a seek and the last packet that was read."""


_DEVICE = {
    getattr(errno, name)
    for name in ("EIO", "ENXIO", "ENODEV", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH")
    if hasattr(errno, name)
}
"""Error numbers of a device or a network share that fails."""


class ReadingWatch:
    """Watches the reading of a file by FFmpeg: `note` each packet, `check` at every error and at the end.

    Pipes are not watched. Raises InputError if the file is not there.
    """

    def __init__(self, path: Path, probing: Probing) -> None:
        self._path, self._probing = path, probing
        self.first_position: int | None = None
        self.last_position = self.last_size = 0
        """Position and size of the packet that lies furthest in the file so far, in bytes."""
        self._last: tuple[int, int] | None = None
        """Stream and time of the packet at `last_position`; None if it has no time."""
        self._opened: os.stat_result | None = None
        """The state of the file when it was opened; None for pipes and distant files."""
        try:
            self._size = 0 if pipe_at(path) is not None else source_size(path)
            if is_file_here(path):
                self._opened = path.stat()
        except OSError as error:
            raise InputError(f"reading {path} failed: {reason(error)}") from error

    def note(self, packet: Any) -> None:
        """The next packet of any stream."""
        position, time = packet.pos, decoding_stamp(packet)
        if position is None or position < 0:
            return
        if self.first_position is None or position < self.first_position:
            self.first_position = position
        if position >= self.last_position:
            self.last_position, self.last_size = position, packet.size
            self._last = None if time is None else (packet.stream_index, time)

    def read(self, container: Any) -> Iterator[Any]:
        """All packets of the demuxer `container`. Raises what that raises, and what `check_end` does."""
        try:
            for packet in container.demux():
                self.note(packet)
                yield packet
        except AV_ERRORS as error:
            self.check_end(error, container)
            raise
        self.check_end(None, container)

    def check(self) -> None:
        """Raise InputError if the file cannot be read any more: unplugged, share gone, shortened."""
        if not self._size:
            return
        try:
            with opened_bytes(self._path) as (file, _):
                file.seek(self.last_position)
                file.read(_LOOK)
                file.seek(self._size - 1)
                last = file.read(1)
        except OSError as error:
            raise InputError(f"reading {self._path} failed: {reason(error)}") from error
        if not last:
            raise InputError(f"{self._path} became shorter while it was being read")

    def check_end(self, error: BaseException | None, container: Any) -> None:
        """Raise InputError if `container` has ended, maybe by `error`, before the end of the file.

        A network folder that was away for a moment lets the files fail that were open, for good; opened again
        they can be read. Without an error only MP4 and MOV are looked at: their demuxer gives none. A file
        that has grown meanwhile, a recording, does not end where it ended when it was opened.
        """
        if self._opened is None or (error is None and (self._has_left(self._opened) or self._has_grown())):
            return
        self.check()
        may_be = "mov" in container.format.name if error is None else getattr(error, "errno", 0) in _DEVICE
        if self._last is None or not may_be:
            return
        index, time = self._last
        try:
            with open_source(self._path, self._probing) as again:
                stream = again.streams[index]
                again.seek(time, stream=stream)
                packets = islice(again.demux(stream), _PACKETS)
                goes_on = any(packet.size and (packet.pos or 0) > self.last_position for packet in packets)
        except (*AV_ERRORS, InputError, IndexError):
            return  # damaged for every reader
        if goes_on:
            cause = error or OSError("it ended early")
            raise InputError(f"reading {self._path} failed: {reason(cause)}") from cause

    def _has_grown(self) -> bool:
        try:
            return source_size(self._path) > self._size
        except OSError:
            return False

    def _has_left(self, opened: os.stat_result) -> bool:
        """Whether the file was removed, or replaced by another one: FFmpeg has the open one all the same."""
        try:
            return not os.path.samestat(self._path.stat(), opened)
        except FileNotFoundError:
            folder = self._path.parent
            return folder.exists() and folder.stat().st_dev == opened.st_dev  # else it was unplugged
        except OSError:
            return False
