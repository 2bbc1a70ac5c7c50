"""One timeline for a live source, across reconnections and jumps of its clock, and pacing of files."""

from __future__ import annotations

from fractions import Fraction

JUMP_SECONDS = 20
"""Seconds by which a source's clock may deviate from the wall clock before it counts as a new clock."""

LATE_SECONDS = 0.5
"""Seconds by which a paced frame may be late before pacing starts again with it."""


class LiveClock:
    """Places the stamps of one source, in seconds, on one timeline that rises with the wall clock.

    The source's timestamps are unchanged until an interruption or a jump. After that they are moved so that
    the picture continues at the time of its arrival.
    """

    def __init__(self) -> None:
        self.shift = Fraction(0)
        """Seconds added to the timestamps of pictures and sound since the last jump."""
        self._last: Fraction | None = None
        self._wall = 0.0
        self._interrupted = False

    def interrupted(self) -> None:
        """The next timestamp belongs to a new clock."""
        self._interrupted = self._last is not None

    def place(self, stamp: Fraction | None, wall: float) -> Fraction:
        """The time of a frame with the timestamp `stamp` that arrived at `wall` (seconds of any steady
        clock).

        It is later than the time before. Frames without a timestamp get their time of arrival.
        """
        if self._last is None:
            placed = Fraction(0) if stamp is None else stamp
        else:
            expected = self._last + _exact(wall - self._wall)
            if stamp is None:
                placed = expected
            else:
                if self._interrupted or abs(stamp + self.shift - expected) > JUMP_SECONDS:
                    self.shift = expected - stamp
                placed = stamp + self.shift
            placed = max(placed, self._last + Fraction(1, 1_000_000))
        self._last, self._wall, self._interrupted = placed, wall, False
        return placed


class Pacer:
    """Delays frames that are read early, so that a file plays at its own speed."""

    def __init__(self) -> None:
        self._begin: float | None = None

    def wait(self, time: Fraction, wall: float) -> float:
        """Seconds that the frame of `time` has to wait at `wall`; 0 if it is late already."""
        if self._begin is None or wall - (self._begin + float(time)) > LATE_SECONDS:
            self._begin = wall - float(time)
        return max(0.0, self._begin + float(time) - wall)


def _exact(seconds: float) -> Fraction:
    """`seconds`, rounded to microseconds."""
    return Fraction(round(seconds * 1_000_000), 1_000_000)
