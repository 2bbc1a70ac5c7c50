"""How results are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.options.option import option

type TrackList = str | Sequence[int | str] | None
"""Numbers counted from 1, and languages: "1,3", "eng,jpn", [2]. None is all, an empty one none."""


@dataclass(frozen=True, kw_only=True)
class StorageOptions:
    """How any result is stored: a picture, a video, a live session."""

    pix_fmt: str | None = option(
        None,
        "Output pixel format, such as yuv420p10le (default: the source's; live: 8-bit 4:2:0).",
        metavar="F",
    )
    encoder_options: Mapping[str, str] | None = option(
        None, "Further encoder option; repeatable.", metavar="KEY=VALUE", flag="-x"
    )
    overwrite: bool = option(False, "Replace OUTPUT if it exists.")


@dataclass(frozen=True, kw_only=True)
class EncodingOptions(StorageOptions):
    """How video is encoded. None means the default for the source and the container."""

    codec: str | None = option(
        None,
        "Video encoder (default: libx264; of files above 8 bits libx265). nvenc: the same codec by an NVIDIA "
        "GPU.",
        metavar="NAME",
    )
    crf: float | None = option(
        None, "Constant quality (default: 17 for libx264, 18 for libx265; of live files 20, 22).", metavar="N"
    )
    preset: str | None = option(None, "Encoder preset (default: medium; live: veryfast).", metavar="P")


@dataclass(frozen=True, kw_only=True)
class CautionOptions:
    """What is done where a result is unfinished, or would lose something."""

    resume: bool = option(False, "Continue an interrupted run; of pictures, make the missing ones.")
    strict: bool = option(False, "Stop before rendering if anything could not be carried over.")


@dataclass(frozen=True, kw_only=True)
class TrackOptions:
    """What goes with the upscaled video. Lists hold numbers (among the streams of that kind, from 1) and
    languages; None is all of them."""

    audio: TrackList = option(
        None,
        "Sound to keep: numbers from 1, or languages: 1,3 or eng,jpn.",
        metavar="LIST",
        none=("--no-audio", "Leave all sound out."),
    )
    subtitles: TrackList = option(
        None,
        "Subtitles to keep, likewise.",
        metavar="LIST",
        flag="--subs",
        none=("--no-subs", "Leave all subtitles out."),
    )
    audio_codec: str | None = option(
        None,
        "Encoder of all sound (default: copy; what OUTPUT cannot hold is converted, lossless if it can be).",
        metavar="NAME",
    )
    audio_bitrate: str | int | None = option(
        None,
        "Bits per second of sound that is encoded, as 192k (default: 96k for each channel).",
        metavar="R",
    )
    attachments: bool = option(
        True, "Keep attached files, such as fonts.", none=("--no-attachments", "No fonts and the like.")
    )
    chapters: bool = option(True, "Keep the chapters.", none=("--no-chapters", "Leave the chapters out."))
    add: Sequence[str | Path] = option(
        (), "Sound or subtitles to add: film.eng.srt; repeatable.", metavar="FILE"
    )


@dataclass(frozen=True, kw_only=True)
class OutputOptions(CautionOptions, TrackOptions, EncodingOptions):
    """What a user may ask of the result of a render."""
