"""The display size of a Matroska or WebM video track, for codecs that do not carry an aspect ratio.

FFmpeg's muxer writes it from a field that PyAV gives no access to. So the track is given a name that is
longer than it should be, and when the file is complete the track's entry is written anew, in place and in the
same number of bytes: the right name, the display size, and padding. (Element IDs: RFC 9559; EBML: RFC 8794.)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

ROOM = " " * 24
"""What is put behind the track's name: more than the display size needs."""

_SEGMENT, _TRACKS, _CLUSTER = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75"
_ENTRY, _NAME, _VIDEO = b"\xae", b"\x53\x6e", b"\xe0"
_WIDTH, _HEIGHT, _UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_CRC, _VOID = b"\xbf", b"\xec"


def display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Width and height as shown: stretched, never shrunk, so that no line of the picture is lost."""
    if aspect >= 1:
        return round(width * aspect), height
    return width, round(height / aspect)


def write_display_size(path: Path, name: str, width: int, height: int) -> bool:
    """Give the video track that is called `name` + ROOM the display size, and the name `name`.

    False, with the file unchanged, where there is no such track.
    """
    with path.open("rb+") as file:
        found = _find_tracks(file)
        if found is None:
            return False
        position, size = found
        file.seek(position)
        tracks = file.read(size)
        changed = _with_display_size(tracks, name.encode(), width, height)
        if changed is None:
            return False
        file.seek(position)
        file.write(changed)
    return True


def _find_tracks(file: BinaryIO) -> tuple[int, int] | None:
    """Position and size of the contents of the Tracks element."""
    while (head := _read_head(file)) is not None:
        element, size = head
        if element == _SEGMENT:
            continue  # into it
        if element == _TRACKS:
            return file.tell(), size
        if element == _CLUSTER:
            return None
        file.seek(size, 1)
    return None


def _with_display_size(tracks: bytes, name: bytes, width: int, height: int) -> bytes | None:
    parts, found = [], False
    for element, raw, data in _elements(tracks):
        if element == _CRC:
            continue
        if element == _ENTRY and not found:
            entry = _changed_entry(raw, data, name, width, height)
            found = entry is not None
            parts.append(entry or raw)
        else:
            parts.append(raw)
    if not found:
        return None
    body = b"".join(parts)
    if tracks.startswith(_CRC):
        body = _element(_CRC, zlib.crc32(body).to_bytes(4, "little")) + body
    assert len(body) == len(tracks)
    return body


def _changed_entry(raw: bytes, data: bytes, name: bytes, width: int, height: int) -> bytes | None:
    """The track's entry anew, as long as `raw`; None if it is another track's."""
    children = list(_elements(data))
    if not any(element == _NAME and value == name + ROOM.encode() for element, _, value in children):
        return None
    inside = []
    for element, child, value in children:
        if element == _VIDEO:
            kept = b"".join(r for e, r, _ in _elements(value) if e not in (_WIDTH, _HEIGHT, _UNIT))
            inside.append(_element(_VIDEO, kept + _number(_WIDTH, width) + _number(_HEIGHT, height)))
        elif element == _NAME:
            inside.append(_element(_NAME, name) if name else b"")
        else:
            inside.append(child)
    body = b"".join(inside)
    head = raw[: len(raw) - len(data)]  # its size stays, so it stays
    spare = len(data) - len(body)
    assert spare >= 2, "room for the display size"
    return head + body + _VOID + bytes([0x80 | (spare - 2)]) + bytes(spare - 2)


def _elements(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(ID, whole element, contents) of each element in `data`."""
    at = 0
    while at < len(data):
        begin = at
        id_length = _length(data[at])
        element = data[at : at + id_length]
        at += id_length
        size_length = _length(data[at])
        size = int.from_bytes(data[at : at + size_length]) & ((1 << 7 * size_length) - 1)
        at += size_length
        yield element, data[begin : at + size], data[at : at + size]
        at += size


def _read_head(file: BinaryIO) -> tuple[bytes, int] | None:
    first = file.read(1)
    if not first or not first[0]:
        return None
    element = first + file.read(_length(first[0]) - 1)
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = _length(first[0])
    return element, int.from_bytes(first + file.read(length - 1)) & ((1 << 7 * length) - 1)


def _length(first: int) -> int:
    """Bytes of a variable-size integer that begins with `first`: one more than its leading zero bits."""
    return 9 - first.bit_length()


def _element(element: bytes, data: bytes) -> bytes:
    length = next(n for n in range(1, 9) if len(data) < (1 << 7 * n) - 1)
    return element + (len(data) | 1 << 7 * length).to_bytes(length) + data


def _number(element: bytes, value: int) -> bytes:
    return _element(element, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))
