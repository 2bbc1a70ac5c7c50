"""The output of the command line during a run over many files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from paragon_stream.cli.display.events import EventLines
from paragon_stream.cli.display.render import (
    RenderEvents,
    forecast_line,
    image_summary,
    render_summary,
    result_facts,
)
from paragon_stream.cli.progress import ProgressDisplay, clock, render_line, say
from paragon_stream.cli.reports import write_report
from paragon_stream.cli.standard_streams import one_line
from paragon_stream.number_text import counted, size
from paragon_stream.queue.journal import Record, State
from paragon_stream.queue.observer import QueueItem, QueueObserver
from paragon_stream.queue.progress import QueueProgress
from paragon_stream.queue.results import FileResult, Outcome, QueueReport
from paragon_stream.render.forecast import Forecaster
from paragon_stream.render.plan import RenderPlan

_FEW = 12


def queue_display(events: EventLines | None, report: Path | None, *, quiet: bool) -> QueueObserver:
    """The display of a run: events where they are requested, else text. `report` is for `--report`."""
    return QueueText(report, quiet=quiet) if events is None else QueueEvents(report, events)


class _Reporting(QueueObserver):
    """Writes the file of `--report` at the end, also of a run that was interrupted."""

    def __init__(self, report: Path | None) -> None:
        self._report = report

    def summary(self, report: QueueReport) -> None:
        write_report(report, self._report)


class QueueText(_Reporting):
    """The display for people: a line for each file, a bar (or lines) for the running video, and a table."""

    def __init__(self, report: Path | None, *, quiet: bool) -> None:
        super().__init__(report)
        self._quiet = quiet
        self._bar: ProgressDisplay[QueueProgress] | None = None
        self._forecaster = Forecaster()

    def earlier(self, record: Record) -> None:
        if record.state is State.INTERRUPTED:
            self.warning(None, f"the last run was killed while it made {record.destination}")

    def planned(self, items: Sequence[QueueItem], renamed: Sequence[QueueItem]) -> None:
        for item in renamed:
            if not self._quiet:
                say(f"{item.file.path} becomes {item.target}, to keep names apart")

    def rendering(self, item: QueueItem, plan: RenderPlan) -> None:
        self._forecaster = Forecaster()
        self._forecaster.planned(plan)

    def progress(self, item: QueueItem, progress: QueueProgress) -> None:
        forecast = progress.render and self._forecaster.after(progress.render)
        if forecast and not self._quiet:
            say(f"{item.file.path.name}: {forecast_line(forecast)}")
        if progress.render is None and progress.tiles < 2 and not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = ProgressDisplay(queue_line, quiet=self._quiet)
        self._bar(progress)

    def warning(self, item: QueueItem | None, sentence: str) -> None:
        say(f"warning: {sentence if item is None else _naming(item.file.path, sentence)}")

    def ended(self, item: QueueItem, result: FileResult) -> None:
        self._stop_bar()
        counter = f"[{item.number}/{item.count}] " if item.count > 1 else ""
        if result.outcome is Outcome.FAILED:
            say(f"{counter}failed: {_naming(item.file.path, result.error)}")
        elif self._quiet or result.outcome is Outcome.INTERRUPTED:
            return
        elif result.outcome is Outcome.LEFT and item.count == 1:  # with more files the table shows it
            say(f"{result.destination}: left alone, it is there already")
        elif result.render is not None:
            verified = "" if result.verification is None else "; compared with the source: nothing is wrong"
            say(f"{counter}{result.destination}: {render_summary(result.render)}{verified}")
        elif result.image is not None:
            say(f"{counter}{result.destination}: {image_summary(result.image)}")

    def waiting(self) -> None:
        if not self._quiet:
            click.echo("waiting for new files; Ctrl-C ends", err=True)

    def summary(self, report: QueueReport) -> None:
        self._stop_bar()
        super().summary(report)
        if self._quiet or len(report.files) < 2:
            return
        click.echo(queue_table(report), err=True)

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def queue_line(progress: QueueProgress) -> str:
    """One line about the progress of a run."""
    counter = f"[{progress.number}/{progress.count}] {progress.source.name}: "
    if progress.render is not None:
        file = render_line(progress.render)
    else:
        file = f"tile {progress.tile}/{progress.tiles}"
    left = "" if progress.eta is None else f", {clock(progress.eta)} left"
    return f"{counter}{file}; all: {100 * progress.part:.0f} %{left}"


def queue_table(report: QueueReport) -> str:
    """A line for each outcome, then one for each failure."""
    rows = [("", "files", "frames", "time", "read", "written")]
    for outcome in Outcome:
        if not (files := report.of(outcome)):
            continue
        frames = sum(each.render.frames_out for each in files if each.render is not None)
        written = sum(each.bytes_out for each in files)
        rows.append(
            (
                str(outcome),
                f"{len(files):,}",
                f"{frames:,}" if frames else "",
                clock(sum(each.seconds for each in files)),
                size(sum(each.bytes_in for each in files)),
                size(written) if written else "",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    # After few files the failures are still visible above the table.
    failures = (
        [one_line(f"failed: {_naming(Path(each.source), each.error)}") for each in report.failed]
        if len(report.files) > _FEW
        else []
    )
    total = f"{counted(len(report.files), 'file')} in {clock(report.wall_seconds)}"
    return "\n".join([*lines, *failures, total])


def _naming(path: Path, sentence: str) -> str:
    """`sentence`, with the file's path before it unless it names the file."""
    return sentence if path.name in sentence else f"{path}: {sentence}"


