"""The times of attempts to reconnect an interrupted source or output."""

from __future__ import annotations

import threading
from time import perf_counter

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two attempts: twice as long each time."""


class Attempts:
    """The attempts of one interruption: the first at once, then one after each `wait`, for `seconds` in
    total."""

    def __init__(self, seconds: float) -> None:
        self._begin = perf_counter()
        self._seconds = seconds
        self._pause = FIRST_PAUSE

    @property
    def passed(self) -> float:
        """Seconds since the interruption."""
        return perf_counter() - self._begin

    def wait(self, stopped: threading.Event) -> float:
        """Wait until the next attempt is due and return the seconds left for it; 0 if `stopped` or none is
        left."""
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        if stopped.wait(max(0.0, min(pause, self._seconds - self.passed))):
            return 0.0
        return max(0.0, self._seconds - self.passed)
