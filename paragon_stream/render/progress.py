"""How far a render is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from paragon_stream.media.sink import Sink
from paragon_stream.pipeline.pipeline import PipelineStats, Progress

type OnProgress = Callable[[RenderProgress], None]


@dataclass(frozen=True, kw_only=True)
class RenderProgress:
    """How far a render is. `total` and `eta` (seconds) are None where the source does not say."""

    frames: int
    total: int | None
    fps: float
    eta: float | None
    bytes_out: int
    doing: str = ""
    """What is done, where it is not rendering: "joining"."""
    nodes: Mapping[str, float] = field(default_factory=dict)
    """Frames per second by machine, where several render."""


class Meter(Protocol):
    """What `run_stretches` reports progress to."""

    def __call__(self, progress: Progress) -> None:
        """See `Pipeline.run`."""
        ...

    def run_ended(self, run: PipelineStats) -> None:
        """Progress from now on is counted on top of `run`."""
        ...


class RenderMeter:
    """Makes the progress of the pipelines that of the render: total, rate, time left, size so far."""

    def __init__(self, total: int | None, sink: Sink, on_progress: OnProgress, done: int) -> None:
        """`done` frames were there before the first pipeline began."""
        self._total, self._sink, self._on_progress = total, sink, on_progress
        self._done, self._frames, self._seconds = done, 0, 0.0

    def run_ended(self, run: PipelineStats) -> None:
        self._frames += run.stages["encode"].frames
        self._seconds += run.wall

    def __call__(self, progress: Progress) -> None:
        frames, seconds = self._frames + progress.frames, self._seconds + progress.elapsed
        fps = frames / seconds if seconds > 0 else 0.0
        left = None if self._total is None else max(0, self._total - self._done - frames)
        self._on_progress(
            RenderProgress(
                frames=self._done + frames,
                total=self._total,
                fps=fps,
                eta=left / fps if left is not None and fps > 0 else None,
                bytes_out=self._sink.bytes_written,
            )
        )
