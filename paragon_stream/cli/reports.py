"""The options `--report` and `--trace`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import click

from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.errors import OutputError, UsageError, reason

report_option = click.option(
    "--report", type=FilePath(dir_okay=False, path_type=Path), metavar="FILE.json", help="Write a report."
)
trace_option = click.option(
    "--trace",
    type=FilePath(dir_okay=False, path_type=Path),
    metavar="FILE.json",
    help="Write the times of every stage, for ui.perfetto.dev.",
)


class _Report(Protocol):
    def to_json(self) -> str: ...


def check_reports(report: Path | None, trace: Path | None, *files: str | None) -> None:
    """Before any work, raise OutputError if a report or a trace cannot be written, and UsageError if it has
    the name of a video or picture, or of one of the command's `files`, which it would replace, or if both
    have one name."""
    from paragon_stream.media.facts.containers import is_readable_video_name
    from paragon_stream.media.facts.image_kinds import is_image_name

    for what, path in (("report", report), ("trace", trace)):
        if path is None:
            continue
        if is_readable_video_name(path) or is_image_name(path):
            raise UsageError(f"--{what} {path}: a {what} is text, so it needs another name: {path.stem}.json")
        if any(file is not None and os.path.realpath(file) == os.path.realpath(path) for file in files):
            raise UsageError(f"--{what} {path} would replace the video of that name: choose another name")
        folder = path.absolute().parent
        if not folder.is_dir():
            raise OutputError(f"the {what} cannot be written: {folder} is not a folder")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise OutputError(f"the {what} cannot be written: no permission for {path}")
    if report is not None and trace is not None and os.path.realpath(report) == os.path.realpath(trace):
        raise UsageError(f"--report and --trace have one name, {report}: one would replace the other")


def write_report(result: _Report, path: Path | None) -> None:
    """Write the report to `path`, unless it is None. Raises OutputError."""
    if path is not None:
        write_text(result.to_json(), path)


def write_text(text: str, path: Path) -> None:
    """Write a report. Bytes of file names that are not UTF-8 become escapes. Raises OutputError."""
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise OutputError(f"the report cannot be written to {path}: {reason(error)}") from error
