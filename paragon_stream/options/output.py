"""The options of the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.options.option import option

type TrackList = str | int | Sequence[int | str] | None
"""Numbers counted from 1, and languages: "1,3", "eng,jpn", 2, [1, "jpn"]. None is all, an empty one none."""


@dataclass(frozen=True, kw_only=True)
class StorageOptions:
    """Options for every kind of result: pictures, videos, live sessions."""

    encoder_options: Mapping[str, str] | None = option(
        None, "Additional encoder option; repeatable.", metavar="KEY=VALUE", flag="-x"
    )
    pix_fmt: str | None = option(
        None,
        "Output pixel format, such as yuv420p10le (default: the source's; 4:2:0 for a video of RGB images; "
        "live: 8-bit 4:2:0).",
        metavar="F",
    )
    overwrite: bool = option(False, "Replace OUTPUT if it exists.")


@dataclass(frozen=True, kw_only=True)
class CodecOptions:
    """The video encoder. None is the default for the source and the container."""

    codec: str | None = option(
        None,
        "Video encoder (default: libx264; libx265 above 8 bits; libsvtav1 in .webm; live: libx264). nvenc: "
        "the same codec on an NVIDIA GPU.",
        metavar="NAME",
    )
    crf: float | None = option(
        None, "Constant quality (default: 17 for libx264, 18 for libx265; live files: 20, 22).", metavar="N"
    )
    preset: str | None = option(None, "Encoder preset (default: medium; live: veryfast).", metavar="P")


@dataclass(frozen=True, kw_only=True)
class EncodingOptions(StorageOptions, CodecOptions):
    """Options of encoded video. The base classes' order puts the encoder first in all help texts."""


@dataclass(frozen=True, kw_only=True)
class CautionOptions:
    """Options for unfinished results and for losses."""

    resume: bool = option(False, "Continue an interrupted run; for pictures: make the missing ones.")
    strict: bool = option(False, "Stop before rendering if anything could not be carried over.")


@dataclass(frozen=True, kw_only=True)
class TrackOptions:
    """The other streams of the output. Lists contain numbers (counted from 1 for each kind of stream) and
    languages; None keeps all."""

    audio: TrackList = option(
        None,
        "Sound to keep, by number (from 1) or language: 1,3 or eng,jpn.",
        metavar="LIST",
        none=("--no-audio", "Drop all sound."),
    )
    subtitles: TrackList = option(
        None,
        "Subtitles to keep, by number (from 1) or language.",
        metavar="LIST",
        flag="--subs",
        none=("--no-subs", "Drop all subtitles."),
    )
    audio_codec: str | None = option(
        None,
        "Encoder for all sound (default: copy, or a lossless one for sound that OUTPUT cannot store).",
        metavar="NAME",
    )
    audio_bitrate: str | int | None = option(
        None,
        "Bit rate of encoded sound, such as 192k (default: 96k per channel).",
        metavar="R",
    )
    attachments: bool = option(
        True,
        "Keep attached files, such as fonts.",
        none=("--no-attachments", "Drop attached files, such as fonts."),
    )
    chapters: bool = option(True, "Keep the chapters.", none=("--no-chapters", "Drop the chapters."))
    add: Sequence[str | Path] = option(
        (), "Sound or subtitles to add: film.eng.srt; repeatable.", metavar="FILE"
    )


@dataclass(frozen=True, kw_only=True)
class MuxingOptions:
    """Options of the muxer."""

    mux: Mapping[str, str] | None = option(
        None,
        "Additional option of the FFmpeg muxer, such as movflags=-faststart; repeatable.",
        metavar="KEY=VALUE",
    )


@dataclass(frozen=True, kw_only=True)
class OutputOptions(CautionOptions, MuxingOptions, TrackOptions, EncodingOptions):
    """All options of a render's output."""

    reuse_duplicates: str = option(
        "exact",
        "Frames equal to the one before: exact (default) takes its result again; off computes all frames.",
        metavar="HOW",
    )
    accept_upgrade: bool = option(
        False, "With --resume: continue also with another version of paragon-stream or FFmpeg."
    )
