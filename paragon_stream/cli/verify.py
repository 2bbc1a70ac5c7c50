"""`paragon-stream verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from paragon_stream.cli.display.events import EventLines, progress_option
from paragon_stream.cli.reports import check_reports, write_text
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.errors import ParagonError

if TYPE_CHECKING:
    from paragon_stream.cli.display.render import RenderDisplay
    from paragon_stream.report import Report
    from paragon_stream.verification.findings import Verification


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("output", metavar="OUT")
@click.option(
    "--plan",
    type=FilePath(dir_okay=False, path_type=Path),
    metavar="RENDER.json",
    help="Report of the render, written by its --report (default: default options, at OUT's size).",
)
@click.option(
    "--report",
    type=FilePath(dir_okay=False, path_type=Path),
    metavar="FILE.html|.json",
    help="Write the result as a page or as JSON.",
)
@progress_option
@click.option("--quiet", is_flag=True, help="Print findings only.")
@click.pass_obj
def command(
    events: EventLines | None,
    /,
    source: str,
    output: str,
    plan: Path | None,
    report: Path | None,
    quiet: bool,
) -> None:
    """Compare OUT, a render of SRC, with SRC: frames, times, streams, tags, colours and pictures.

    The exit code is 0 if nothing is wrong, 1 otherwise.
    """
    from paragon_stream.cli.display.render import render_display
    from paragon_stream.verification.verifier import verify

    check_reports(report, None)
    if report is not None and report.suffix.lower() not in (".html", ".json"):
        raise click.UsageError(f"--report {report}: the name must end in .html or .json")
    if report is not None and plan is not None and report.absolute() == plan.absolute():
        raise click.UsageError(f"--report would replace the report of the render, {plan}")
    display = render_display(events, quiet=quiet)
    if events is not None:
        events.started(source=source, destination=output)
    with display.comparing() as on_progress:
        result = verify(source, output, plan=plan, on_progress=on_progress)
    if events is not None:
        events.result(frames=result.frames)
    elif plan is None and not result.ok:
        click.echo("without --plan RENDER.json, default options are assumed", err=True)
    _write(result, report)
    display.compared(result)
    _refute(result)


def verify_render(render: Report, display: RenderDisplay) -> None:
    """`--verify` after a render. Raises `Refuted` if something is wrong."""
    from paragon_stream.verification.verifier import verify

    with display.comparing() as on_progress:
        result = verify(render.source, render.destination, plan=render, on_progress=on_progress)
    display.compared(result)
    _refute(result)


def _write(result: Verification, report: Path | None) -> None:
    from paragon_stream.verification.page import to_html

    if report is not None:
        write_text(to_html(result) if report.suffix.lower() == ".html" else result.to_json(), report)


def _refute(result: Verification) -> None:
    if not result.ok:
        count = len(result.findings)
        raise Refuted(f"{result.output} is wrong: {count} finding{'s' if count > 1 else ''}, see above")


class Refuted(ParagonError):
    """A verification found something wrong; the findings have been printed."""
