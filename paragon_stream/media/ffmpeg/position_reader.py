"""Positions in bytes that are no file of this machine, as files that are open for reading."""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from typing import Any


class PositionReader(io.RawIOBase):
    """A position in the bytes called `name`. Subclasses have the bytes: they read at a position, and return
    the length."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._at = 0

    @abstractmethod
    def _read_at(self, position: int, size: int) -> bytes:
        """Up to `size` bytes, none only at the end."""

    @abstractmethod
    def _length(self) -> int | None:
        """The length in bytes; None if it is not known yet."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        found = self._read_at(self._at, len(into))
        into[: len(found)] = found
        self._at += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position. Raises OSError for one before the beginning.

        Where the length is not known yet, nothing is done for one from the end, and -1 returned: FFmpeg,
        which requests the size in this way, then continues without it.
        """
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length()}[whence]
        if base is None:
            return -1
        if base + offset < 0:
            raise OSError(f"there is no position {base + offset} in {self.name}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at
