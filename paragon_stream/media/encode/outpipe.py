"""The writing end of a pipe whose reader may be slow or may close it."""

from __future__ import annotations

import io
import os
import select
import threading
from typing import IO

_LOOK = 0.1
"""Seconds between two checks whether a waiting write must end."""


class OutPipe:
    """Writes to `file` as a file object does; `give_up`, from any thread, ends a waiting write.

    Writes after that, or after the reader has closed the pipe, raise BrokenPipeError. If the file is not an
    operating system's pipe, and on Windows, a waiting write cannot be ended.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._given_up = threading.Event()
        self._descriptor: int | None = None
        file.flush()
        try:
            descriptor = file.fileno()
        except (OSError, io.UnsupportedOperation):
            return
        if os.name == "posix":
            self._descriptor = descriptor
            self._blocking = os.get_blocking(descriptor)  # False if its maker has set O_NONBLOCK
            os.set_blocking(descriptor, False)

    def write(self, data: bytes | memoryview) -> int:
        """Write all of `data`. Raises BrokenPipeError, OSError."""
        if self.given_up:
            raise BrokenPipeError("given up")
        if self._descriptor is None:
            return self._file.write(data)
        left = memoryview(data).cast("B")
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                if self.given_up:
                    raise BrokenPipeError("given up") from None
                select.select([], [self._descriptor], [], _LOOK)
        return len(data)

    def flush(self) -> None:
        if self._descriptor is None:
            self._file.flush()

    @property
    def given_up(self) -> bool:
        return self._given_up.is_set()

    def give_up(self) -> None:
        """End the waiting write; later ones raise BrokenPipeError."""
        self._given_up.set()

    def close(self) -> None:
        """Restore the file's blocking mode. The file stays open."""
        if self._descriptor is not None:
            os.set_blocking(self._descriptor, self._blocking)
            self._descriptor = None
