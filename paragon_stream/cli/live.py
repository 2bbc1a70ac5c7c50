"""`paragon-stream live`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paragon_stream.cli.options import check_standard_output, given, network_options, parse_encoder_options
from paragon_stream.cli.reports import check_reports, report_option, trace_option, write_report
from paragon_stream.errors import InputError


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    options_metavar="[OPTIONS]",
)
@click.argument("source", metavar="SOURCE")
@click.argument("destination", metavar="[OUTPUT]", required=False)
@network_options
@click.option("--region", metavar="WxH+X+Y", help="Part of the screen to capture (default: all of it).")
@click.option("--fps", metavar="R", help="Frames a second to capture (default: 30 of a screen).")
@click.option(
    "--no-cursor", "cursor", flag_value=False, default=None, help="Capture without the mouse pointer."
)
@click.option("--input-size", metavar="WxH", help="Size to ask a device for.")
@click.option("--input-pix-fmt", metavar="F", help="Pixel format to ask a device for: yuyv422, mjpeg.")
@click.option("--input-format", metavar="NAME", help="FFmpeg's demuxer, where the stream does not tell.")
@click.option(
    "--input-option", multiple=True, metavar="KEY=VALUE", help="Option of FFmpeg's demuxer; repeatable."
)
@click.option("--listen", is_flag=True, default=None, help="Wait for a sender: rtmp://, tcp://, http://.")
@click.option(
    "--paced/--not-paced",
    "paced",
    default=None,
    help="Play at the stream's own pace (default: of files, HLS, DASH), or take frames as they come.",
)
@click.option(
    "--reconnect",
    type=float,
    metavar="S",
    help="Try a broken stream, in or out, so long (default: 30; 0: not).",
)
@click.option("--timeout", type=float, metavar="S", help="Silence that means broken (default: 10).")
@click.option("--duration", metavar="TIME", help="Stop after so much of the source.")
@click.option("--deinterlace", metavar="HOW", help="auto (by flags), off, bwdif, bwdif-2x or yadif.")
@click.option("--no-audio", "sound", flag_value=False, default=None, help="Leave the sound out.")
@click.option("--format", metavar="NAME", help="Of the output: y4m, nut, mkv, ts, flv (default: by name).")
@click.option("--codec", metavar="NAME", help="Video encoder (default: libx264). nvenc: an NVIDIA GPU's.")
@click.option("--bitrate", metavar="B", help="As 6M (default of streams: 0.1 bits a pixel).")
@click.option("--crf", type=float, metavar="N", help="Constant quality (default of files: 20).")
@click.option("--preset", metavar="P", help="Encoder preset (default: veryfast).")
@click.option("--pix-fmt", metavar="F", help="Output pixel format (default: 8-bit 4:2:0 where encoded).")
@click.option("-x", "encoder", multiple=True, metavar="KEY=VALUE", help="Further encoder option; repeatable.")
@click.option("--player", metavar="PROGRAM", help="The mpv that shows the window (default: mpv).")
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it exists.")
@report_option
@trace_option
@click.option("--quiet", is_flag=True, help="No progress and no summary; events and errors only.")
@click.option("--verbose", is_flag=True, help="Say what is decided and why.")
def command(
    source: str,
    destination: str | None,
    input_option: tuple[str, ...],
    encoder: tuple[str, ...],
    overwrite: bool,
    report: Path | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Upscale SOURCE as it comes: a screen, a capture device, a stream. The newest frame wins.

    SOURCE is "screen" or an X display (:0.0), a device (/dev/video0, camera), an address (rtmp://, rtsp://,
    udp://, tcp://, http(s)://), "-" for standard input, or a file, which plays at its own pace.

    Without OUTPUT a window shows it (mpv). OUTPUT is an address (rtmp://, udp://, tcp://), a file, or "-"
    for standard output. Ctrl-C ends the session; what has been written is complete.
    """
    from paragon_stream.cli.progress import ProgressDisplay, clock, live_line, size
    from paragon_stream.livestream import live

    check_reports(report, options["trace"])
    check_standard_output(destination)
    with ProgressDisplay(live_line, quiet=quiet) as display:
        result = live(
            source,
            destination,
            input_options=parse_encoder_options(input_option, "--input-option"),
            encoder_options=parse_encoder_options(encoder),
            overwrite=overwrite,
            on_progress=display,
            on_event=lambda text: click.echo(text, err=True),
            on_warning=lambda text: click.echo(f"warning: {text}", err=True),
            **given(**options),
        )
    write_report(result, report)
    if result.failure is not None:
        raise InputError(result.failure)
    if not quiet:
        dropped = result.frames_in - result.frames_out
        latency = result.latency
        click.echo(
            f"{result.destination}: {result.target_format}, {result.frames_out} frames in "
            f"{clock(result.seconds)} ({result.fps_out:.1f} of {result.fps_in:.1f} fps, {dropped} dropped), "
            f"latency {latency.median * 1000:.0f} ms, 95 % below {latency.percentile_95 * 1000:.0f} ms, "
            f"{size(result.bytes_out)}; {result.ended}",
            err=True,
        )
