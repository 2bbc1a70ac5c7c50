"""The description of one stream of a container."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.stream import Disposition, Stream

from paragon_stream.media.facts.info import StreamInfo, StreamKind
from paragon_stream.media.matroska.source import MatroskaFacts, Track, read_facts
from paragon_stream.media.mp4.languages import read_languages
from paragon_stream.media.source.opened import opened_bytes

_KINDS = {
    "video": StreamKind.VIDEO,
    "audio": StreamKind.AUDIO,
    "subtitle": StreamKind.SUBTITLE,
    "attachment": StreamKind.ATTACHMENT,
}


def describe_stream(stream: Stream) -> StreamInfo:
    """The facts of one stream from its header."""
    kind = _KINDS.get(stream.type, StreamKind.DATA)
    if kind is StreamKind.VIDEO and stream.disposition & Disposition.attached_pic:
        kind = StreamKind.COVER
    language = stream.metadata.get("language", "")
    return StreamInfo(
        index=stream.index,
        kind=kind,
        codec=codec_name(stream),
        detail=_detail(stream, kind),
        language="" if language == "und" else language,
        title=stream.metadata.get("title") or stream.metadata.get("name", ""),  # in MP4 it is the name
        dispositions=tuple(
            flag.name for flag in Disposition if flag & stream.disposition and flag.name is not None
        ),
        bit_rate=_bit_rate(stream),
        copyable=stream.codec_context is not None or stream.type in ("attachment", "data"),
        tags=tuple(stream.metadata),
    )


def _bit_rate(stream: Stream) -> int | None:
    """The bit rate of the codec's header, or of mkvmerge's statistics tags: BPS, or BPS-eng of older ones."""
    if stream.codec_context is not None and stream.codec_context.bit_rate:
        return stream.codec_context.bit_rate
    tags = stream.metadata.items()
    text = next((value for key, value in tags if key == "BPS" or key.startswith("BPS-")), "")
    return int(text) if text.isdecimal() else None


def matroska_facts(path: Path, demuxer: str) -> MatroskaFacts | None:
    """The facts of a Matroska file that FFmpeg does not report; None for another `demuxer` or a broken
    file."""
    if "matroska" not in demuxer:
        return None
    with contextlib.suppress(OSError), opened_bytes(path) as (file, size):
        return read_facts(file, size)
    return None


def describe_streams(
    path: Path, container: InputContainer, matroska: MatroskaFacts | None
) -> tuple[StreamInfo, ...]:
    """The facts of all streams of the open file at `path`, including languages that FFmpeg does not read."""
    described = tuple(describe_stream(stream) for stream in container.streams)
    tags = {index: track.language for index, track in tracks_of(described, matroska).items()}
    if "mov" in container.format.name.split(","):
        languages: tuple[str, ...] = ()
        with contextlib.suppress(OSError), opened_bytes(path) as (file, size):
            languages = read_languages(file, size)
        own = [stream.index for stream in described if stream.kind is not StreamKind.COVER]
        tags = dict(zip(own, languages, strict=True)) if len(own) == len(languages) else {}
        described = tuple(_with_language(stream, tags.get(stream.index, "")) for stream in described)
    return tuple(replace(stream, language_tag=tags.get(stream.index, "")) for stream in described)


def _with_language(stream: StreamInfo, tag: str) -> StreamInfo:
    """The language of a stream. MOV has some languages only in the tag."""
    return stream if stream.language else replace(stream, language=tag.partition("-")[0])


def tracks_of(streams: Sequence[StreamInfo], matroska: MatroskaFacts | None) -> dict[int, Track]:
    """The Matroska track of each stream, by the stream's index; empty if they do not match."""
    kinds = {StreamKind.VIDEO: 1, StreamKind.AUDIO: 2, StreamKind.SUBTITLE: 17}
    own = [stream for stream in streams if stream.kind not in (StreamKind.ATTACHMENT, StreamKind.COVER)]
    if matroska is None or len(own) != len(matroska.tracks):
        return {}
    pairs = list(zip(own, matroska.tracks, strict=True))
    if any(kinds.get(stream.kind, track.type) != track.type for stream, track in pairs):
        return {}
    return {stream.index: track for stream, track in pairs}


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of the codec, not of the decoder: "av1", not "libdav1d"; "" if it has none."""
    if stream.codec_context is not None:
        return stream.codec_context.codec.canonical_name
    if stream.type == "data":
        return stream.name or ""
    return ""


def _detail(stream: Any, kind: StreamKind) -> str:
    name, context = codec_name(stream), stream.codec_context
    if kind is StreamKind.ATTACHMENT:
        return f"{stream.name or 'unnamed'}, {stream.mimetype or 'unknown type'}, {len(stream.data)} bytes"
    if context is None:
        return name or "unknown codec"
    if kind in (StreamKind.VIDEO, StreamKind.COVER):
        return f"{name} {context.width}x{context.height} {context.pix_fmt or 'unknown pixel format'}"
    if kind is StreamKind.AUDIO:
        return f"{name} {context.sample_rate} Hz {context.layout.name}"
    return name
