"""Rewrites the header of a finished Matroska file, with the elements that FFmpeg's muxer cannot write.

FFmpeg leaves room before the first picture (`metadata_header_padding`). Everything between the beginning of
the Segment and the first Cluster is written again in the same number of bytes, so that no picture moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from paragon_stream.media.matroska import ids
from paragon_stream.media.matroska.chapters import kept_chapters, uids
from paragon_stream.media.matroska.ebml import UNKNOWN, EbmlError, Element, parse, read_head, void, walk
from paragon_stream.media.matroska.source import MatroskaFacts
from paragon_stream.media.matroska.tags import Amend, Targets, kept_tags

_PER_TRACK = 96
"""Bytes of room for a track's language, flags and display size."""
_PARSED = (ids.TRACKS, ids.CHAPTERS, ids.TAGS)


def display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Width and height as shown: stretched, never shrunk, so that no line of the picture is lost."""
    if aspect >= 1:
        return round(width * aspect), height
    return width, round(height / aspect)


@dataclass(frozen=True, kw_only=True)
class TrackChange:
    """Elements of one track of the output that FFmpeg does not write."""

    language: str = ""
    """A BCP 47 tag."""
    enabled: bool = True
    size: tuple[int, int] | None = None
    """The display size, for codecs that do not carry an aspect ratio."""
    codec_id: str = ""
    """The actual codec, if FFmpeg wrote another one's ID."""
    codec_private: bytes = b""
    channels: int = 0
    bits: int = 0

    def __bool__(self) -> bool:
        return self != TrackChange()


@dataclass(kw_only=True)
class HeaderChange:
    """The change of one output's header. Tracks and attachments are numbered as they are added."""

    source: MatroskaFacts | None
    """The source of chapters and tags; None keeps FFmpeg's."""
    amend: Amend
    begin: int = 0
    """The part of the source that is written, nanoseconds."""
    end: int | None = None
    chapters: bool = True
    tracks: dict[int, TrackChange] = field(default_factory=dict)
    source_tracks: dict[int, int] = field(default_factory=dict)
    """UID of a track of the source → number of the track in the output."""
    attachments: int = 0
    """Number of attached files."""
    source_attachments: dict[int, int] = field(default_factory=dict)
    """UID of an attached file of the source → number of the file in the output."""

    @property
    def room(self) -> int:
        """Bytes that FFmpeg must reserve; 0 if nothing is changed."""
        facts = self.source
        parts = (facts.chapters, facts.tags) if facts else ()
        copied = sum(len(part.encoded()) for part in parts if part is not None)
        changed = [change for change in self.tracks.values() if change]
        if not copied and not changed:
            return 0
        private = sum(len(change.codec_private) for change in changed)
        return copied + private + _PER_TRACK * (len(self.tracks) + 4) + 64


def write_header(path: Path, change: HeaderChange) -> bool:
    """Apply `change` to the file at `path`.

    Returns False, with the file unchanged, if it is not a complete Matroska file or has not enough room.
    Raises OSError.
    """
    with path.open("rb+") as file:
        try:
            begin, end = _region(file, path.stat().st_size)
            file.seek(begin)
            anew = _rewritten(file.read(end - begin), end - begin, change)
        except EbmlError:
            return False
        if anew is None:
            return False
        assert len(anew) == end - begin
        file.seek(begin)
        file.write(anew)
    return True


def _region(file: BinaryIO, length: int) -> tuple[int, int]:
    """Start and end of the header: the beginning of the Segment, and the first Cluster."""
    id, size, own = read_head(file.read(12))
    if id != ids.EBML or size == UNKNOWN:
        raise EbmlError("no EBML header")
    at = own + size
    file.seek(at)
    id, _, own = read_head(file.read(12))
    if id != ids.SEGMENT:
        raise EbmlError("no Segment")
    begin = end = at + own
    for id, position, contents, size in walk(file, begin, length):
        if id in (ids.CLUSTER, ids.CUES):
            return begin, position
        if size == UNKNOWN:
            break
        end = contents + size
    return begin, end


