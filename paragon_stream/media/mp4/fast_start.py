"""Moves the index of a finished MP4 or MOV file before the pictures, so that players can start during a
download.

The index is complete only at the end. FFmpeg's `faststart` would move it then, but it is not available for
crash-safe files. So this module writes a new file with the index first; if that fails, the complete file
stays unchanged. (Boxes: ISO/IEC 14496-12.)
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

_HOLD_BOXES = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_LARGEST_INDEX = 1 << 30
_PIECE = 8 << 20
_ENABLED = 1
"""Bit of a track header's flags."""


def finish_mp4(path: Path, spare: Path, *, fast: bool, disabled: Collection[int] = ()) -> Path:
    """The complete file: `path`, or `spare` if the index was moved for a `fast` start.

    The tracks with the numbers in `disabled` get the flag "disabled": FFmpeg enables the first of a kind if
    none is the default. Files with another layout than FFmpeg's stay unchanged. Raises OSError.
    """
    with path.open("rb+") as file:
        places = {kind: (begin, size) for kind, begin, size in _top_level(file)}
        if b"moov" not in places or b"mdat" not in places or places[b"moov"][1] > _LARGEST_INDEX:
            return path
        begin, size = places[b"moov"]
        file.seek(begin)
        index = _without_flag(file.read(size), disabled)
        media = min(at for kind, at, _ in _top_level(file) if kind == b"mdat")
        if not fast or begin < media or b"moof" in places:
            file.seek(begin)
            file.write(index)
            return path
        with spare.open("wb") as new:
            _copy(file, new, 0, media)
            new.write(with_later_positions(index))
            _copy(file, new, media, begin)
            _copy(file, new, begin + size, path.stat().st_size)
    return spare


def _top_level(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Kind, position and size of the boxes of a file; it ends at the first box with an invalid size."""
    file.seek(0, 2)
    at, end = 0, file.tell()
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4])
        if size == 1:
            size = int.from_bytes(head[8:16])
        size = size or end - at
        if size < 8 or at + size > end:
            return
        yield head[4:8], at, size
        at += size


def _boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
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


def _without_flag(index: bytes, disabled: Collection[int]) -> bytes:
    changed = bytearray(index)
    tracks = [box for box in _boxes(index, 8, len(index)) if box[0] == b"trak"]
    for number in disabled:
        for kind, _, inside, _ in _boxes(index, *tracks[number][2:]) if number < len(tracks) else ():
            if kind == b"tkhd":
                changed[inside + 3] &= ~_ENABLED & 0xFF  # version, then three bytes of flags
    return bytes(changed)


def with_later_positions(index: bytes) -> bytes:
    """`index` with corrected positions, for a file in which it precedes the data that it points to."""
    shift = len(index)
    if _highest(index, 0, len(index)) + shift > 0xFFFFFFFF:
        shift = len(_with_offsets(index, 0, wide=True))
        return _with_offsets(index, shift, wide=True)
    return _with_offsets(index, shift, wide=False)


def _highest(index: bytes, begin: int, end: int) -> int:
    """The highest position in the tables of 32 bits."""
    found = 0
    for kind, _, inside, last in _boxes(index, begin, end):
        if kind in _HOLD_BOXES:
            found = max(found, _highest(index, inside, last))
        elif kind == b"stco":
            found = max([found, *_entries(index, inside, "I")])
    return found


def _with_offsets(index: bytes, shift: int, *, wide: bool) -> bytes:
    """The boxes of `index` with positions `shift` bytes later; `wide` ones have 64 bits."""
    parts = []
    for kind, begin, inside, end in _boxes(index, 0, len(index)):
        if kind in _HOLD_BOXES:
            body = _with_offsets(index[inside:end], shift, wide=wide)
            parts.append(struct.pack(">I4s", len(body) + 8, kind) + body)
        elif kind in (b"stco", b"co64"):
            size = "Q" if wide or kind == b"co64" else "I"
            places = _entries(index, inside, "I" if kind == b"stco" else "Q")
            table = struct.pack(f">II{len(places)}{size}", 0, len(places), *(each + shift for each in places))
            parts.append(struct.pack(">I4s", len(table) + 8, b"stco" if size == "I" else b"co64") + table)
        else:
            parts.append(index[begin:end])
    return b"".join(parts)


def _entries(index: bytes, inside: int, size: str) -> tuple[int, ...]:
    """The positions in a table whose contents begin at `inside`: version and flags, a count, the entries."""
    (count,) = struct.unpack_from(">I", index, inside + 4)
    return struct.unpack_from(f">{count}{size}", index, inside + 8)


def _copy(source: BinaryIO, target: BinaryIO, begin: int, end: int) -> None:
    source.seek(begin)
    left = end - begin
    while left > 0:
        piece = source.read(min(left, _PIECE))
        if not piece:
            raise OSError("the file became shorter while it was being copied")
        target.write(piece)
        left -= len(piece)
