"""Whether an engine makes frames as fast as a player shows them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

_SHORT, _LONG = 3.0, 10.0
"""Seconds over which the pace is measured."""
_AT_WORK, _ALWAYS = 0.9, 0.98
"""Shares of a measured time that an engine has to be at work to be the reason for a slow player."""
_BEHIND = 0.95
"""Seconds of video in each second, below which an engine at work is too slow."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """The sums at the end of a frame: seconds at work, seconds of video, frames."""

    time: float
    work: float
    video: float
    frames: int


class Pace:
    """The computations of one filter, in relation to the time that their frames are shown. For any threads.

    A filter does not see the player's clock. But a player that is ahead of time, paused, or waiting for its
    source leaves the engine without work. So an engine is too slow if it is at work nearly all the time and
    makes less than a second of video per second; or if it never rests, as at a higher speed of playback.
    Exact seeks let an engine work without a rest, too; one that is fast enough for the video does not count
    as too slow then, unless the seek takes more than ten seconds.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.too_slow = False
        """Whether the engine was too slow at any time."""
        self.rate = 0.0
        """Frames per second, measured when the engine became too slow."""
        self._clock = clock
        self._lock = threading.Lock()
        self._running = 0
        self._changed = 0.0
        """When `_running` changed last."""
        self._work = self._video = 0.0
        self._frames = 0
        self._samples: deque[_Sample] = deque()

    @contextmanager
    def computing(self, seconds: float) -> Iterator[None]:
        """Around the computation of a frame that is shown for `seconds`."""
        with self._lock:
            self._pass(+1)
        try:
            yield
        finally:
            with self._lock:
                now = self._pass(-1)
                self._video += seconds
                self._frames += 1
                self._samples.append(_Sample(now, self._work, self._video, self._frames))
                self._judge()

    def _pass(self, change: int) -> float:
        """Add the time since the last change to the work, if a computation ran in it; returns the time."""
        now = self._clock()
        if self._running:
            self._work += now - self._changed
        self._running += change
        self._changed = now
        return now

    def _judge(self) -> None:
        last = self._samples[-1]
        while last.time - self._samples[0].time > _LONG and last.time - self._samples[1].time >= _LONG:
            self._samples.popleft()
        for span, work, video in ((_SHORT, _AT_WORK, _BEHIND), (_LONG, _ALWAYS, None)):
            first = next((each for each in reversed(self._samples) if last.time - each.time >= span), None)
            if first is None:
                return
            passed = last.time - first.time
            too_slow = video is None or last.video - first.video < video * passed
            if too_slow and last.work - first.work >= work * passed and not self.too_slow:
                self.too_slow, self.rate = True, (last.frames - first.frames) / passed
