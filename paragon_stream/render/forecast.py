"""The forecast of a render's time and size, made once, after its first frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from paragon_stream.render.plan import RenderPlan
from paragon_stream.render.progress import RenderProgress

_FRAMES = 10
"""Frames after which the rate is accurate enough."""
_LONG = 120.0
"""Seconds of the shortest render that gets a forecast."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """`seconds` until the end; `bytes_out` of the complete output, None if it cannot be estimated."""

    seconds: float
    fps: float
    bytes_out: int | None


class Forecaster:
    """Watches the progress of a render. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bytes: int | None = None
        self._first: tuple[int, float] | None = None
        self._is_done = False

    def planned(self, plan: RenderPlan) -> None:
        """Note the plan, before the render begins."""
        self._bytes = plan.estimated_bytes

    def after(self, progress: RenderProgress) -> Forecast | None:
        """The forecast, once, if the render takes long; else None.

        The first frame is not counted: it waits until the engine is compiled and the pipeline is full.
        """
        if self._is_done or progress.total is None or progress.fps <= 0 or progress.doing:
            return None
        now = self._clock()
        if self._first is None:
            self._first = progress.frames, now
            return None
        frames, seconds = progress.frames - self._first[0], now - self._first[1]
        if frames < _FRAMES or seconds <= 0:
            return None
        self._is_done = True
        fps = frames / seconds
        left = max(0, progress.total - progress.frames) / fps
        return Forecast(seconds=left, fps=fps, bytes_out=self._bytes) if left >= _LONG else None
