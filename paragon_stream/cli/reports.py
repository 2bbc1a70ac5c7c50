"""The options `--report` and `--trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import click

from paragon_stream.errors import OutputError

report_option = click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.json", help="Write a report."
)
trace_option = click.option(
    "--trace",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.json",
    help="Write the times of every stage, for ui.perfetto.dev.",
)


class _Report(Protocol):
    def to_json(self) -> str: ...


def check_reports(report: Path | None, trace: Path | None) -> None:
    """Raise OutputError, before any work, if a report or a trace cannot be written."""
    for what, path in (("report", report), ("trace", trace)):
        if path is not None and not path.absolute().parent.is_dir():
            raise OutputError(f"the {what} cannot be written: {path.absolute().parent} is not a folder")


def write_report(result: _Report, path: Path | None) -> None:
    """Write the report to `path`, unless it is None. Raises OutputError."""
    if path is None:
        return
    try:
        path.write_text(result.to_json(), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the report cannot be written to {path}: {error.strerror}") from error