def _rewritten(data: bytes, size: int, change: HeaderChange) -> bytes | None:
    parts: list[tuple[int, bytes]] = []
    found: dict[int, Element] = {}
    index: Element | None = None
    at = 0
    while at < len(data):
        id, length, own = read_head(data[at : at + 12])
        if length == UNKNOWN:
            return None
        whole, inside = data[at : at + own + length], data[at + own : at + own + length]
        at += own + length
        if id == ids.SEEK_HEAD:
            index = parse(id, inside)
        elif id in _PARSED:
            found[id] = parse(id, inside)
            parts.append((id, b""))
        elif id not in (ids.VOID, ids.CRC_32):
            parts.append((id, whole))
    tracks = found.get(ids.TRACKS)
    if index is None or tracks is None:
        return None
    found[ids.TRACKS] = tracks.having(
        _changed(entry, change.tracks.get(number, TrackChange()))
        for number, entry in enumerate(tracks.all(ids.TRACK_ENTRY))
    )
    if change.source is not None:
        entries = list(tracks.all(ids.TRACK_ENTRY))
        files = _file_uids(next((whole for id, whole in parts if id == ids.ATTACHMENTS), b""))
        _take_over(found, change, [entry.number_of(ids.TRACK_UID) for entry in entries], files)
    present = {id for id, _ in parts}
    order = [*parts, *((id, b"") for id in (ids.CHAPTERS, ids.TAGS) if id in found and id not in present)]
    done = [
        (id, found[id].with_checksum().encoded() if id in found else whole)
        for id, whole in order
        if whole or (id in found and found[id].children)
    ]
    return _laid_out(done, index, size)


def _take_over(found: dict[int, Element], change: HeaderChange, tracks: list[int], files: list[int]) -> None:
    """Chapters and tags of the source in place of FFmpeg's."""
    assert change.source is not None
    here = {uid: tracks[number] for uid, number in change.source_tracks.items() if number < len(tracks)}
    attached = {
        uid: files[number] for uid, number in change.source_attachments.items() if number < len(files)
    }
    chapters = None
    if change.chapters:
        chapters = kept_chapters(change.source, here, change.begin, change.end)
        if chapters is not None:
            found[ids.CHAPTERS] = chapters
        elif change.source.chapters is not None:
            found.pop(ids.CHAPTERS, None)
    targets = Targets(tracks=here, attachments=attached, chapters=frozenset(uids(chapters)))
    found[ids.TAGS] = kept_tags(change.source.tags, found.get(ids.TAGS), targets, change.amend)


def _changed(entry: Element, change: TrackChange) -> Element:
    new = []
    if change.language:
        new.append(Element.text(ids.LANGUAGE_BCP47, change.language))
    if not change.enabled:
        new.append(Element.uint(ids.FLAG_ENABLED, 0))
    if change.codec_id:
        new.append(Element.text(ids.CODEC_ID, change.codec_id))
        new.append(Element(ids.CODEC_PRIVATE, change.codec_private))
        new += [_changed_sound(audio, change) for audio in entry.all(ids.AUDIO)]
        entry = entry.having(child for child in entry.children if child.id != ids.DEFAULT_DURATION)
    video = entry.first(ids.VIDEO)
    if change.size is not None and video is not None:
        width, height = change.size
        bare = video.having(child for child in video.children if child.id != ids.DISPLAY_UNIT)
        size = Element.uint(ids.DISPLAY_WIDTH, width), Element.uint(ids.DISPLAY_HEIGHT, height)
        new.append(bare.put(*size))
    return entry.put(*new)


def _changed_sound(audio: Element, change: TrackChange) -> Element:
    channels = Element.uint(ids.CHANNELS, change.channels)
    return audio.put(channels, *([Element.uint(ids.BIT_DEPTH, change.bits)] if change.bits else []))


def _file_uids(attachments: bytes) -> list[int]:
    if not attachments:
        return []
    _, _, own = read_head(attachments[:12])
    files = parse(ids.ATTACHMENTS, attachments[own:]).all(ids.ATTACHED_FILE)
    return [parse(ids.ATTACHED_FILE, each.data).number_of(ids.FILE_UID) for each in files]


def _laid_out(parts: list[tuple[int, bytes]], index: Element, size: int) -> bytes | None:
    """`parts`, one after another in `size` bytes, after an index of their positions."""
    here = {id for id, _ in parts} | {ids.CHAPTERS, ids.TAGS}
    behind = [seek for seek in index.all(ids.SEEK) if _sought(seek) not in here]
    order = list(dict.fromkeys(id for id, _ in parts))
    at = len(_index(order, {}, behind))
    positions: dict[int, int] = {}
    for id, whole in parts:
        positions[id] = at
        at += len(whole)
    rest = size - at
    if rest < 0 or rest == 1:
        return None
    return _index(order, positions, behind) + b"".join(whole for _, whole in parts) + void(rest)


def _sought(seek: Element) -> int:
    found = seek.first(ids.SEEK_ID)
    return int.from_bytes(found.data) if found else 0


def _index(order: list[int], positions: Mapping[int, int], behind: list[Element]) -> bytes:
    """A SeekHead whose length does not depend on `positions`; elements `behind` the header do not move."""
    seeks = []
    for id in order:
        sought = Element(ids.SEEK_ID, id.to_bytes((id.bit_length() + 7) // 8))
        position = Element(ids.SEEK_POSITION, positions.get(id, 0).to_bytes(8))
        seeks.append(Element(ids.SEEK, children=(sought, position)))
    return Element(ids.SEEK_HEAD, children=(*seeks, *behind)).with_checksum().encoded()
