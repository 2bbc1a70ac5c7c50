"""The main form: `paragon-stream INPUT OUTPUT`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paragon_stream import __version__
from paragon_stream.cli.main import COMMANDS
from paragon_stream.cli.options import check_standard_output, choices, given, network_options
from paragon_stream.cli.reports import check_reports, report_option, trace_option, write_report
from paragon_stream.cli.verify import verify_render
from paragon_stream.errors import UsageError
from paragon_stream.options.cluster import ClusterOptions
from paragon_stream.options.output import OutputOptions
from paragon_stream.options.source import SourceOptions

if TYPE_CHECKING:
    from paragon_stream.report import Report


class _MainCommand(click.Command):
    """The main command, whose help also lists the other commands."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])
        formatter.write_paragraph()
        formatter.write_text("A file with the name of a command is given as ./NAME.")


@click.command(
    cls=_MainCommand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    options_metavar="[OPTIONS]",
)
@click.argument("source", metavar="INPUT")
@click.argument("destination", metavar="OUTPUT")
@network_options
@choices(SourceOptions)
@choices(OutputOptions)
@choices(ClusterOptions)
@report_option
@trace_option
@click.option("--verify", is_flag=True, help="Compare the result with the source after the render.")
@click.option("--quiet", is_flag=True, help="No progress and no summary; warnings and errors only.")
@click.option("--verbose", is_flag=True, help="Say what is decided and why.")
@click.version_option(__version__, prog_name="paragon-stream", message="%(prog)s %(version)s")
def command(
    source: str,
    destination: str,
    report: Path | None,
    verify: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Upscale the video in INPUT and write it to OUTPUT, with all other streams of INPUT.

    OUTPUT's suffix chooses the container. OUTPUT "-" writes raw video (y4m) to standard output.

    INPUT may be an image, a folder of images or a glob such as 'shots/*.png'; OUTPUT is then an image, a
    folder, or FOLDER/*.png. A numbered pattern such as frame_%06d.png is a video of images, in and out.
    """
    from paragon_stream.api import upscale
    from paragon_stream.cli.images import run_images, summarise
    from paragon_stream.cli.progress import ProgressDisplay, render_line
    from paragon_stream.images import is_images

    check_reports(report, options["trace"])
    check_standard_output(destination)
    if verify and (is_images(source, destination) or destination == "-"):
        raise UsageError("--verify compares video files: leave it out for pictures and pipes")
    if is_images(source, destination):
        images = run_images(
            source,
            destination,
            options=options,
            quiet=quiet,
        )
        write_report(images, report)
        summarise(images, quiet=quiet)
        return
    with ProgressDisplay(render_line, quiet=quiet) as display:
        result = upscale(
            source,
            destination,
            on_progress=display,
            on_warning=lambda text: click.echo(f"warning: {text}", err=True),
            **given(**options),
        )
    write_report(result, report)
    summarise_render(result, quiet=quiet)
    if verify:
        verify_render(result, quiet=quiet)


def summarise_render(result: Report, *, quiet: bool) -> None:
    """The summary line of a finished render."""
    from paragon_stream.cli.progress import clock, size
    from paragon_stream.media.frames.format_changes import counted

    if not quiet:
        click.echo(
            f"{result.destination}: {result.target_format}, {counted(result.frames_out, 'frame')} in "
            f"{clock(result.wall_seconds)} ({result.fps:.1f} fps), {size(result.bytes_out)}",
            err=True,
        )
