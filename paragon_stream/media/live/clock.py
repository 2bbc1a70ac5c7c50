"""One timeline for a live source: over reconnections and jumps of its clock, and at its own pace."""

from __future__ import annotations

from fractions import Fraction

JUMP_SECONDS = 20
"""By how much a source's clock may disagree with ours before it counts as another clock."""

LATE_SECONDS = 0.5
"""How late a paced frame may be before the pace begins anew with it."""


class LiveClock:
    """Places the stamps of one source, in seconds, on one timeline that rises with the wall clock.

    The stamps are the source's own as long as it is the same source. After an interruption, or a jump, they
    are moved so that the picture goes on where it would be had nothing happened.
    """

    def __init__(self) -> None:
        self.shift = Fraction(0)
        """What is added to the stamps of the present stretch, of sound as well."""
        self._last: Fraction | None = None
        self._wall = 0.0
        self._interrupted = False

    def interrupted(self) -> None:
        """The next stamp is another clock's."""
        self._interrupted = self._last is not None

    def place(self, stamp: Fraction | None, wall: float) -> Fraction:
        """Where a frame stamped `stamp` that arrived at `wall` (seconds of any steady clock) belongs.

        Later than the one before. Frames without a stamp are placed by their arrival.
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
    """When a frame that was read early is due, so that a file plays as fast as it was meant to."""

    def __init__(self) -> None:
        self._begin: float | None = None

    def wait(self, time: Fraction, wall: float) -> float:
        """Seconds that the frame of `time` has to wait at `wall`; 0 if it is late already."""
        if self._begin is None or wall - (self._begin + float(time)) > LATE_SECONDS:
            self._begin = wall - float(time)
        return max(0.0, self._begin + float(time) - wall)


def _exact(seconds: float) -> Fraction:
    """To the microsecond."""
    return Fraction(round(seconds * 1_000_000), 1_000_000)
