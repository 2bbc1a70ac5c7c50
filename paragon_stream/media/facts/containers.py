"""The containers that can be written, and the streams and tags that each can store.

FFmpeg's muxers themselves show what they refuse, before a render (`output/trial_muxing.py`). This module has
the other facts: streams that muxers accept although no player reads them, and the conventions of each
container.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from pathlib import Path

from paragon_stream.errors import UsageError
from paragon_stream.media.facts.image_kinds import is_image_name


class Cover(Enum):
    """The form in which a container stores cover art."""

    STREAM = "a stream of one picture"
    ATTACHMENT = "an attached file"
    NONE = "not at all"


class Tags(Enum):
    """The tags of a file that a container can store."""

    ALL = "any"
    KNOWN = "those with a place of their own"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Container:
    """One output container. `name` is what users call it, `muxer` what FFmpeg calls it.

    `tick` is the unit that the container stores video timestamps in; None where it adopts the source's.
    `text_codec` is the subtitle codec that other text subtitles are converted to, "" if there is none.
    `audio_encoder` encodes sound that cannot be copied. `codecs`, if given, lists all FFmpeg codecs that
    players can read from it; the muxer accepts more. `encoders` are the default encoders, the preferred one
    first.
    """

    name: str
    muxer: str
    suffixes: tuple[str, ...]
    encoders: tuple[str, ...]
    tick: Fraction | None = None
    text_codec: str = ""
    audio_encoder: str = "aac"
    cover: Cover = Cover.NONE
    attachments: bool = False
    chapters: bool = True
    tags: Tags = Tags.ALL
    unread_tags: frozenset[str] = frozenset()
    """Further tags of a file that it stores; FFmpeg writes them, but PyAV does not show them."""
    track_titles: bool = True
    video_language: bool = True
    flags: frozenset[str] = frozenset({"default"})
    """Stream dispositions (FFmpeg's names) that it stores; "default" may be implied by being the first
    stream."""
    rotation: bool = True
    length_by_decode_times: bool = False
    """Whether a packet's duration is the distance to the next decode time, and the sum of these is the length
    of the file."""
    strict_decode_order: bool = True
    """Whether decode times of audio and video must increase; in Matroska's coarse ticks they may repeat."""
    codecs: frozenset[str] | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def video_tick(self, source: Fraction) -> Fraction:
        """The time base of the written video, for video whose timestamps count in `source` seconds.

        Containers without a fixed tick get one of at most 1/10000 s that `source` is a multiple of, so that
        no timestamp is rounded. Below 1 µs it becomes 1/90000 s, because MP4 has 31 bits for the ticks from a
        picture to the next one: 2 seconds of nanoseconds, and recordings of screens have longer gaps.
        """
        if self.tick is not None:
            return self.tick
        scale = source.denominator
        while scale < 10_000:
            scale *= 2
        return Fraction(1, scale) if scale <= 1_000_000 else Fraction(1, 90_000)


# Copied packets arrive in order, so FFmpeg's interleaving queue does not have to wait long for sparse
# subtitles.
_INTERLEAVE = {"max_interleave_delta": "1000000"}

# During writing the file is fragmented, so it is playable up to the last fragment if the process is killed;
# closing it makes it an ordinary file, in place. `delay_moov` keeps edit lists, hence start offsets.
# Fragments end only before key frames: FFmpeg can then compute the durations of the last pictures of each.
CRASH_SAFE_MP4 = {"movflags": "+hybrid_fragmented+delay_moov+frag_keyframe", "min_frag_duration": "1000000"}

_MPEG_TS_CODECS = frozenset(
    {
        *("mpeg1video", "mpeg2video", "mpeg4", "h264", "hevc", "vvc", "cavs", "dirac", "vc1"),
        *("mp1", "mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "truehd", "opus", "s302m"),
        *("dvb_subtitle", "dvb_teletext"),
        *("timed_id3", "klv", "scte_35"),
    }
)

_ACCESS = {"hearing_impaired", "visual_impaired"}

MKV = Container(
    name="mkv",
    muxer="matroska",
    suffixes=(".mkv",),
    encoders=("libx264", "libx265", "ffv1"),
    tick=Fraction(1, 1000),
    text_codec="subrip",
    cover=Cover.ATTACHMENT,
    attachments=True,
    flags=frozenset({"default", "forced", "original", "dub", "comment", "descriptions", *_ACCESS}),
    strict_decode_order=False,
    options=_INTERLEAVE,
)
MP4 = Container(
    name="mp4",
    muxer="mp4",
    suffixes=(".mp4", ".m4v"),
    encoders=("libx264", "libx265"),
    text_codec="mov_text",
    cover=Cover.STREAM,
    flags=frozenset({"default", "forced", "dub", "comment", "captions", "descriptions", *_ACCESS}),
    length_by_decode_times=True,
    tags=Tags.KNOWN,
    options=_INTERLEAVE,
)
MOV = Container(
    name="mov",
    muxer="mov",
    suffixes=(".mov", ".qt"),
    encoders=("libx264", "libx265", "prores_ks"),
    text_codec="mov_text",
    length_by_decode_times=True,
    tags=Tags.KNOWN,
    options=_INTERLEAVE,
)
WEBM = Container(
    name="webm",
    muxer="webm",
    suffixes=(".webm",),
    encoders=("libsvtav1", "libvpx-vp9"),
    tick=Fraction(1, 1000),
    text_codec="webvtt",
    audio_encoder="libopus",
    flags=frozenset({"default", "forced", "captions", "descriptions", "metadata"}),
    strict_decode_order=False,
    options=_INTERLEAVE,
)
TS = Container(
    name="ts",
    muxer="mpegts",
    suffixes=(".ts", ".mts", ".m2ts"),
    encoders=("libx264", "libx265"),
    tick=Fraction(1, 90_000),
    chapters=False,
    tags=Tags.NONE,
    unread_tags=frozenset({"service_name", "service_provider"}),
    track_titles=False,
    video_language=False,
    flags=frozenset({"default", "clean_effects", *_ACCESS}),
    rotation=False,
    codecs=_MPEG_TS_CODECS,
    options=_INTERLEAVE,
)
_M2TS = ".m2ts"
_BLU_RAY = replace(
    TS,
    codecs=(_MPEG_TS_CODECS - {"dvb_subtitle"}) | {"pcm_bluray", "hdmv_pgs_subtitle"},
    options={**TS.options, "mpegts_m2ts_mode": "1"},
)
"""Blu-ray's variant of a transport stream: players find PGS and LPCM in no other."""
CONTAINERS = (MKV, MP4, MOV, WEBM, TS)


def container_for(destination: Path) -> Container:
    """The container of the suffix of `destination`. Raises UsageError with the known suffixes."""
    suffix = destination.suffix.lower()
    for container in CONTAINERS:
        if suffix in container.suffixes:
            if suffix == _M2TS:
                return _BLU_RAY
            return container
    if destination.is_dir():
        raise UsageError(f"{destination} is a folder: give the output a file name")
    if is_image_name(destination):
        raise UsageError(
            f"{destination.name} is one image, but a video has many: number them, as in frame_%06d{suffix}"
        )
    known = ", ".join(s for container in CONTAINERS for s in container.suffixes) + ", .y4m"
    what = (
        f"{destination.name!r}: the suffix {suffix} is not supported"
        if suffix
        else f"{destination.name!r} has no suffix, which selects the container"
    )
    raise UsageError(f"{what}: choose one of {known}, or - for y4m")


def is_crash_safe(container: Container, options: Mapping[str, str]) -> bool:
    """Whether a file of `container`, muxed with `options`, is readable up to the point where the muxer was
    stopped."""
    return not container.length_by_decode_times or "+hybrid_fragmented" in options.get("movflags", "")


def is_video_name(path: Path) -> bool:
    """Whether the suffix of `path` is that of a video that can be written."""
    return path.suffix.lower() in {".y4m", *(suffix for each in CONTAINERS for suffix in each.suffixes)}


_ONLY_READ = (
    *(".avi", ".divx", ".flv", ".f4v", ".wmv", ".asf", ".mpg", ".mpeg", ".m2v", ".mpv", ".vob", ".evo"),
    *(".mxf", ".3gp", ".3g2", ".ogv", ".ogm", ".rm", ".rmvb", ".dv", ".m2t", ".mod", ".tod", ".wtv"),
    *(".mk3d", ".ivf", ".obu", ".nut", ".h264", ".264", ".h265", ".265", ".hevc", ".gxf", ".bik"),
)


def is_readable_video_name(path: Path) -> bool:
    """Whether the suffix of `path` is that of a video, written here or only read."""
    return is_video_name(path) or path.suffix.lower() in _ONLY_READ
