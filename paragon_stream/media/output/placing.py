"""The presentation time of each frame in the output: the source's times in the container's ticks."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

from paragon_stream.frame import Timing
from paragon_stream.media.decode.timestamps import rescale
from paragon_stream.media.safekeeping.frame_log import FrameLog


class Placing:
    """Times of the frames of one output, in order of display.

    shift: seconds subtracted from every time of the source. tick: seconds. rate: frames per second, for
    frames whose duration is not known.
    """

    def __init__(self, shift: Fraction, tick: Fraction, rate: Fraction) -> None:
        self._shift, self._tick, self._rate = shift, tick, rate
        self._durations: dict[int, int] = {}
        self.begin: int | None = None
        """Time of the first frame."""
        self.last: int | None = None
        """Time of the latest frame."""
        self.end = 0
        """End of the latest frame."""
        self.moved = 0
        """Number of frames that were moved to one tick after the previous frame, because their own time is
        not later."""

    def place(self, timing: Timing) -> int:
        """The next frame's time, rounded once; always later than that of the frame before."""
        pts = rescale(timing.pts, timing.time_base, self._shift, self._tick)
        if self.last is not None:
            if pts <= self.last:
                pts = self.last + 1
                self.moved += 1
            if self.last in self._durations:
                self._durations[self.last] = min(self._durations[self.last], pts - self.last)
        if timing.duration > 0:
            end = rescale(timing.pts + timing.duration, timing.time_base, self._shift, self._tick)
        else:
            end = pts + round(1 / (self._rate * self._tick))
        self._durations[pts] = max(1, end - pts)
        self._note(pts, max(end, pts + 1))
        return pts

    def duration(self, pts: int) -> int:
        """The duration of the frame at `pts`; 0 if it is unknown."""
        return self._durations.get(pts, 0)

    def taken(self, pts: int | None) -> int:
        """The duration of the frame at `pts`, which is forgotten afterwards."""
        return self._durations.pop(pts, 0) if pts is not None else 0

    def go_on(self, log: FrameLog, frames: int) -> None:
        """Continue after the first `frames` frames of an earlier run."""
        for pts, duration, moved in islice(log.shown(), frames):
            self.moved += moved
            self._note(pts, pts + duration)

    def _note(self, pts: int, end: int) -> None:
        self.last = pts
        self.begin = pts if self.begin is None else self.begin
        self.end = end
