"""The progress of a run over many files, and its remaining time.

A file's work is counted in source pixels: frames times their size. For files whose header was not read, it is
estimated from their size in bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.errors import ParagonError
from paragon_stream.media.facts.probe import probe
from paragon_stream.render.progress import RenderProgress

_PIXELS_PER_BYTE = {True: 2.0, False: 200.0}
"""Estimate for pictures (True) and videos (False) whose header was not read."""


@dataclass(frozen=True, kw_only=True)
class QueueProgress:
    """The progress of a run: file `number` of `count`, its render's progress, or `tile` of `tiles`."""

    number: int
    count: int
    source: Path
    destination: Path
    part: float
    """The finished fraction of all work, 0…1."""
    eta: float | None
    """Seconds until the end; None while unknown."""
    render: RenderProgress | None = None
    tile: int = 0
    tiles: int = 0


def survey(files: Iterable[tuple[Path, bool]], seconds: float) -> dict[Path, float]:
    """The work of each (path, is a picture), from the headers that can be read in `seconds`."""
    begin = time.monotonic()
    known: dict[Path, float] = {}
    guessed: dict[Path, tuple[int, bool]] = {}
    for path, is_picture in files:
        size = _size(path)
        if is_picture or time.monotonic() - begin > seconds or (work := _pixels(path)) is None:
            guessed[path] = size, is_picture
        else:
            known[path] = work
    read = sum(_size(path) for path in known)
    by_byte = sum(known.values()) / read if read else _PIXELS_PER_BYTE[False]
    for path, (size, is_picture) in guessed.items():
        known[path] = size * (_PIXELS_PER_BYTE[True] if is_picture else by_byte)
    return known


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _pixels(path: Path) -> float | None:
    try:
        video = probe(path).video
    except (ParagonError, OSError):
        return None
    frames = video.frames
    return None if not frames else float(frames) * video.format.width * video.format.height


class WorkMeter:
    """Measures the work done and left. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = clock()
        self._waited = 0.0
        self._waiting_since: float | None = None
        self.total = 0.0
        """The work of all files that run, in source pixels."""
        self._ended = 0.0
        self._free = 0.0
        """Work that took no time in this run: frames that an earlier run had computed, files that failed at
        once."""

    def ended(self, work: float, *, free: float = 0.0) -> None:
        """A file has ended; `free` of its work was not necessary."""
        self._ended += work
        self._free += free

    def pause(self) -> None:
        """Stop the clock: the run waits for files."""
        self._waiting_since = self._clock()

    def go_on(self) -> None:
        if self._waiting_since is not None:
            self._waited += self._clock() - self._waiting_since
            self._waiting_since = None

    def now(self, work: float, part: float, free: float = 0.0) -> tuple[float, float | None]:
        """(finished part of all work, seconds left) when `part` of a file of `work` is done.

        The part `free` of the file took no time, because an earlier run had done it.
        """
        done = self._ended + work * part
        seconds = self._clock() - self._begin - self._waited
        paid = done - self._free - work * free
        whole = done / self.total if self.total else 0.0
        if paid <= 0 or seconds <= 0:
            return min(1.0, whole), None
        return min(1.0, whole), max(0.0, self.total - done) * seconds / paid
