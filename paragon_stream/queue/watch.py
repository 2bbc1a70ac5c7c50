"""New files are taken when they have stopped growing: downloads, recordings and copies arrive in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from paragon_stream.queue.files import SourceFile
from paragon_stream.queue.journal import FileFacts

POLL = 2.0
"""Seconds between two looks at the folders. Looking works on every file system, notifications do not."""
PAUSE = 10.0
"""The pause is at least this many times as long as the look, which may take seconds in a large or distant
folder."""
SETTLED = 6.0
"""Seconds without a change after which a file counts as complete."""


class Growth:
    """Finds the files that have stopped growing. `clock` returns seconds.

    The time of a file is only compared with its own earlier time: the clock of a file server may be wrong.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, settled: float = SETTLED) -> None:
        self._clock, self._settled = clock, settled
        self._seen: dict[Path, tuple[FileFacts, float]] = {}
        self._done: dict[Path, FileFacts] = {}

    def done(self, path: Path, facts: FileFacts | None) -> None:
        """The file has been dealt with as it was then; it is new again when it changes."""
        self._seen.pop(path, None)
        if facts is not None:
            self._done[path] = facts

    def settled(self, files: Iterable[SourceFile]) -> list[SourceFile]:
        """The new files of `files` that have not changed for a while."""
        now, found = self._clock(), []
        for file in files:
            facts = FileFacts.of(file.path)
            if facts is None:
                self._seen.pop(file.path, None)
                continue
            if facts.same_times(self._done.get(file.path)):
                continue
            before, since = self._seen.get(file.path, (None, now))
            if not facts.same_times(before):
                since = now
                self._seen[file.path] = facts, since
            if facts.size and now - since >= self._settled:
                found.append(file)
        return found
