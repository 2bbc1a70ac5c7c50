"""What a live session captures, and what it gives out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from paragon_stream.options.option import option
from paragon_stream.options.output import EncodingOptions
from paragon_stream.options.source import FieldOptions, TimeLike

TIMEOUT = 10.0
"""Seconds without a byte after which a network source counts as broken off."""


@dataclass(frozen=True, kw_only=True)
class CaptureOptions(FieldOptions):
    """What a user may ask of a live source. None leaves it to the source."""

    region: str | None = option(
        None, "Part of the screen to capture (default: all of it).", metavar="WxH+X+Y"
    )
    fps: str | float | Fraction | None = option(
        None, "Frames a second to capture (default: 30 of a screen).", metavar="R"
    )
    cursor: bool = option(
        True,
        "Capture the mouse pointer of a screen.",
        none=("--no-cursor", "Capture without the mouse pointer."),
    )
    input_size: str | None = option(None, "Size to ask a device for.", metavar="WxH")
    input_pix_fmt: str | None = option(None, "Pixel format to ask a device for: yuyv422, mjpeg.", metavar="F")
    input_format: str | None = option(
        None, "FFmpeg's demuxer, where the stream does not say.", metavar="NAME"
    )
    input_options: Mapping[str, str] | None = option(
        None,
        "Option of FFmpeg's demuxer or protocol; repeatable.",
        metavar="KEY=VALUE",
        flag="--input-option",
    )
    listen: bool = option(False, "Wait for a sender: rtmp://, tcp://, http://.")
    paced: bool | None = option(
        None, "Play at the stream's own pace (default: of files, HLS, DASH), or take frames as they come."
    )
    reconnect: float | None = option(
        None, "Seconds to retry a broken connection, in or out (default: 30; 0: none).", metavar="S"
    )
    duration: TimeLike | None = option(None, "Length of the source to play, then stop.", metavar="TIME")
    sound: bool = option(True, "Keep the sound.", none=("--no-audio", "Leave the sound out."))
    timeout: float = option(TIMEOUT, "Seconds of silence that mean broken (default: 10).", metavar="S")


@dataclass(frozen=True, kw_only=True)
class LiveOutputOptions(EncodingOptions):
    """What a user may ask of the output. None means the default for the destination."""

    format: str | None = option(
        None, "Of the output: y4m, nut, mkv, ts, flv (default: by name).", metavar="NAME"
    )
    bitrate: str | float | None = option(
        None, "Bit rate, as 6M (default of streams: 0.1 bits a pixel).", metavar="B"
    )
    player: str | None = option(None, "The mpv that shows the window (default: mpv).", metavar="PROGRAM")
