"""`paragon-stream chunks plan|render|join`: a render on many machines with any scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import choices, given, network_options, verbose_option
from paragon_stream.cli.reports import check_reports, report_option, write_report
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.cli.shortcuts.profiles import profile_option, with_profile
from paragon_stream.cli.standard_streams import print_line
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.output import OutputOptions
from paragon_stream.options.source import SourceOptions

_quiet = click.option("--quiet", is_flag=True, help="No progress and no summary; warnings and errors only.")
_output = click.argument("destination", metavar="OUTPUT", type=FilePath(path_type=Path))


@click.group()
def command() -> None:
    """Render on many machines: plan the chunks, render each of them on any machine, join them.

    The plan and the chunks are in OUTPUT.paragon/chunks, which all machines must access by the same name.
    """


@command.command(cls=SectionedCommand)
@click.argument("source", metavar="INPUT")
@click.argument("destination", metavar="OUTPUT")
@click.option("--chunk-seconds", type=float, metavar="S", help="Length of a chunk (default: 30).")
@network_options
@choices(SourceOptions)
@choices(OutputOptions)
@profile_option
@verbose_option
def plan(
    source: str,
    destination: str,
    profile: str | None,
    chunk_seconds: float | None,
    verbose: bool,
    **options: Any,
) -> None:
    """Cut a render into chunks and print their number.

    With --resume, an existing plan of the same render and its finished chunks are kept; options that do not
    change the result (--engine, --device, --hwaccel, --overwrite) are those of this call.
    """
    from paragon_stream.chunks.plan import begin, plan_chunks
    from paragon_stream.render.request import RenderRequest

    options, _ = with_profile(profile, options)
    request = RenderRequest(source=source, destination=destination, **given(**options))
    made, whole = plan_chunks(request, seconds=chunk_seconds)
    for text in whole.warnings:
        print_line(f"warning: {text}", err=True)
    if made.from_start:
        print_line(
            f"warning: every chunk is read from the beginning of the file: {made.from_start}", err=True
        )
    kept, _ = begin(made)
    click.echo(len(kept.chunks))


@command.command()
@_output
@click.argument("number", type=int, metavar="N")
@choices(UpscalerOptions, only=("engine", "device", "threads"))
@choices(SourceOptions, only=("hwaccel",))
@_quiet
@verbose_option
def render(destination: Path, number: int, quiet: bool, verbose: bool, **options: Any) -> None:
    """Render chunk N of OUTPUT, counted from 0. A finished chunk is not rendered again."""
    from paragon_stream.chunks.plan import load_plan
    from paragon_stream.chunks.render import ChunkRenderer, Here
    from paragon_stream.cli.progress import ProgressDisplay, render_line

    made, folder = load_plan(destination)
    made.chunk(number)
    if folder.record(number, made.digest) is not None:
        return
    with (
        folder.scratch() as scratch,
        ChunkRenderer(made, scratch, Here(**given(**options))) as renderer,
        ProgressDisplay(render_line, quiet=quiet) as display,
    ):
        record, file = renderer.render(number, display)
        folder.take(record, file)


@command.command()
@_output
@report_option
@_quiet
@verbose_option
def join(destination: Path, report: Path | None, quiet: bool, verbose: bool) -> None:
    """Write OUTPUT from its chunks.

    The other streams are those of the source. The chunks are removed afterwards.
    """
    from paragon_stream.chunks.join import join_chunks
    from paragon_stream.chunks.plan import load_plan
    from paragon_stream.cli.display.render import RenderText
    from paragon_stream.cli.progress import ProgressDisplay, render_line, say

    check_reports(report, None)
    made, folder = load_plan(destination)
    with ProgressDisplay(render_line, quiet=quiet) as display:
        result = join_chunks(
            made,
            folder,
            on_progress=display,
            on_warning=lambda text: say(f"warning: {text}"),
        )
    write_report(result, report)
    RenderText(quiet=quiet).rendered(result)
