"""Exif as it stands in JPEG, PNG and WebP: a small TIFF structure of tags.

Only the values that upscaling and rotation make wrong are changed, in place, because makers' private notes
contain offsets that other programs cannot adjust. Layout: TIFF 6.0, section 2; tags: CIPA DC-008.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

ORIENTATION = 0x0112
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
_PIXEL_X, _PIXEL_Y = 0xA002, 0xA003
_SHORT, _LONG = 3, 4

TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of one value of each TIFF type."""


class Entry(NamedTuple):
    """One tag of an image file directory; `at` is the position of its 12 bytes."""

    tag: int
    type: int
    values: int
    at: int


def byte_order(data: bytes) -> str:
    """struct's character for the byte order of a TIFF structure. Raises struct.error if it is not a TIFF
    structure."""
    if data[:4] == b"II*\0":
        return "<"
    if data[:4] == b"MM\0*":
        return ">"
    raise struct.error("no TIFF structure")


def entries(data: bytes, at: int) -> Iterator[Entry]:
    """The tags of the directory at offset `at`."""
    order = byte_order(data)
    (count,) = struct.unpack_from(order + "H", data, at)
    for number in range(count):
        place = at + 2 + 12 * number
        tag, kind, values = struct.unpack_from(order + "HHI", data, place)
        yield Entry(tag, kind, values, place)


def first_directory(data: bytes) -> int:
    (offset,) = struct.unpack_from(byte_order(data) + "I", data, 4)
    return int(offset)


def value(data: bytes, entry: Entry) -> bytes:
    """The bytes of an entry's values: in the entry if they fit into 4 bytes, else where it points."""
    size = TYPE_SIZES.get(entry.type, 0) * entry.values
    start = entry.at + 8
    if size > 4:
        (start,) = struct.unpack_from(byte_order(data) + "I", data, start)
    if start + size > len(data):
        raise struct.error("a tag points beyond the end")
    return data[start : start + size]


def number(data: bytes, entry: Entry) -> int:
    """The first value of a SHORT or LONG entry."""
    order, body = byte_order(data), value(data, entry)
    return int(struct.unpack_from(order + ("H" if entry.type == _SHORT else "I"), body)[0])


def orientation(data: bytes | None) -> int:
    """Exif's orientation, 1 to 8; 1 if it is missing or invalid."""
    if not data:
        return 1
    try:
        for entry in entries(data, first_directory(data)):
            if entry.tag == ORIENTATION and entry.type == _SHORT:
                found = number(data, entry)
                return found if 1 <= found <= 8 else 1
    except struct.error:
        pass
    return 1


def upright(data: bytes, size: tuple[int, int]) -> bytes:
    """`data` saying that the picture is upright and of `size` (width, height), its old thumbnail unlinked."""
    out = bytearray(data)
    try:
        order, first = byte_order(data), first_directory(data)
        directory = list(entries(data, first))
        for entry in directory:
            if entry.tag == ORIENTATION:
                _put(out, entry, 1, order)
            if entry.tag == EXIF_IFD:
                for inner in entries(data, number(data, entry)):
                    if inner.tag in (_PIXEL_X, _PIXEL_Y):
                        _put(out, inner, size[inner.tag - _PIXEL_X], order)
        struct.pack_into(order + "I", out, first + 2 + 12 * len(directory), 0)
    except struct.error:
        return data  # malformed: copied unchanged, like all unknown data
    return bytes(out)


def _put(out: bytearray, entry: Entry, number: int, order: str) -> None:
    """Store one number, as LONG if SHORT is too small."""
    kind = _SHORT if number <= 0xFFFF and entry.type == _SHORT else _LONG
    struct.pack_into(order + "HI", out, entry.at + 2, kind, 1)
    struct.pack_into(order + ("H2x" if kind == _SHORT else "I"), out, entry.at + 8, number)
