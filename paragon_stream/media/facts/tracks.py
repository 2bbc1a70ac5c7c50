"""The selection of the source's streams for the output, and of streams from other files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from paragon_stream.errors import InputError, UsageError
from paragon_stream.media.facts.info import StreamInfo, StreamKind
from paragon_stream.media.facts.languages import language_code, same_language
from paragon_stream.media.facts.streams import describe_stream, describe_streams, matroska_facts
from paragon_stream.media.source.opening import open_source
from paragon_stream.media.source.probing import HEADERS, Probing
from paragon_stream.options.output import TrackList, TrackOptions

_OPTIONS = {StreamKind.AUDIO: "--audio", StreamKind.SUBTITLE: "--subs", StreamKind.VIDEO: "--video"}
_FLAGS = {"forced": "forced", "sdh": "hearing_impaired", "cc": "hearing_impaired", "default": "default"}
"""Words in file names that describe a track → FFmpeg's disposition."""


def parse_tracks(value: TrackList) -> tuple[str, ...] | None:
    """Parse a comma-separated list of tracks; None keeps all. Raises UsageError for an empty text, which is
    usually an unset variable of a script."""
    if value is None or value == "all":
        return None
    if isinstance(value, str) and not value.strip(" ,"):
        raise UsageError("a list of tracks is empty: give numbers or languages, such as 1 or eng, or none")
    items = str(value).split(",") if isinstance(value, str | int) else value
    return tuple(str(item).strip() for item in items if str(item).strip() and item != "none")


def unwanted(streams: Sequence[StreamInfo], options: TrackOptions) -> set[int]:
    """Container indices of the streams that `options` leave out. Raises UsageError for tracks that do not
    exist."""
    out = {s.index for s in streams if s.kind is StreamKind.ATTACHMENT and not options.attachments}
    lists = {StreamKind.AUDIO: options.audio, StreamKind.SUBTITLE: options.subtitles}
    for kind, wanted in ((kind, parse_tracks(value)) for kind, value in lists.items()):
        if wanted is not None:
            of_kind = [s for s in streams if s.kind is kind]
            kept = {s.index for item in wanted for s in _matching(of_kind, item, kind)}
            out |= {s.index for s in of_kind} - kept
    return out


def video_index(path: Path, number: int, probing: Probing = HEADERS) -> int:
    """Container index of the `number`-th video, from 1. Raises UsageError; what `open_source` raises."""
    with open_source(path, probing) as container:
        videos = [s for s in map(describe_stream, container.streams) if s.kind is StreamKind.VIDEO]
    return _matching(videos, str(number), StreamKind.VIDEO)[0].index


def added_streams(path: Path, probing: Probing, *, attachments: bool) -> tuple[StreamInfo, ...]:
    """The sound and subtitles of an added file, with the language and role in its name, and, with
    `attachments`, its attached files: fonts.

    "film.eng.forced.srt" is English and forced; metadata in the file takes precedence. Raises InputError.
    """
    with open_source(path, probing) as container:
        matroska = matroska_facts(path, container.format.name)
        streams = describe_streams(path, container, matroska)
    found = [
        s for s in streams if s.kind in (StreamKind.AUDIO, StreamKind.SUBTITLE) and s.copyable and s.codec
    ]
    if not found:
        raise InputError(f"{path} has neither sound nor subtitles to add")
    _check_encoding(path, found)
    language, flags = _from_name(path)
    named = [
        replace(
            stream,
            language=stream.language or language,
            dispositions=tuple(dict.fromkeys((*stream.dispositions, *flags))),
        )
        for stream in found
    ]
    return (*named, *(s for s in streams if s.kind is StreamKind.ATTACHMENT and attachments))


def _from_name(path: Path) -> tuple[str, tuple[str, ...]]:
    """Language and dispositions from the words between the dots before the suffix, the last ones first."""
    flags: list[str] = []
    for word in reversed(path.stem.split(".")[1:]):
        if word.lower() in _FLAGS:
            flags.append(_FLAGS[word.lower()])
        elif code := language_code(word):
            return code, tuple(flags)
        else:
            break
    return "", tuple(flags)


def _check_encoding(path: Path, streams: Sequence[StreamInfo]) -> None:
    """Raise InputError for text in an unsupported encoding: FFmpeg reads UTF-8 and, with a BOM, UTF-16."""
    if any(s.kind is not StreamKind.SUBTITLE for s in streams) or path.stat().st_size > 64 << 20:
        return
    data = path.read_bytes()
    if b"\0" in data[:4096] or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(
            f"{path} is not in UTF-8: convert it first (iconv -f CP1252 -t UTF-8, if it is Western European)"
        ) from None


def _matching(streams: Sequence[StreamInfo], item: str, kind: StreamKind) -> list[StreamInfo]:
    if item.isdecimal():
        found = [stream for number, stream in enumerate(streams, 1) if str(number) == item.lstrip("0")]
    else:
        exactly = [s for s in streams if s.language_tag.lower() == item.lower()] if "-" in item else []
        found = exactly or [s for s in streams if same_language(s.language or "und", item)]
    if not found:
        tracks = ", ".join(f"{n} {s.language or 'und'}" for n, s in enumerate(streams, 1)) or "none"
        raise UsageError(f"{_OPTIONS[kind]} {item} is not in the source, which has: {tracks}")
    return found
