"""Progress on standard error: a bar on a terminal, else a plain line from time to time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import ClassVar, Self

import click

from paragon_stream.cli.standard_streams import one_line
from paragon_stream.livestream.meter import LiveProgress
from paragon_stream.number_text import size
from paragon_stream.pipeline.interrupt import HeldInterrupt
from paragon_stream.queue.progress import QueueProgress
from paragon_stream.render.progress import RenderProgress

PLAIN_INTERVAL = 10.0
"""Seconds between plain lines. The first is printed at once, so that a log shows the start of the work."""


_MACHINES = 4
"""Machines of a cluster that a line names; the fastest ones."""


class ProgressDisplay[State: (RenderProgress, LiveProgress, QueueProgress)]:
    """Shows progress as text made by `line`; a context manager around the work."""

    def __init__(self, line: Callable[[State], str], *, quiet: bool = False) -> None:
        self._line: Callable[[State], str] = line
        self._quiet = quiet
        self._bar = None if quiet or not sys.stderr.isatty() else _Bar()
        self._next_line = 0.0

    def __call__(self, progress: State) -> None:
        if self._bar is not None:
            self._bar.show(one_line(self._line(progress)), progress)
        elif not self._quiet and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + PLAIN_INTERVAL
            click.echo(one_line(self._line(progress)), err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def say(text: str) -> None:
    """Print a line on standard error; where a bar is shown, above it."""
    text = one_line(text)
    if _Bar.shown is None:
        click.echo(text, err=True)
    else:
        _Bar.shown.print(text)


def clock(seconds: float) -> str:
    """h:mm:ss, or m:ss below one hour."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def render_line(progress: RenderProgress) -> str:
    """The progress of a render as text."""
    total = f"/{progress.total}" if progress.total else ""
    parts = [f"frame {progress.frames}{total}", f"{progress.fps:.1f} fps", size(progress.bytes_out)]
    if progress.eta is not None:
        parts.append(f"{clock(progress.eta)} left")
    if progress.nodes:
        parts.append(_machines(progress.nodes))
    return f"{progress.doing}: {', '.join(parts)}" if progress.doing else ", ".join(parts)


def _machines(nodes: Mapping[str, float]) -> str:
    """Several machines and their speeds: "3 nodes (a 12.1, b 11.8, c 2.0)"."""
    shown = sorted(nodes.items(), key=lambda each: -each[1])[:_MACHINES]
    more = ", …" if len(nodes) > len(shown) else ""
    count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    return f"{count} ({', '.join(f'{name} {fps:.1f}' for name, fps in shown)}{more})"


def comparison_line(progress: RenderProgress) -> str:
    """The progress of a verification as text."""
    total = f"/{progress.total}" if progress.total else ""
    left = "" if progress.eta is None else f", {clock(progress.eta)} left"
    return f"compared {progress.frames}{total} frames, {progress.fps:.1f} fps{left}"


def live_line(progress: LiveProgress) -> str:
    """The state of a live session as text."""
    parts = [
        f"{clock(progress.seconds)}",
        f"{progress.fps_in:.1f} fps in, {progress.fps_out:.1f} out",
        f"{progress.dropped} dropped",
        f"latency {progress.latency * 1000:.0f} ms",
        size(progress.bytes_out),
    ]
    return ", ".join(parts)


class _Bar:
    """A progress bar of rich. rich is imported here because the import is slow."""

    shown: ClassVar[_Bar | None] = None
    """The one on the terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.percentage:>3.0f}%"),
            BarColumn(),
            TextColumn("{task.description}", markup=False),  # names may contain [brackets]
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None)
        with HeldInterrupt() as interrupt:  # an interrupted start would leave the terminal without a cursor
            self._progress.start()
        if interrupt.pending:
            self._progress.stop()
            raise KeyboardInterrupt
        _Bar.shown = self

    def show(self, line: str, progress: RenderProgress | LiveProgress | QueueProgress) -> None:
        if isinstance(progress, QueueProgress):
            self._progress.update(self._task, total=1.0, completed=progress.part, description=line)
            return
        if isinstance(progress, LiveProgress):
            self._progress.columns = self._progress.columns[-1:]  # the length is unknown
            self._progress.update(self._task, description=line)
            return
        total = max(progress.total, progress.frames) if progress.total else None
        self._progress.update(self._task, total=total, completed=progress.frames, description=line)

    def print(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def stop(self) -> None:
        _Bar.shown = None
        self._progress.stop()
