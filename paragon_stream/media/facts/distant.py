"""Sources whose bytes are on another machine: what is read of them is fetched, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol


class Content(Protocol):
    """The bytes of a file that is not on this machine. Threads may read at the same time."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def read_at(self, position: int, length: int) -> bytes:
        """`length` bytes from `position` on, fewer at the end of the file. Raises ParagonError."""
        ...


_contents: dict[Path, Content] = {}
"""By the names under which this process reads them. No file of this machine has one of these names: what
would open it past `opened.py` fails."""


@contextmanager
def read_elsewhere(path: Path, content: Content) -> Iterator[None]:
    """Within it, `path`, the absolute name of no file, is `content`."""
    _contents[path] = content
    try:
        yield
    finally:
        del _contents[path]


def distant_at(path: Path) -> Content | None:
    """What is read under the name `path`; None for files of this machine and pipes."""
    return _contents.get(path)


class DistantReader(io.RawIOBase):
    """A position in such a file, as a file that is open for reading."""

    def __init__(self, path: Path, content: Content) -> None:
        self.name = str(path)
        self._content, self._at = content, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.size}[whence]
        if base + offset < 0:
            raise OSError(f"there is no position {base + offset} in {self.name}")
        self._at = base + offset
        return self._at

    def readinto(self, into: Any) -> int:
        data = self._content.read_at(self._at, len(into))
        into[: len(data)] = data
        self._at += len(data)
        return len(data)
