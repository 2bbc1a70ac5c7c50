"""The progress of a render or a verification."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from paragon_stream.media.sink import Sink
from paragon_stream.pipeline.pipeline import PipelineStats, Progress

type OnProgress = Callable[[RenderProgress], None]

INTERVAL = 0.5
"""Seconds between two reports of progress."""


@dataclass(frozen=True, kw_only=True)
class RenderProgress:
    """The progress of a render. `total` (frames) and `eta` (seconds) are None if the source's length is
    unknown."""

    frames: int
    total: int | None
    fps: float
    eta: float | None
    bytes_out: int
    doing: str = ""
    """The current step if it is not rendering: "joining"."""
    nodes: Mapping[str, float] = field(default_factory=dict)
    """Frames per second by machine, if several machines render."""

    @classmethod
    def at(
        cls,
        frames: int,
        seconds: float,
        total: int | None,
        *,
        done: int = 0,
        bytes_out: int = 0,
        doing: str = "",
    ) -> RenderProgress:
        """The progress after `frames` frames in `seconds`, on top of `done` frames of an earlier run."""
        fps = frames / seconds if seconds > 0 else 0.0
        left = None if total is None else max(0, total - done - frames)
        eta = left / fps if left is not None and fps > 0 else None
        return cls(frames=done + frames, total=total, fps=fps, eta=eta, bytes_out=bytes_out, doing=doing)


class Meter(Protocol):
    """Receives the progress of `run_stretches`."""

    def __call__(self, progress: Progress) -> None:
        """See `Pipeline.run`."""
        ...

    def run_ended(self, run: PipelineStats) -> None:
        """Add the counts of `run`, which has ended, to all later progress."""
        ...


class LoopMeter:
    """Reports the progress of a loop over frames that runs without a pipeline: every `INTERVAL` seconds."""

    def __init__(self, total: int | None, on_progress: OnProgress | None, doing: str = "") -> None:
        self._total, self._on_progress, self._doing = total, on_progress, doing
        self._begin = self._shown = time.monotonic()

    def note(self, frames: int, *, done: int = 0, bytes_out: int = 0) -> None:
        """`frames` are processed; `done` further frames took no time and do not count towards the rate."""
        now = time.monotonic()
        if self._on_progress is None or now < self._shown + INTERVAL:
            return
        self._shown = now
        self._on_progress(
            RenderProgress.at(
                frames, now - self._begin, self._total, done=done, bytes_out=bytes_out, doing=self._doing
            )
        )


class RenderMeter:
    """Computes the progress of a render from that of its pipelines: total, rate, time left, bytes written."""

    def __init__(self, total: int | None, sink: Sink, on_progress: OnProgress, done: int) -> None:
        """`done`: frames that an earlier run wrote."""
        self._total, self._sink, self._on_progress = total, sink, on_progress
        self._done, self._frames, self._seconds = done, 0, 0.0

    def run_ended(self, run: PipelineStats) -> None:
        self._frames += run.stages["encode"].frames
        self._seconds += run.wall

    def __call__(self, progress: Progress) -> None:
        self._on_progress(
            RenderProgress.at(
                self._frames + progress.frames,
                self._seconds + progress.elapsed,
                self._total,
                done=self._done,
                bytes_out=self._sink.bytes_written,
            )
        )
