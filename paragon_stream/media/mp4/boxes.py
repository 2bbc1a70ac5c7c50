"""The boxes of ISO media files (ISO/IEC 14496-12, 4.2): kinds, positions and sizes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

LARGEST_INDEX = 1 << 30
"""Bytes of a movie box that is read."""

_BEFORE_INDEX = (b"ftyp", b"free", b"skip", b"wide", b"uuid", b"pdin", b"udta", b"meta")
"""Boxes that may be before the index and have no samples."""

_AT_THE_TOP = (*_BEFORE_INDEX, b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"styp", b"emsg", b"prft")
"""The boxes of the first level. Foreign tags behind the last one (APE, ID3v1) look like others, too large."""


def top_level(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, position and size of the boxes of a file of `end` bytes, up to the first without a sane size."""
    at = 0
    while at + 8 <= end:
        kind, size = read_head(file, at)
        size = size or end - at
        if size < 8 or at + size > end:
            return
        yield kind, at, size
        at += size


def read_head(file: BinaryIO, at: int) -> tuple[bytes, int]:
    """Kind and size of the box at `at`; 0 for one that ends with the file."""
    file.seek(at)
    head = file.read(16)
    size = int.from_bytes(head[:4])
    return head[4:8], int.from_bytes(head[8:16]) if size == 1 else size


def is_fast_start(file: BinaryIO, end: int) -> bool:
    """Whether the index is before the samples and lists all of them: there are no fragments. Nothing behind
    the index is read."""
    for kind, at, size in top_level(file, end):
        if kind == b"moov" and size <= LARGEST_INDEX:
            file.seek(at)
            return all(inner != b"mvex" for inner, *_ in boxes(file.read(size), 8, size))
        if kind not in _BEFORE_INDEX:
            return False
    return False


def is_cut_off(file: BinaryIO, size: int) -> bool:
    """Whether a box of a known kind is longer than the file, or zeros replace further fragments."""
    at, fragmented = 0, False
    while at + 8 <= size:
        kind, length = read_head(file, at)
        if length < 8 or not kind.isalnum():
            return fragmented and kind == bytes(4)
        if at + length > size:
            return kind in _AT_THE_TOP
        fragmented |= kind == b"moof"
        at += length
    return False


def boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Kind, beginning, beginning of the contents, and end of the boxes in a part of an index."""
    at = begin
    while at + 8 <= end:
        size, head = int.from_bytes(data[at : at + 4]), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        size = size or end - at
        if size < head or at + size > end:
            return
        yield data[at + 4 : at + 8], at, at + head, at + size
        at += size


def tracks(index: bytes) -> list[tuple[bytes, int, int, int]]:
    """The track boxes of a movie box, as `boxes` returns them."""
    return [each for each in boxes(index, 8, len(index)) if each[0] == b"trak"]


def box(kind: bytes, contents: bytes) -> bytes:
    """A box with these contents, below 4 GiB."""
    return struct.pack(">I4s", len(contents) + 8, kind) + contents
