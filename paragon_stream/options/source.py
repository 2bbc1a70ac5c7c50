"""How a file is read."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from paragon_stream.options.option import option

type TimeLike = str | int | float | Fraction
"""Seconds, also as "1001/30", or "h:mm:ss.xxx" and "mm:ss"."""


@dataclass(frozen=True, kw_only=True)
class FieldOptions:
    """What is done about interlacing, in files as in live sources."""

    deinterlace: str = option("auto", "auto (by flags), off, bwdif, bwdif-2x or yadif.", metavar="HOW")


@dataclass(frozen=True, kw_only=True)
class SourceOptions(FieldOptions):
    """What a user may ask of a file."""

    idet: bool = option(False, "Look for interlacing in the picture, where flags are wrong.")
    ivtc: bool = option(False, "Undo telecine: film at 24 frames a second.")
    fps: str | float | Fraction | None = option(
        None, "Rate of a sequence of images in (default 24), as 24000/1001.", metavar="R"
    )
    start: TimeLike | None = option(
        None, "Begin here: seconds or h:mm:ss.xxx from the beginning.", metavar="TIME"
    )
    duration: TimeLike | None = option(None, "Length to render.", metavar="TIME")
    end: TimeLike | None = option(None, "End before this frame.", metavar="TIME")
    video: int | None = option(None, "Upscale the N-th video, from 1 (default: the main one).", metavar="N")
    probesize: str | int | None = option(
        None,
        "How much of a TS, MPEG or FLV file to search for streams: 500M, all (default: as needed).",
        metavar="SIZE",
    )
    hwaccel: str = option(
        "auto", "What decodes: auto (default: the engine's GPU, if any), none or cuda.", metavar="HOW"
    )
