"""Facts of a Matroska file that FFmpeg does not report: languages, editions, targets of tags, links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from paragon_stream.media.matroska import ids
from paragon_stream.media.matroska.ebml import UNKNOWN, EbmlError, Element, parse, read_head, walk

_LARGEST = 32 << 20
"""Bytes of chapters, tags or tracks that are read."""
_MOST_ELEMENTS = 100_000
"""Largest number of elements that are read on the first level of a file, and of attachments."""
_WANTED = (ids.INFO, ids.TRACKS, ids.CHAPTERS, ids.TAGS, ids.ATTACHMENTS)
_SHOWN_BY_FFMPEG = (1, 2, 17, 33)
"""TrackType: video, audio, subtitle, metadata. FFmpeg makes no stream of other tracks."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track. `language` is the BCP 47 tag ("pt-BR"); "" if the file has only the older code."""

    uid: int
    number: int
    type: int
    language: str
    enabled: bool


@dataclass(frozen=True, kw_only=True)
class MatroskaFacts:
    """Facts from the header of a Matroska or WebM file. `tracks` are in the order of FFmpeg's streams."""

    tracks: tuple[Track, ...] = ()
    chapters: Element | None = None
    tags: Element | None = None
    attachments: tuple[int, ...] = ()
    """The UIDs of attached files."""
    title: str = ""
    """Title of the segment. A tag may give the programme another title, and FFmpeg then reports only that
    one."""
    segment: bytes = b""
    """The UUID of this file, which chapters of other files name to play parts of it."""
    linked: bool = False
    """Whether it states which file plays before or after it."""


def read_facts(file: BinaryIO, end: int) -> MatroskaFacts | None:
    """The facts of `file`, of `end` bytes; None if it is no Matroska file, or its header cannot be read.

    Damaged parts are ignored, as in FFmpeg.
    """
    try:
        begin = _segment(file)
        return None if begin is None else _facts(file, begin, end)
    except (OSError, EbmlError):
        return None


def _segment(file: BinaryIO) -> int | None:
    """The position of the Segment's contents; None if the file has no Segment."""
    id, size, length = read_head(file.read(12))
    if id != ids.EBML or size == UNKNOWN or size > 1 << 16:
        return None
    file.seek(length + size)
    id, _, further = read_head(file.read(12))
    return length + size + further if id == ids.SEGMENT else None


def _facts(file: BinaryIO, begin: int, end: int) -> MatroskaFacts:
    parts: dict[int, Element] = {}
    attachments: tuple[int, ...] = ()
    for id, (position, size) in _places(file, begin, end).items():
        if id == ids.ATTACHMENTS:
            attachments = _attachments(file, position, position + size)
        elif size <= _LARGEST:
            file.seek(position)
            try:
                parts[id] = parse(id, file.read(size))
            except EbmlError:
                continue
    info, tracks = parts.get(ids.INFO), parts.get(ids.TRACKS)
    chapters, tags = parts.get(ids.CHAPTERS), parts.get(ids.TAGS)
    uuid = info.first(ids.SEGMENT_UUID) if info else None
    links = (ids.PREVIOUS_UUID, ids.PREVIOUS_FILENAME, ids.NEXT_UUID, ids.NEXT_FILENAME)
    return MatroskaFacts(
        tracks=tuple(_track(entry) for entry in tracks.all(ids.TRACK_ENTRY) if _is_shown(entry))
        if tracks
        else (),
        chapters=chapters if chapters and chapters.children else None,
        tags=tags if tags and tags.children else None,
        attachments=attachments,
        title=info.words_of(ids.TITLE) if info else "",
        segment=uuid.data if uuid else b"",
        linked=info is not None and any(child.id in links and any(child.data) for child in info.children),
    )


def _places(file: BinaryIO, begin: int, end: int) -> dict[int, tuple[int, int]]:
    """ID → position and size of the contents of the wanted parts: those before the pictures, and those that
    an index (SeekHead) names. The first of each kind counts."""
    found: dict[int, tuple[int, int]] = {}
    named: list[int] = []
    seen: set[int] = set()

    def note(id: int, position: int, size: int) -> None:
        if id in _WANTED and size != UNKNOWN:
            found.setdefault(id, (position, size))
        elif id == ids.SEEK_HEAD and size != UNKNOWN and size <= 1 << 16 and position not in seen:
            seen.add(position)
            file.seek(position)
            try:
                index = parse(id, file.read(size))
            except EbmlError:
                return
            named.extend(
                begin + seek.number_of(ids.SEEK_POSITION)
                for seek in index.all(ids.SEEK)
                if seek.number_of(ids.SEEK_ID) in (*_WANTED, ids.SEEK_HEAD)  # else a pipe is read to its Cues
            )

    for count, (id, _, position, size) in enumerate(walk(file, begin, end)):
        if id == ids.CLUSTER or count > _MOST_ELEMENTS:
            break
        note(id, position, size)
    while named:
        at = named.pop(0)
        if at < end:
            for id, _, position, size in walk(file, at, end):
                note(id, position, size)
                break
    return found


def _attachments(file: BinaryIO, begin: int, end: int) -> tuple[int, ...]:
    """UIDs of the attached files, whose contents are passed over."""
    found = []
    for count, (id, _, position, size) in enumerate(walk(file, begin, end)):
        if count > _MOST_ELEMENTS:
            break
        if id != ids.ATTACHED_FILE or size == UNKNOWN:
            continue
        uid = 0
        for number, (inner, _, at, length) in enumerate(walk(file, position, position + size)):
            if number > 100:
                break
            if inner == ids.FILE_UID and 0 < length <= 8:
                file.seek(at)
                uid = int.from_bytes(file.read(length))
        found.append(uid)
    return tuple(found)


def _is_shown(entry: Element) -> bool:
    return entry.number_of(ids.TRACK_TYPE) in _SHOWN_BY_FFMPEG and entry.first(ids.CODEC_ID) is not None


def _track(entry: Element) -> Track:
    return Track(
        uid=entry.number_of(ids.TRACK_UID),
        number=entry.number_of(ids.TRACK_NUMBER),
        type=entry.number_of(ids.TRACK_TYPE),
        language=entry.words_of(ids.LANGUAGE_BCP47),
        enabled=bool(entry.number_of(ids.FLAG_ENABLED, 1)),
    )
