"""The options of a live session's source and output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from paragon_stream.options.option import option
from paragon_stream.options.output import EncodingOptions
from paragon_stream.options.source import FieldOptions, TimeLike

TIMEOUT = 10.0
"""Seconds without data after which a network source counts as broken off."""


@dataclass(frozen=True, kw_only=True)
class CaptureOptions(FieldOptions):
    """Options of a live source. None is the default of the source."""

    region: str | None = option(
        None, "Part of the screen to capture (default: the whole screen).", metavar="WxH+X+Y"
    )
    fps: str | float | Fraction | None = option(
        None, "Frames per second to capture (default for screens: 30).", metavar="R"
    )
    cursor: bool = option(
        True,
        "Capture the mouse pointer of a screen.",
        none=("--no-cursor", "Capture without the mouse pointer."),
    )
    input_size: str | None = option(None, "Size to request from a device.", metavar="WxH")
    input_pix_fmt: str | None = option(
        None, "Pixel format to request from a device: yuyv422, mjpeg.", metavar="F"
    )
    input_format: str | None = option(
        None, "FFmpeg demuxer, for streams that cannot be identified.", metavar="NAME"
    )
    input_options: Mapping[str, str] | None = option(
        None,
        "Option of the FFmpeg demuxer or protocol; repeatable.",
        metavar="KEY=VALUE",
        flag="--input-option",
    )
    listen: bool = option(False, "Wait for a sender to connect: rtmp://, tcp://, http://.")
    paced: bool | None = option(
        None,
        "Play at the stream's frame rate (default for files, HLS and DASH), or take frames as they arrive.",
    )
    reconnect: float | None = option(
        None, "Seconds to retry a broken connection, input or output (default: 30; 0: no retry).", metavar="S"
    )
    duration: TimeLike | None = option(None, "Stop after this length of the source.", metavar="TIME")
    sound: bool = option(True, "Keep the sound.", none=("--no-audio", "Drop the sound."))
    timeout: float = option(
        TIMEOUT, "Seconds without data after which a connection counts as broken (default: 10).", metavar="S"
    )


@dataclass(frozen=True, kw_only=True)
class LiveOutputOptions(EncodingOptions):
    """Options of a live output. None is the default for the destination."""

    format: str | None = option(
        None, "Format of the output: y4m, nut, mkv, ts, flv (default: by its name).", metavar="NAME"
    )
    bitrate: str | float | None = option(
        None, "Bit rate, such as 6M (default for streams: 0.1 bits per pixel).", metavar="B"
    )
    player: str | None = option(
        None, "The mpv program that shows the window (default: mpv).", metavar="PROGRAM"
    )
