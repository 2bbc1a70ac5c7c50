"""A live session as events for programs."""

from __future__ import annotations

from paragon_stream.cli.display.events import EventLines
from paragon_stream.cli.display.render import usage_facts
from paragon_stream.errors import InputError
from paragon_stream.live_session import LiveProgress
from paragon_stream.report import LiveReport


class LiveEvents:
    """Writes the progress of `live` as events of the command's own job."""

    def __init__(self, events: EventLines, source: str, destination: str | None) -> None:
        """`destination` is None for a window."""
        self._events = events
        names = {"source": source} | ({} if destination is None else {"destination": destination})
        events.started(**names)

    def progress(self, progress: LiveProgress) -> None:
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

    def happened(self, sentence: str) -> None:
        """The source or the output broke off, came back, or changed."""
        self._events.emit("log", level="info", message=sentence)

    def warning(self, sentence: str) -> None:
        self._events.emit("warning", message=sentence)

    def ended(self, report: LiveReport) -> None:
        """Raises InputError where the source broke off and did not come back."""
        self._events.emit("statistics", **usage_facts(report))
        self._events.result(
            frames=report.frames_out,
            fps=report.fps_out,
            seconds=report.seconds,
            bytes_out=report.bytes_out,
        )
        if report.failure is not None:
            raise InputError(report.failure)
