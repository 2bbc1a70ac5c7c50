"""Tests whether the source stays the same file from the plan to the last frame."""

from __future__ import annotations

import os

from paragon_stream.errors import InputError
from paragon_stream.media.facts.info import IMAGE_SEQUENCE, MediaInfo
from paragon_stream.media.source.fingerprint import fingerprint


class SourceWatch:
    """Looks at the file of `info` again. Pipes and sequences of images are not watched.

    `content` is the file's fingerprint in the plan; None where the plan has none.
    """

    def __init__(self, info: MediaInfo, content: str | None) -> None:
        self._path = info.path
        self._content = content
        self._before: os.stat_result | None = None
        if info.seekable and not info.piped and info.container != IMAGE_SEQUENCE:
            self._before = self._look()

    def begin(self) -> None:
        """Check the source before the first frame of each attempt. Raises InputError if its content has
        changed since the plan or the first attempt."""
        if self._before is None:
            return
        found = fingerprint(self._path)
        if self._content not in (None, found):
            raise InputError(
                f"{self._path} was changed after the render was planned: repeat the command,"
                " with --overwrite if an unfinished output is there"
            )
        self._content = found

    def end(self) -> list[str]:
        """Check the source after the last frame was read. Returns a warning if another file has its name now.

        Raises InputError if its content was changed while it was read, because the result would contain parts
        of both. A source that cannot be examined any more is accepted, because it was read to its end.
        """
        before, now = self._before, self._look()
        if before is None or now is None or _facts(now) == _facts(before):
            return []
        try:
            if fingerprint(self._path) == self._content:
                return []
        except InputError:
            return []
        if not os.path.samestat(now, before):
            return [f"{self._path} was replaced during the render: the result is that of the earlier file"]
        if now.st_size > before.st_size:
            return [f"{self._path} has grown during the render: what was added may be missing"]
        raise InputError(
            f"{self._path} was changed during the render, so the result is not that of one file:"
            " start again with --overwrite"
        )

    def _look(self) -> os.stat_result | None:
        try:
            return self._path.stat()
        except OSError:
            return None


def _facts(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
