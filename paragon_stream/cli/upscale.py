"""The main form: `paragon-stream INPUT OUTPUT`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paragon_stream import __version__
from paragon_stream.cli.main import COMMANDS
from paragon_stream.cli.options import check_standard_output, given, network_options, parse_encoder_options
from paragon_stream.cli.reports import check_reports, report_option, trace_option, write_report


class _MainCommand(click.Command):
    """The main form's help also lists the commands."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])
        formatter.write_paragraph()
        formatter.write_text("A file that is called like a command is given as ./NAME.")


@click.command(
    cls=_MainCommand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    options_metavar="[OPTIONS]",
)
@click.argument("source", metavar="INPUT")
@click.argument("destination", metavar="OUTPUT")
@network_options
@click.option(
    "--codec",
    metavar="NAME",
    help="Video encoder (default: libx264; libx265 above 8 bit). nvenc: the same codec by an NVIDIA GPU.",
)
@click.option(
    "--crf", type=float, metavar="N", help="Constant quality (default: 17 for libx264, 18 for libx265)."
)
@click.option("--preset", metavar="P", help="Encoder preset (default: medium).")
@click.option(
    "--pix-fmt", metavar="F", help="Output pixel format, such as yuv420p10le (default: the source's)."
)
@click.option("-x", "encoder", multiple=True, metavar="KEY=VALUE", help="Further encoder option; repeatable.")
@click.option(
    "--hwaccel", metavar="HOW", help="What decodes: auto (default: the engine's GPU, if any), none or cuda."
)
@click.option("--fps", metavar="R", help="Rate of a sequence of images in (default 24), as 24000/1001.")
@click.option("--start", metavar="TIME", help="Begin here: seconds or h:mm:ss.xxx from the beginning.")
@click.option("--duration", metavar="TIME", help="Render so much.")
@click.option("--end", metavar="TIME", help="End before this frame.")
@click.option("--deinterlace", metavar="HOW", help="auto (by flags), off, bwdif, bwdif-2x or yadif.")
@click.option("--idet", is_flag=True, default=None, help="Look for interlacing, where flags are wrong.")
@click.option("--ivtc", is_flag=True, default=None, help="Undo telecine: film at 24 frames a second.")
@click.option("--video", type=int, metavar="N", help="Upscale the N-th video (default: the main one).")
@click.option(
    "--probesize",
    metavar="SIZE",
    help="How much of a TS, MPEG or FLV file to search for streams: 500M, all (default: as needed).",
)
@click.option("--audio", metavar="LIST", help="Sound to keep: numbers from 1, or languages: 1,3 or eng,jpn.")
@click.option("--subs", "subtitles", metavar="LIST", help="Subtitles to keep, likewise.")
@click.option("--no-audio", "audio", flag_value="none", help="Leave all sound out.")
@click.option("--no-subs", "subtitles", flag_value="none", help="Leave all subtitles out.")
@click.option(
    "--no-attachments", "attachments", flag_value=False, default=None, help="No fonts and the like."
)
@click.option("--no-chapters", "chapters", flag_value=False, default=None, help="Leave the chapters out.")
@click.option(
    "--add", multiple=True, metavar="FILE", help="Sound or subtitles to add: film.eng.srt; repeatable."
)
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option(
    "--resume",
    is_flag=True,
    default=None,
    help="Go on with an interrupted run; of pictures, make the missing ones.",
)
@click.option("--strict", is_flag=True, help="Stop before rendering if anything could not be carried over.")
@report_option
@trace_option
@click.option("--quiet", is_flag=True, help="No progress and no summary; warnings and errors only.")
@click.option("--verbose", is_flag=True, help="Say what is decided and why.")
@click.version_option(__version__, prog_name="paragon-stream", message="%(prog)s %(version)s")
def command(
    source: str,
    destination: str,
    encoder: tuple[str, ...],
    overwrite: bool,
    strict: bool,
    report: Path | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Upscale the video in INPUT and write it to OUTPUT with everything else that INPUT holds.

    OUTPUT's suffix chooses the container. OUTPUT "-" writes raw video (y4m) to standard output.

    INPUT may be an image, a folder of images or a glob such as 'shots/*.png'; OUTPUT is then an image, a
    folder, or FOLDER/*.png. A numbered pattern such as frame_%06d.png is a video of images, in and out.
    """
    from paragon_stream.api import upscale
    from paragon_stream.cli.images import run_images, summarise
    from paragon_stream.cli.progress import ProgressDisplay, clock, render_line, size
    from paragon_stream.images import is_images

    check_reports(report, options["trace"])
    check_standard_output(destination)
    if is_images(source, destination):
        images = run_images(
            source,
            destination,
            options=options,
            encoder_options=parse_encoder_options(encoder),
            overwrite=overwrite,
            strict=strict,
            quiet=quiet,
        )
        write_report(images, report)
        summarise(images, quiet=quiet)
        return
    with ProgressDisplay(render_line, quiet=quiet) as display:
        result = upscale(
            source,
            destination,
            encoder_options=parse_encoder_options(encoder),
            overwrite=overwrite,
            strict=strict,
            on_progress=display,
            on_warning=lambda text: click.echo(f"warning: {text}", err=True),
            **given(**options),
        )
    write_report(result, report)
    if not quiet:
        click.echo(
            f"{result.destination}: {result.target_format}, {result.frames_out} frames in "
            f"{clock(result.wall_seconds)} ({result.fps:.1f} fps), {size(result.bytes_out)}",
            err=True,
        )
