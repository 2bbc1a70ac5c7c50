"""Breaks in the structure of a Matroska file: data there is lost, and FFmpeg skips them silently."""

from __future__ import annotations

from typing import BinaryIO

from paragon_stream.media.matroska import ids
from paragon_stream.media.matroska.ebml import UNKNOWN, EbmlError, read_head

_FIRST_LEVEL = frozenset(
    {
        *(ids.SEEK_HEAD, ids.INFO, ids.TRACKS, ids.CHAPTERS, ids.TAGS, ids.ATTACHMENTS),
        *(ids.CLUSTER, ids.CUES, ids.VOID, ids.CRC_32),
    }
)
_IN_CLUSTER = frozenset({0xE7, 0x5854, 0x58D7, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, ids.VOID, ids.CRC_32})
"""Timestamp, silent tracks (two IDs), position, previous size, the three kinds of blocks."""
_SIGN = ids.CLUSTER.to_bytes(4)
_PIECE = 1 << 20
BLANK = 4096
"""Bytes; see `is_blank`."""


def count_breaks(file: BinaryIO, size: int, first: int, last: int) -> int:
    """The number of times that the chain of elements is interrupted and continues with a later cluster,
    between two positions in a file of `size` bytes. Incomplete ends of recordings are not counted."""
    at, breaks = 0, 0
    while at < size and at <= last:
        follows = _behind(file, at, size, first, last)
        if follows is None:
            follows = _next_cluster(file, at + 1, size)
            if follows is None:
                return breaks
            breaks += 1
        at = follows
    return breaks


def is_cut_off(file: BinaryIO, size: int, last: int) -> bool:
    """Whether the file of `size` bytes ends before its elements do, or zeros are in their place.

    `last` is the position of the last packet.
    """
    at = 0
    while at < size:
        found = _head(file, at)
        if found is None:
            return is_blank(file, at)
        id, length, own = found
        if length != UNKNOWN and at + own + length > size:
            return id in _FIRST_LEVEL or id in _IN_CLUSTER or id == ids.SEGMENT
        enters = id == ids.SEGMENT or (id == ids.CLUSTER and (length == UNKNOWN or at + own + length > last))
        if length == UNKNOWN and not enters:
            return False
        at += own if enters else own + length
    return False


def is_blank(file: BinaryIO, at: int) -> bool:
    """Whether `BLANK` zeros follow: what downloads leave that reserve their space at the beginning."""
    file.seek(at)
    return file.read(BLANK) == bytes(BLANK)


def _behind(file: BinaryIO, at: int, size: int, first: int, last: int) -> int | None:
    """The end of the element at `at`; None if no element begins there, or if it is broken inside."""
    found = _head(file, at)
    if found is None:
        return None
    id, length, own = found
    if id == ids.SEGMENT:
        return at + own  # the position inside it
    if id != ids.EBML and id not in _FIRST_LEVEL:
        return None
    end = None if length == UNKNOWN else at + own + length
    if id != ids.CLUSTER:
        return end if end is not None and end <= size else None
    if end is not None and end <= size and (end < first or at > last):
        return end
    return _behind_cluster(file, at + own, end, size)


def _behind_cluster(file: BinaryIO, at: int, end: int | None, size: int) -> int | None:
    """The end of a cluster whose contents begin at `at`, determined by its size or by the ID of the next
    element."""
    limit = size if end is None else min(end, size)
    while at < limit:
        found = _head(file, at)
        if found is None:
            return None
        id, length, own = found
        if end is None and id in _FIRST_LEVEL - _IN_CLUSTER:
            return at
        if id not in _IN_CLUSTER or length == UNKNOWN or at + own + length > limit:
            return None
        at += own + length
    return at


def _next_cluster(file: BinaryIO, at: int, size: int) -> int | None:
    """The first position from `at` on where a cluster begins."""
    while at < size:
        file.seek(at)
        piece = file.read(_PIECE)
        place = piece.find(_SIGN)
        if place < 0:
            at += max(1, len(piece) - len(_SIGN) + 1)
            continue
        at += place
        head = _head(file, at)
        inner = _head(file, at + head[2]) if head else None
        if inner is not None and inner[0] in _IN_CLUSTER:
            return at
        at += 1
    return None


def _head(file: BinaryIO, at: int) -> tuple[int, int, int] | None:
    file.seek(at)
    try:
        return read_head(file.read(12))
    except EbmlError:
        return None
