"""The output of the command line during one render: a bar and lines, or events for programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from paragon_stream.cli.display.events import EventLines
from paragon_stream.cli.progress import ProgressDisplay, clock, comparison_line, render_line, say
from paragon_stream.number_text import counted, size
from paragon_stream.render.forecast import Forecast, Forecaster
from paragon_stream.render.plan import RenderPlan
from paragon_stream.render.progress import OnProgress, RenderProgress
from paragon_stream.report import LiveReport, Report


class RenderDisplay(Protocol):
    """The events of a render, in this order."""

    def planned(self, plan: RenderPlan) -> None: ...

    def rendering(self) -> AbstractContextManager[OnProgress]:
        """Something that takes progress, around the render."""
        ...

    def warning(self, sentence: str) -> None: ...

    def rendered(self, report: Report) -> None: ...

    def comparing(self) -> AbstractContextManager[OnProgress]:
        """Something that takes progress, around the verification."""
        ...


class RenderText:
    """The display for people, on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._forecaster = Forecaster()

    def planned(self, plan: RenderPlan) -> None:
        self._forecaster.planned(plan)

    @contextmanager
    def rendering(self) -> Iterator[OnProgress]:
        with ProgressDisplay(render_line, quiet=self._quiet) as display:

            def show(progress: RenderProgress) -> None:
                forecast = self._forecaster.after(progress)
                if forecast is not None and not self._quiet:
                    say(forecast_line(forecast))
                display(progress)

            yield show

    def warning(self, sentence: str) -> None:
        say(f"warning: {sentence}")

    def rendered(self, report: Report) -> None:
        if not self._quiet:
            say(f"{report.destination}: {render_summary(report)}")

    def comparing(self) -> ProgressDisplay[RenderProgress]:
        return ProgressDisplay(comparison_line, quiet=self._quiet)


def forecast_line(forecast: Forecast) -> str:
    """One line about the expected duration and size of a render."""
    about = "" if forecast.bytes_out is None else f", about {size(forecast.bytes_out)}"
    return f"forecast: done in {clock(forecast.seconds)} at {forecast.fps:.1f} fps{about}"


def render_summary(report: Report) -> str:
    """One line about the result of a render and its speed."""
    earlier = f", {report.resumed_at:,} of them by an earlier run," if report.resumed_at else ""
    return (
        f"{report.target_format}, {counted(report.frames_out, 'frame')}{earlier} in "
        f"{clock(report.wall_seconds)} ({report.fps:.1f} fps), {size(report.bytes_out)}"
    )


class RenderEvents:
    """The events for programs. `job` is None for the command's own job."""

    def __init__(self, events: EventLines, job: str | None = None) -> None:
        self._events, self._job = events, job
        self._started = False
        self._forecaster = Forecaster()

    def planned(self, plan: RenderPlan, destination: str = "") -> None:
        video, output = plan.source.video, plan.output
        self._events.emit(
            "planned",
            self._job,
            source=str(plan.source.path),
            destination=destination or str(output.destination or "-"),
            frames=video.frames,
            duration=plan.source.duration,
            source_format=str(video.format),
            target_format=str(output.target),
            codec=output.codec,
            weights=plan.weights.name,
            streams=list(plan.describe()),
            losses=list(plan.losses),
        )
        self._forecaster.planned(plan)
        if self._job is None:
            self._start()

    def rendering(self) -> AbstractContextManager[OnProgress]:
        return _Phase(self._progress("render"))

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._events.emit("started", self._job)

    def _progress(self, phase: str) -> OnProgress:
        def show(progress: RenderProgress) -> None:
            self._start()
            if phase == "render" and (forecast := self._forecaster.after(progress)) is not None:
                self._events.emit("forecast", self._job, **asdict(forecast))
            emit_progress(self._events, self._job, phase, progress)

        return show

    def warning(self, sentence: str) -> None:
        self._events.emit("warning", self._job, message=sentence)

    def rendered(self, report: Report) -> None:
        self.statistics(report)
        if self._job is None:
            self._events.result(**result_facts(report))

    def statistics(self, report: Report) -> None:
        """Emit the use of time and memory."""
        self._events.emit("statistics", self._job, wall_seconds=report.wall_seconds, **usage_facts(report))

    def comparing(self) -> AbstractContextManager[OnProgress]:
        return _Phase(self._progress("verify"))


def usage_facts(report: Report | LiveReport) -> dict[str, Any]:
    """The use of time and memory of a render or a live session, and its engine."""
    return {
        "stages": {name: asdict(stage) for name, stage in report.stages.items()},
        "cpu_seconds": report.cpu_seconds,
        "peak_rss_bytes": report.peak_rss_bytes,
        "engine": report.engine,
        "precision": report.precision,
        "device": report.device,
    }


def result_facts(report: Report) -> dict[str, Any]:
    """The facts in the last event of a render's job."""
    return {
        "source": report.source,
        "destination": report.destination,
        "frames": report.frames_out,
        "resumed_at": report.resumed_at,
        "fps": report.fps,
        "seconds": report.wall_seconds,
        "bytes_out": report.bytes_out,
    }


class _Phase(AbstractContextManager[OnProgress]):
    """Progress of a render or of a verification."""

    def __init__(self, show: OnProgress) -> None:
        self._show = show

    def __enter__(self) -> OnProgress:
        return self._show

    def __exit__(self, *_: object) -> None:
        return None


def emit_progress(events: EventLines, job: str | None, phase: str, progress: RenderProgress) -> None:
    """The event of a render's progress, or of a verification's."""
    total = progress.total
    events.emit(
        "progress",
        job,
        phase=phase,
        frames=progress.frames,
        total=total,
        fps=progress.fps,
        eta=progress.eta,
        bytes_out=progress.bytes_out,
        part=min(1.0, progress.frames / total) if total else None,
    )
