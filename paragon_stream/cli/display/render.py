"""The output of the command line during one render: a bar and lines, or events for programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

from paragon_stream.cli.display.events import EventLines
from paragon_stream.cli.progress import ProgressDisplay, clock, comparison_line, render_line, say
from paragon_stream.cli.standard_streams import print_line
from paragon_stream.number_text import counted, size
from paragon_stream.render.forecast import Forecast, Forecaster
from paragon_stream.render.plan import RenderPlan
from paragon_stream.render.progress import OnProgress, RenderProgress
from paragon_stream.report import ImageResult, LiveReport, Report
from paragon_stream.verification.findings import Verification


class RenderDisplay(Protocol):
    """The events of a render and of its verification, in this order."""

    def planned(self, plan: RenderPlan) -> None: ...

    def rendering(self) -> AbstractContextManager[OnProgress]:
        """Something that takes progress, around the render."""
        ...

    def warning(self, sentence: str) -> None: ...

    def rendered(self, report: Report) -> None: ...

    def comparing(self) -> AbstractContextManager[OnProgress]:
        """Something that takes progress, around the verification."""
        ...

    def compared(self, found: Verification) -> None: ...


def render_display(events: EventLines | None, *, quiet: bool) -> RenderDisplay:
    """The display of the command's one render: events where they are requested, else text."""
    return RenderText(quiet=quiet) if events is None else RenderEvents(events)


class RenderText:
    """The display for people, on standard error; what a verification found goes to standard output."""

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

    def compared(self, found: Verification) -> None:
        for finding in found.findings:
            print_line(str(finding))
        if found.ok and not self._quiet:
            skipped = "".join(f"; {check} not checked: {why}" for check, why in found.skipped.items())
            print_line(f"{found.output}: nothing is wrong, {found.frames} frames compared{skipped}")


def forecast_line(forecast: Forecast) -> str:
    """One line about the expected duration and size of a render."""
    about = "" if forecast.bytes_out is None else f", about {size(forecast.bytes_out)}"
    return f"forecast: done in {clock(forecast.seconds)} at {forecast.fps:.1f} fps{about}"


def image_summary(image: ImageResult) -> str:
    """One line about the result of a picture, and its time."""
    return f"{image.target_format}, {image.seconds:.1f} s, {size(image.bytes_out)}"


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
            self._events.emit("started")

    def rendering(self) -> AbstractContextManager[OnProgress]:
        return nullcontext(self.progress)

    def progress(self, progress: RenderProgress) -> None:
        """Emit the progress of the render, and once a forecast."""
        if (forecast := self._forecaster.after(progress)) is not None:
            self._events.emit("forecast", self._job, **asdict(forecast))
        self._emit_progress("render", progress)

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
        return nullcontext(partial(self._emit_progress, "verify"))

    def compared(self, found: Verification) -> None:
        for finding in found.findings:
            self.warning(str(finding))

    def _emit_progress(self, phase: str, progress: RenderProgress) -> None:
        total = progress.total
        self._events.emit(
            "progress",
            self._job,
            phase=phase,
            frames=progress.frames,
            total=total,
            fps=progress.fps,
            eta=progress.eta,
            bytes_out=progress.bytes_out,
            part=min(1.0, progress.frames / total) if total else None,
        )


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
