"""The output of the command line during a live session: lines for people, or events for programs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from paragon_stream.cli.display.events import EventLines
from paragon_stream.cli.display.render import usage_facts
from paragon_stream.cli.progress import ProgressDisplay, clock, live_line, say
from paragon_stream.cli.standard_streams import print_line
from paragon_stream.livestream.meter import LiveProgress
from paragon_stream.media.live.names import shown_name
from paragon_stream.number_text import counted, size
from paragon_stream.report import LiveReport


class LiveDisplay(Protocol):
    """The events of a live session."""

    def running(self) -> AbstractContextManager[Callable[[LiveProgress], None]]:
        """Something that takes progress, around the session."""
        ...

    def happened(self, sentence: str) -> None:
        """The source or the output broke off, came back, or changed."""
        ...

    def warning(self, sentence: str) -> None: ...

    def ended(self, report: LiveReport) -> None: ...


def live_display(
    events: EventLines | None, source: str, destination: str | None, *, quiet: bool
) -> LiveDisplay:
    """The display of a session: events where they are requested, else text. `destination` is None for a
    window."""
    return LiveText(quiet=quiet) if events is None else LiveEvents(events, source, destination)


class LiveText:
    """The display for people, on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def running(self) -> ProgressDisplay[LiveProgress]:
        return ProgressDisplay(live_line, quiet=self._quiet)

    def happened(self, sentence: str) -> None:
        say(sentence)

    def warning(self, sentence: str) -> None:
        say(f"warning: {sentence}")

    def ended(self, report: LiveReport) -> None:
        """Print a summary, unless the session failed."""
        if self._quiet or report.failure is not None:
            return
        dropped = report.frames_in - report.frames_out
        latency = report.latency
        print_line(
            f"{report.destination}: {report.target_format}, {counted(report.frames_out, 'frame')} in "
            f"{clock(report.seconds)} ({report.fps_out:.1f} of {report.fps_in:.1f} fps, {dropped} dropped), "
            f"latency {latency.median * 1000:.0f} ms, 95 % below {latency.percentile_95 * 1000:.0f} ms, "
            f"{size(report.bytes_out)}; {report.ended}",
            err=True,
        )


class LiveEvents:
    """The events for programs, of the command's own job."""

    def __init__(self, events: EventLines, source: str, destination: str | None) -> None:
        self._events = events
        names = {"source": shown_name(source)}
        if destination is not None:
            names["destination"] = shown_name(destination)
        events.started(**names)

    def running(self) -> AbstractContextManager[Callable[[LiveProgress], None]]:
        return nullcontext(self._progress)

    def happened(self, sentence: str) -> None:
        self._events.emit("log", level="info", message=sentence)

    def warning(self, sentence: str) -> None:
        self._events.emit("warning", message=sentence)

    def ended(self, report: LiveReport) -> None:
        """Emit the use of time and memory."""
        self._events.emit("statistics", **usage_facts(report))
        self._events.result(
            frames=report.frames_out,
            fps=report.fps_out,
            seconds=report.seconds,
            bytes_out=report.bytes_out,
        )

    def _progress(self, progress: LiveProgress) -> None:
        self._events.emit(
            "progress",
            phase="live",
            frames=progress.frames_out,
            fps=progress.fps_out,
            bytes_out=progress.bytes_out,
            frames_in=progress.frames_in,
            fps_in=progress.fps_in,
            dropped=progress.dropped,
            latency=progress.latency,
            seconds=progress.seconds,
        )
