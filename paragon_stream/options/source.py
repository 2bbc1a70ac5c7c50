"""The options of a source."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from paragon_stream.options.option import option

type TimeLike = str | int | float | Fraction
"""Seconds, also as "1001/30", or "h:mm:ss.xxx" and "mm:ss"."""


@dataclass(frozen=True, kw_only=True)
class FieldOptions:
    """Options for interlacing, of files and live sources."""

    deinterlace: str = option(
        "auto",
        "Deinterlacing: auto (default, by the frames' flags), off, bwdif, bwdif-2x or yadif.",
        metavar="HOW",
    )


@dataclass(frozen=True, kw_only=True)
class SourceOptions(FieldOptions):
    """Options of a source file."""

    idet: bool = option(False, "Detect interlacing from the picture, for wrong flags.")
    ivtc: bool = option(False, "Reverse telecine: restore film at 24 frames per second.")
    fps: str | float | Fraction | None = option(
        None, "Frame rate of an input sequence of images, such as 24000/1001 (default: 24).", metavar="R"
    )
    start: TimeLike | None = option(
        None, "Start time: seconds or h:mm:ss.xxx from the beginning.", metavar="TIME"
    )
    duration: TimeLike | None = option(None, "Length to render.", metavar="TIME")
    end: TimeLike | None = option(None, "End time; the frame at this time is not included.", metavar="TIME")
    video: int | None = option(
        None, "Number of the video to upscale, from 1 (default: the main one).", metavar="N"
    )
    probesize: str | int | None = option(
        None,
        "Amount of a TS, MPEG or FLV file to search for streams: 500M, all (default: as needed).",
        metavar="SIZE",
    )
    hwaccel: str = option(
        "auto",
        "Decoding on a GPU: auto (default, on the engine's GPU if there is one), none or cuda.",
        metavar="HOW",
    )
