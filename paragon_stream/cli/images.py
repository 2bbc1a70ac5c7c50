"""Still images on the command line: messages and exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from paragon_stream.cli.options import given
from paragon_stream.cli.progress import clock, size
from paragon_stream.errors import ParagonError, UsageError
from paragon_stream.images import ImageProgress, ImagesRequest, upscale_images
from paragon_stream.media.frames.format_changes import counted
from paragon_stream.options.option import options_of
from paragon_stream.report import ImageResult, ImagesReport


def run_images(
    source: str,
    destination: str,
    *,
    options: Mapping[str, Any],
    quiet: bool,
) -> ImagesReport:
    """Upscale images and print one line for each. Raises UsageError for options that apply to video only."""
    known = options_of(ImagesRequest)
    for name, value in options.items():
        if name not in known and value is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for video; {source} is for images")
    lines = _Lines(quiet=quiet)
    return upscale_images(
        source,
        destination,
        on_progress=lines.progress,
        on_image=lines.done,
        on_warning=lines.warn,
        **given(**{name: value for name, value in options.items() if name in known}),
    )


def summarise(report: ImagesReport, *, quiet: bool) -> None:
    """Print the last line of a batch. Raises ParagonError (exit code 1) if images failed."""
    failed, count = len(report.failed), len(report.images)
    if failed:
        rest = "; the others are done" if failed < count else ""
        raise ParagonError(f"{failed} of {count} images failed, see above{rest}")
    if not quiet and (count > 1 or report.left):
        left = f"; {report.left} existed already" if report.left else ""
        click.echo(f"{counted(count, 'image')} in {clock(report.wall_seconds)}{left}", err=True)


class _Lines:
    """Prints a line for every finished image and, on a terminal, a temporary one for the tiles of large
    images."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._counter = ""
        self._passing = 0

    def progress(self, progress: ImageProgress) -> None:
        self._counter = f"[{progress.number}/{progress.count}] " if progress.count > 1 else ""
        if self._live and progress.tiles > 1:
            text = f"{self._counter}{progress.source.name}: {100 * progress.tile // progress.tiles} %"
            click.echo("\r" + text.ljust(self._passing), err=True, nl=False)
            self._passing = len(text)

    def done(self, result: ImageResult) -> None:
        self._clear()
        if result.error:
            click.echo(f"failed: {result.error}", err=True)
        elif not self._quiet:
            click.echo(
                f"{self._counter}{result.destination}: {result.target_format}, {result.seconds:.1f} s, "
                f"{size(result.bytes_out)}",
                err=True,
            )

    def warn(self, text: str) -> None:
        self._clear()
        click.echo(f"warning: {text}", err=True)

    def _clear(self) -> None:
        if self._passing:
            click.echo("\r" + " " * self._passing + "\r", err=True, nl=False)
            self._passing = 0
