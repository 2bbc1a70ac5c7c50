"""Languages of MP4 and MOV tracks as BCP 47 tags ("pt-BR"): the box elng (ISO/IEC 14496-12, 8.4.6).

FFmpeg neither reads nor writes it; the older field has three letters, and none for a region or a script.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from paragon_stream.media.mp4.boxes import LARGEST_INDEX, box, boxes, top_level, tracks

_ELNG = b"elng"


def read_languages(file: BinaryIO, end: int) -> tuple[str, ...]:
    """The tag of each track of a file of `end` bytes, in their order; "" for tracks without one. Raises
    OSError."""
    for kind, begin, size in top_level(file, end):
        if kind == b"moov" and size <= LARGEST_INDEX:
            file.seek(begin)
            index = file.read(size)
            return tuple(_language(index, inside, end) for _, _, inside, end in tracks(index))
    return ()


def _language(index: bytes, begin: int, end: int) -> str:
    for kind, _, inside, last in boxes(index, begin, end):
        if kind == b"mdia":
            return _language(index, inside, last)
        if kind == _ELNG:  # version and flags, then text that ends with a zero
            return index[inside + 4 : last].partition(b"\0")[0].decode("ascii", "replace")
    return ""


def with_languages(index: bytes, languages: Mapping[int, str]) -> bytes:
    """The movie box `index` with the tags of `languages`, by the number of the track."""
    if not languages:
        return index
    parts, number = [], 0
    for kind, begin, _, end in boxes(index, 8, len(index)):
        part = index[begin:end]
        if kind == b"trak":
            part = _put(part, languages[number]) if number in languages else part
            number += 1
        parts.append(part)
    return box(b"moov", b"".join(parts))


def _put(holder: bytes, tag: str) -> bytes:
    """A track's or media box with the tag, behind the media header."""
    parts = []
    for kind, begin, _, end in boxes(holder, 8, len(holder)):
        if kind == b"mdia":
            parts.append(_put(holder[begin:end], tag))
        elif kind != _ELNG:
            parts.append(holder[begin:end])
        if kind == b"mdhd":
            parts.append(box(_ELNG, bytes(4) + tag.encode("ascii", "replace") + b"\0"))
    return box(holder[4:8], b"".join(parts))
