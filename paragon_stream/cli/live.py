"""`paragon-stream live`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paragon_stream.cli.display.events import EventLines, progress_option
from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import check_standard_output, choices, given, network_options, verbose_option
from paragon_stream.cli.reports import check_reports, report_option, trace_option, write_report
from paragon_stream.errors import InputError
from paragon_stream.number_text import size
from paragon_stream.options.live import CaptureOptions, LiveOutputOptions


@click.command(cls=SectionedCommand)
@click.argument("source", metavar="SOURCE")
@click.argument("destination", metavar="[OUTPUT]", required=False)
@network_options
@choices(CaptureOptions)
@choices(LiveOutputOptions)
@report_option
@trace_option
@progress_option
@click.option("--quiet", is_flag=True, help="No progress and no summary; events and errors only.")
@verbose_option
@click.pass_obj
def command(
    events: EventLines | None,
    /,
    source: str,
    destination: str | None,
    report: Path | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Upscale SOURCE in real time: a screen, a capture device or a stream. Late frames are dropped.

    SOURCE is "screen" or an X display (:0.0), a device (/dev/video0, camera), an address (rtmp://, rtsp://,
    udp://, tcp://, http(s)://), "-" for standard input, or a file, which is played at its frame rate.

    Without OUTPUT, an mpv window shows the result. OUTPUT is an address (rtmp://, udp://, tcp://), a file, or
    "-" for standard output. Ctrl-C ends the session; the output is then complete.
    """
    from paragon_stream.cli.display.live import LiveEvents
    from paragon_stream.cli.progress import ProgressDisplay, clock, live_line, say
    from paragon_stream.livestream import live
    from paragon_stream.number_text import counted

    check_reports(report, options["trace"])
    check_standard_output(destination)
    if events is not None:
        shown = LiveEvents(events, source, destination)
        result = live(
            source,
            destination,
            on_progress=shown.progress,
            on_event=shown.happened,
            on_warning=shown.warning,
            **given(**options),
        )
        write_report(result, report)
        shown.ended(result)
        return
    with ProgressDisplay(live_line, quiet=quiet) as display:
        result = live(
            source,
            destination,
            on_progress=display,
            on_event=say,
            on_warning=lambda text: say(f"warning: {text}"),
            **given(**options),
        )
    write_report(result, report)
    if result.failure is not None:
        raise InputError(result.failure)
    if not quiet:
        dropped = result.frames_in - result.frames_out
        latency = result.latency
        click.echo(
            f"{result.destination}: {result.target_format}, {counted(result.frames_out, 'frame')} in "
            f"{clock(result.seconds)} ({result.fps_out:.1f} of {result.fps_in:.1f} fps, {dropped} dropped), "
            f"latency {latency.median * 1000:.0f} ms, 95 % below {latency.percentile_95 * 1000:.0f} ms, "
            f"{size(result.bytes_out)}; {result.ended}",
            err=True,
        )
