"""Progress on standard error: a live bar on a terminal, a plain line now and then otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

import click

from paragon_stream.render import RenderProgress

PLAIN_INTERVAL = 10.0
"""Seconds between plain lines; the first comes at once, so that a log shows that work has begun."""


class ProgressDisplay:
    """Shows `RenderProgress` as it comes; use as a context manager around the render."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar = None if quiet or not sys.stderr.isatty() else _Bar()
        self._next_line = 0.0

    def __call__(self, progress: RenderProgress) -> None:
        if self._bar is not None:
            self._bar.show(progress)
        elif not self._quiet and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + PLAIN_INTERVAL
            click.echo(_line(progress), err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def size(count: int) -> str:
    """Bytes for people: 830 B, 12.4 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def clock(seconds: float) -> str:
    """h:mm:ss, hours only if there are any."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _line(progress: RenderProgress) -> str:
    total = f"/{progress.total}" if progress.total else ""
    parts = [f"frame {progress.frames}{total}", f"{progress.fps:.1f} fps", size(progress.bytes_out)]
    if progress.eta is not None:
        parts.append(f"{clock(progress.eta)} left")
    return ", ".join(parts)


class _Bar:
    """A rich progress bar; rich is imported here because it takes longer than `--help` may."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.percentage:>3.0f}%"),
            BarColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None)
        self._progress.start()

    def show(self, progress: RenderProgress) -> None:
        total = max(progress.total, progress.frames) if progress.total else None
        self._progress.update(self._task, total=total, completed=progress.frames, description=_line(progress))

    def stop(self) -> None:
        self._progress.stop()
