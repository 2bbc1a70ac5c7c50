"""One stream of a container, described."""

from __future__ import annotations

from typing import Any

from av.stream import Disposition, Stream

from paragon_stream.media.facts.info import StreamInfo, StreamKind

_KINDS = {
    "video": StreamKind.VIDEO,
    "audio": StreamKind.AUDIO,
    "subtitle": StreamKind.SUBTITLE,
    "attachment": StreamKind.ATTACHMENT,
}


def describe_stream(stream: Stream) -> StreamInfo:
    """The facts of one stream, as its header gives them."""
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
        title=stream.metadata.get("title", ""),
        dispositions=tuple(
            flag.name for flag in Disposition if flag & stream.disposition and flag.name is not None
        ),
        copyable=stream.codec_context is not None or stream.type in ("attachment", "data"),
    )


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of the codec, not of the decoder: "av1", not "libdav1d"; "" where it has none."""
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
