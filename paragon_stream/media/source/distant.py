"""Sources whose bytes are on another machine: only the parts that are read are fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from paragon_stream.media.ffmpeg.position_reader import PositionReader


class Content(Protocol):
    """The bytes of a file that is not on this machine. Threads may read at the same time."""

    @property
    def size(self) -> int:
        """The size in bytes."""
        ...

    def read_at(self, position: int, length: int) -> bytes:
        """`length` bytes from `position` on, fewer at the end of the file. Raises ParagonError."""
        ...


_contents: dict[Path, Content] = {}
"""Contents by the names under which this process reads them. No file of this machine has one of these names,
so opening one without `opened.py` fails."""


@contextmanager
def read_elsewhere(path: Path, content: Content) -> Iterator[None]:
    """Inside this context, reading `path` reads `content`. `path` is absolute, and no file has this name."""
    _contents[path] = content
    try:
        yield
    finally:
        del _contents[path]


def distant_at(path: Path) -> Content | None:
    """The content with the name `path`; None for files of this machine and pipes."""
    return _contents.get(path)


class DistantReader(PositionReader):
    """A position in such a file."""

    def __init__(self, path: Path, content: Content) -> None:
        super().__init__(str(path))
        self._content = content

    def _read_at(self, position: int, size: int) -> bytes:
        return self._content.read_at(position, size)

    def _length(self) -> int:
        return self._content.size
