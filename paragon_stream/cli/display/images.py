"""The output of the command line while one picture is made. For several see `queue.py`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any

import click

from paragon_stream.cli.display.events import EventLines
from paragon_stream.cli.display.render import image_summary
from paragon_stream.cli.options import given
from paragon_stream.cli.standard_streams import one_line
from paragon_stream.errors import UsageError
from paragon_stream.options.option import options_of
from paragon_stream.pictures.batch import ImageProgress, ImagesRequest, upscale_images
from paragon_stream.report import ImageResult, ImagesReport


def run_images(
    source: str,
    destination: str,
    *,
    options: Mapping[str, Any],
    ignored: Collection[str],
    events: EventLines | None,
    quiet: bool,
) -> ImagesReport:
    """Upscale one picture. Raises UsageError for options that only video has, but for those in `ignored`,
    which a profile brought."""
    known = options_of(ImagesRequest)
    for name, value in options.items():
        if name not in known and value is not None and name not in ignored:
            raise UsageError(f"--{name.replace('_', '-')} is for video; {source} is for images")
    shown = _Lines(quiet=quiet) if events is None else _Events(events)
    if events is not None:
        events.emit("started", source=source, destination=destination)
    return upscale_images(
        source,
        destination,
        on_progress=shown.progress,
        on_image=shown.done,
        on_warning=shown.warn,
        **given(**{name: value for name, value in options.items() if name in known}),
    )


class _Events:
    """The events of `images`, for programs."""

    def __init__(self, events: EventLines) -> None:
        self._events = events

    def progress(self, progress: ImageProgress) -> None:
        self._events.emit("progress", phase="pictures", part=progress.tile / max(1, progress.tiles))

    def done(self, result: ImageResult) -> None:
        self._events.result(
            source=result.source,
            destination=result.destination,
            seconds=result.seconds,
            bytes_out=result.bytes_out,
        )

    def warn(self, text: str) -> None:
        self._events.emit("warning", message=text)


class _Lines:
    """A line for the picture when it is done; on a terminal a passing one for the tiles of a large one."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._passing = 0

    def progress(self, progress: ImageProgress) -> None:
        if self._live and progress.tiles > 1:
            text = one_line(f"{progress.source.name}: {100 * progress.tile // progress.tiles} %")
            click.echo("\r" + text.ljust(self._passing), err=True, nl=False)
            self._passing = len(text)

    def done(self, result: ImageResult) -> None:
        self._clear()
        if not self._quiet:
            click.echo(one_line(f"{result.destination}: {image_summary(result)}"), err=True)

    def warn(self, text: str) -> None:
        self._clear()
        click.echo(one_line(f"warning: {text}"), err=True)

    def _clear(self) -> None:
        if self._passing:
            click.echo("\r" + " " * self._passing + "\r", err=True, nl=False)
            self._passing = 0
