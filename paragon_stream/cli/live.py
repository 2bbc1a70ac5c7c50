"""`paragon-stream live`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paragon_stream.cli.display.events import EventLines, progress_option
from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import check_standard_output, choices, given, network_options, verbose_option
from paragon_stream.cli.reports import check_reports, report_option, trace_option, write_report
from paragon_stream.errors import ConsumerGone, InputError
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
    from paragon_stream.cli.display.live import live_display
    from paragon_stream.livestream.live import live
    from paragon_stream.media.live.source import without_scheme

    output = None if destination is None else without_scheme(destination)
    check_reports(report, options["trace"], output)
    check_standard_output(destination)
    display = live_display(events, source, destination, quiet=quiet)
    with display.running() as on_progress:
        try:
            result = live(
                source,
                destination,
                on_progress=on_progress,
                on_event=display.happened,
                on_warning=display.warning,
                **given(**options),
            )
        except ConsumerGone as left:
            display.happened(f"{left} before the first picture")
            return
    write_report(result, report)
    display.ended(result)
    if result.failure is not None:
        raise InputError(result.failure)
