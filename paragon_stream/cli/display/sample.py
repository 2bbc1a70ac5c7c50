"""The output of the command line while a sample is made: lines for people, or events for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from paragon_stream.cli.display.events import EventLines
from paragon_stream.cli.progress import clock
from paragon_stream.cli.standard_streams import print_line
from paragon_stream.number_text import size
from paragon_stream.sample.results import Sample, Version


class SampleDisplay(Protocol):
    """The events of a sample, in this order."""

    def step(self, what: str, done: int, steps: int) -> None:
        """Step `done` (counted from 0) of `steps` begins."""
        ...

    def warning(self, sentence: str) -> None: ...

    def ended(self, sample: Sample, montage: Path | None) -> None:
        """All files are written."""
        ...


def sample_display(events: EventLines | None, source: str, page: Path, *, quiet: bool) -> SampleDisplay:
    """The display of a sample: events where they are requested, else text."""
    return SampleText(quiet=quiet) if events is None else SampleEvents(events, source, page)


class SampleText:
    """The display for people: steps on standard error, the versions on standard output."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def step(self, what: str, done: int, steps: int) -> None:
        if not self._quiet:
            print_line(f"[{done + 1}/{steps}] {what}", err=True)

    def warning(self, sentence: str) -> None:
        print_line(f"warning: {sentence}", err=True)

    def ended(self, sample: Sample, montage: Path | None) -> None:
        """Print each version with its projections."""
        for version in sample.versions:
            whole = "" if version.hours is None else f", the whole film in {clock(version.hours * 3600)}"
            large = "" if version.size is None else f", {size(round(version.size))} of video"
            print_line(f"{version.label}: {version.fps:.1f} fps{whole}{large}")
            print_line(version.command, 1)
        if montage is not None:
            columns = " | ".join(["the source", *(version.label for version in sample.versions)])
            print_line(f"{montage}: from left to right: {columns}")


class SampleEvents:
    """The events for programs, of the command's own job."""

    def __init__(self, events: EventLines, source: str, page: Path) -> None:
        self._events = events
        events.started(source=source, destination=str(page))

    def step(self, what: str, done: int, steps: int) -> None:
        self._events.emit(
            "progress", phase="sample", step=what, number=done + 1, count=steps, part=done / steps
        )

    def warning(self, sentence: str) -> None:
        self._events.emit("warning", message=sentence)

    def ended(self, sample: Sample, montage: Path | None) -> None:
        self._events.result(versions=[_facts(version) for version in sample.versions])


def _facts(version: Version) -> dict[str, Any]:
    """The facts about a version in the last event."""
    return {
        "label": version.label,
        "command": version.command,
        "fps": version.fps,
        "seconds": None if version.hours is None else version.hours * 3600,
        "bytes_out": version.size,
    }
