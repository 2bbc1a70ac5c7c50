"""One timeline for a live source, across reconnections and jumps of its clock, and pacing of files."""

from __future__ import annotations

from fractions import Fraction

JUMP_SECONDS = 20
"""Seconds by which a source's clock may deviate from the wall clock before it counts as a new clock."""

BEHIND = 3
"""Pictures in a row that are not later than those before them, after which the source's clock counts as set
back; fewer have wrong timestamps."""

LATE_SECONDS = 0.5
"""Seconds by which a frame may be late. After that, pacing starts again with it."""

HELD_SECONDS = 1
"""Seconds of late pictures after which the source counts as slower than before. Fewer were held: before a
pause, FFmpeg keeps the last ones until more data or a timeout comes."""

SLOW_SECONDS = 5
"""Seconds over which late pictures arrive, after which the source counts as slower, too: at a fiftieth of its
speed, its timestamps take a minute for HELD_SECONDS. Pictures that were held arrive at once."""


class LiveClock:
    """Places the stamps of one source, in seconds, on one timeline that rises with the wall clock.

    The source's timestamps are unchanged until an interruption or a jump. After that they are moved so that
    the picture continues at the time of its arrival.
    """

    def __init__(self) -> None:
        self.tick = Fraction(1, 1_000_000)
        """Seconds between a picture and one whose timestamp is not later."""
        self.shift = Fraction(0)
        """Seconds added to the timestamps of pictures and sound since the last jump."""
        self._last: Fraction | None = None
        """The time of the latest picture."""
        self._steady = Fraction(0)
        """The time of the latest picture that was later than those before it by its timestamp, and was not
        held."""
        self._wall = 0.0
        """The arrival of that picture."""
        self._behind = 0
        """Pictures since then whose timestamps were not later."""
        self._late_since: float | None = None
        """The arrival of the first of the latest pictures that are late; None if the latest is not."""
        self.interruption = False
        """Whether the source was interrupted since then."""

    def interrupted(self) -> None:
        """The next timestamp belongs to a new clock."""
        self.interruption = self._last is not None

    def place(self, stamp: Fraction | None, wall: float) -> Fraction:
        """The time of a frame with the timestamp `stamp` that arrived at `wall` (seconds of any steady
        clock).

        It is later than the time before. Frames without a timestamp get their time of arrival.
        """
        if self._last is None:
            placed = Fraction(0) if stamp is None else stamp
        else:
            expected = self._expected(wall)
            if stamp is None:
                placed = expected
            else:
                late = stamp + self.shift <= self._last
                if not self.is_known(stamp, wall) or (late and self._behind + 1 >= BEHIND):
                    self.shift = expected - stamp
                placed = stamp + self.shift
            if placed <= self._last:
                self._behind += 1
                self._last += self.tick
                return self._last
        late = self._last is not None and self._expected(wall) - placed > LATE_SECONDS
        if late and self._late_since is None:
            self._late_since = wall
        lasts = self._late_since is not None and wall - self._late_since > SLOW_SECONDS
        if not late or placed - self._steady > HELD_SECONDS or lasts:
            self._steady, self._wall, self._late_since = placed, wall, None
        self._last, self._behind, self.interruption = placed, 0, False
        return placed

    def is_known(self, stamp: Fraction, wall: float) -> bool:
        """Whether `stamp`, of a picture or of sound that arrived at `wall`, belongs to the present clock.

        If it does not, the next picture begins a new one.
        """
        if self._last is None:
            return True
        return not self.interruption and abs(stamp + self.shift - self._expected(wall)) <= JUMP_SECONDS

    def _expected(self, wall: float) -> Fraction:
        """The time of a picture that arrives at `wall`."""
        return self._steady + _exact(wall - self._wall)


class FilePosition:
    """How far one kind of packets of a file has been read, in seconds from the file's beginning.

    Timestamps may jump, as between the parts of an HLS playlist; jumps do not count.
    """

    def __init__(self, begin: Fraction) -> None:
        """`begin`: the first timestamp of the file."""
        self._seconds = Fraction(0)
        self._last = begin

    def advance(self, stamp: Fraction) -> Fraction:
        """The position of the packet with the timestamp `stamp`."""
        step, self._last = stamp - self._last, stamp
        if 0 < step <= JUMP_SECONDS:
            self._seconds += step
        return self._seconds


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
