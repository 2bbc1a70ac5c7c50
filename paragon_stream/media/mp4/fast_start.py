"""Moves the index of a finished MP4 or MOV file before the pictures, so that players can start during a
download.

The index is complete only at the end. FFmpeg's `faststart` would move it then, but it is not available for
crash-safe files. So this module writes a new file with the index first; if that fails, the complete file
stays unchanged. (Boxes: ISO/IEC 14496-12.)
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO

from paragon_stream.media.mp4.boxes import LARGEST_INDEX, box, boxes, top_level, tracks
from paragon_stream.media.mp4.languages import with_languages

_HOLD_BOXES = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_PIECE = 8 << 20
_ENABLED = 1
"""Bit of a track header's flags."""


def finish_mp4(
    path: Path,
    spare: Path,
    *,
    fast: bool,
    disabled: Collection[int] = (),
    languages: Mapping[int, str] | None = None,
) -> Path:
    """The complete file: `path`, or `spare` if the index was moved for a `fast` start, or grew.

    The tracks with the numbers in `disabled` get the flag "disabled": FFmpeg enables the first of a kind if
    none is the default. `languages` are BCP 47 tags by number of track. Files with another layout than
    FFmpeg's stay unchanged. Raises OSError.
    """
    with path.open("rb+") as file:
        end = path.stat().st_size
        found = {kind: (begin, size) for kind, begin, size in top_level(file, end)}
        if b"moov" not in found or b"mdat" not in found or found[b"moov"][1] > LARGEST_INDEX:
            return path
        begin, size = found[b"moov"]
        file.seek(begin)
        index = _without_flag(file.read(size), disabled)
        if b"moof" not in found:  # fragments may name positions of their own
            index = with_languages(index, languages or {})
        media = min(at for kind, at, _ in top_level(file, end) if kind == b"mdat")
        moves = fast and begin > media and b"moof" not in found
        if not moves and (len(index) == size or begin + size == end):
            file.seek(begin)
            file.write(index)
            return path
        with spare.open("wb") as new:
            if moves:
                _copy(file, new, 0, media)
                new.write(with_later_positions(index, len(index)))
                _copy(file, new, media, begin)
            else:
                _copy(file, new, 0, begin)
                new.write(with_later_positions(index, len(index) - size if begin < media else 0))
            _copy(file, new, begin + size, end)
    return spare


def _without_flag(index: bytes, disabled: Collection[int]) -> bytes:
    changed = bytearray(index)
    found = tracks(index)
    for number in disabled:
        for kind, _, inside, _ in boxes(index, *found[number][2:]) if number < len(found) else ():
            if kind == b"tkhd":
                changed[inside + 3] &= ~_ENABLED & 0xFF  # version, then three bytes of flags
    return bytes(changed)


def with_later_positions(index: bytes, shift: int) -> bytes:
    """`index` for a file in which its data lies `shift` bytes later, and later again if `index` grows."""
    if _highest(index, 0, len(index)) + shift > 0xFFFFFFFF:
        shift += len(_with_offsets(index, 0, wide=True)) - len(index)
        return _with_offsets(index, shift, wide=True)
    return _with_offsets(index, shift, wide=False)


def _highest(index: bytes, begin: int, end: int) -> int:
    """The highest position in the tables of 32 bits."""
    found = 0
    for kind, _, inside, last in boxes(index, begin, end):
        if kind in _HOLD_BOXES:
            found = max(found, _highest(index, inside, last))
        elif kind == b"stco":
            found = max([found, *_entries(index, inside, "I")])
    return found


def _with_offsets(index: bytes, shift: int, *, wide: bool) -> bytes:
    """The boxes of `index` with positions `shift` bytes later; `wide` ones have 64 bits."""
    parts = []
    for kind, begin, inside, end in boxes(index, 0, len(index)):
        if kind in _HOLD_BOXES:
            parts.append(box(kind, _with_offsets(index[inside:end], shift, wide=wide)))
        elif kind in (b"stco", b"co64"):
            size = "Q" if wide or kind == b"co64" else "I"
            offsets = _entries(index, inside, "I" if kind == b"stco" else "Q")
            moved = [offset + shift for offset in offsets]
            table = struct.pack(f">II{len(moved)}{size}", 0, len(moved), *moved)
            parts.append(box(b"stco" if size == "I" else b"co64", table))
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