class QueueEvents(_Reporting):
    """The events for programs: a job for each file, and the command's own job for the run."""

    def __init__(self, report: Path | None, events: EventLines) -> None:
        super().__init__(report)
        self._events = events
        self._has_started = False
        self._started: set[str] = set()
        self._render = RenderEvents(events)
        """The video that is being rendered."""

    def earlier(self, record: Record) -> None:
        event = "finished" if record.state is State.FINISHED else "interrupted"
        self._events.emit(
            event, record.job, source=record.source, destination=record.destination, earlier=True
        )

    def planned(self, items: Sequence[QueueItem], renamed: Sequence[QueueItem]) -> None:
        files = [
            {"job": item.job, "source": str(item.file.path), "destination": str(item.target)}
            for item in items
        ]
        self._events.emit("planned", files=files)

    def started(self, item: QueueItem) -> None:
        if not self._has_started:
            self._has_started = True
            self._events.emit("started")
        if item.file.is_picture:
            self._start(item)

    def rendering(self, item: QueueItem, plan: RenderPlan) -> None:
        self._render = RenderEvents(self._events, item.job)
        self._render.planned(plan, str(item.target))
        self._start(item)

    def progress(self, item: QueueItem, progress: QueueProgress) -> None:
        if progress.render is not None:
            self._render.progress(progress.render)
        self._events.emit(
            "progress",
            phase="queue",
            part=progress.part,
            eta=progress.eta,
            number=progress.number,
            count=progress.count,
        )

    def warning(self, item: QueueItem | None, sentence: str) -> None:
        self._events.emit("warning", item.job if item else None, message=sentence)

    def ended(self, item: QueueItem, result: FileResult) -> None:
        facts: dict[str, Any] = {"source": result.source, "destination": result.destination}
        if result.render is not None:
            self._render.statistics(result.render)
            facts = result_facts(result.render) | facts
        elif result.image is not None:
            facts |= {"seconds": result.seconds, "bytes_out": result.bytes_out}
        event = "skipped" if result.outcome is Outcome.LEFT else str(result.outcome)
        if result.outcome is Outcome.FAILED:
            facts |= {"message": result.error, "error": result.kind}
        self._events.emit(event, item.job, **facts)

    def waiting(self) -> None:
        self._events.emit("waiting")

    def summary(self, report: QueueReport) -> None:
        super().summary(report)
        self._events.result(
            files={str(outcome).split()[0]: len(report.of(outcome)) for outcome in Outcome},
            seconds=report.wall_seconds,
            destination=report.destination,
        )

    def _start(self, item: QueueItem) -> None:
        if item.job in self._started:  # begun anew: what was there could not be gone on with
            return
        self._started.add(item.job)
        self._events.emit("started", item.job, source=str(item.file.path), destination=str(item.target))
