"""New files are taken when they have stopped growing: downloads, recordings and copies arrive in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from paragon_stream.queue.files import SourceFile
from paragon_stream.queue.journal import FileFacts

POLL = 2.0
"""Seconds between two looks at the folders. Looking works on every file system, notifications do not."""
SETTLED = 6.0
"""Seconds without a change after which a file counts as complete."""


class Growth:
    """Finds the files that have stopped growing. `clock` returns wall-clock time, like the times of files."""

    def __init__(self, clock: Callable[[], float] = time.time, settled: float = SETTLED) -> None:
        self._clock, self._settled = clock, settled
        self._seen: dict[Path, tuple[FileFacts, float]] = {}
        self._done: dict[Path, FileFacts] = {}

    def done(self, path: Path, facts: FileFacts | None) -> None:
        """The file has been dealt with as it was then; it is new again when it changes."""
        if facts is not None:
            self._done[path] = facts

    def settled(self, files: Iterable[SourceFile]) -> list[SourceFile]:
        """The new files of `files` that have not changed for a while."""
        now, found = self._clock(), []
        for file in files:
            facts = FileFacts.of(file.path)
            if facts is None or facts.same_times(self._done.get(file.path)):
                continue
            before, since = self._seen.get(file.path, (None, now))
            if before is None or not facts.same_times(before):
                # At first sight the file's own time says when it changed, if that is not in the future.
                since = min(now, facts.mtime_ns / 1e9) if before is None else now
                self._seen[file.path] = facts, since
            if facts.size and now - since >= self._settled:
                found.append(file)
        return found
