"""The tags of TIFF files: reads them from a picture's first page, and adds them to a file written by FFmpeg.

Exif uses the structure of TIFF, so a file's descriptive tags become an Exif block, and an Exif block becomes
tags: directories are read into trees, and written at new offsets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from paragon_stream.media.images.exif import (
    EXIF_IFD,
    GPS_IFD,
    INTEROP_IFD,
    ORIENTATION,
    TYPE_SIZES,
    byte_order,
    entries,
    first_directory,
    number,
    value,
)

_ICC, _XMP, _COMPRESSION, _PHOTOMETRIC = 0x8773, 0x02BC, 0x0103, 0x0106
_DIRECTORIES = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
_RESOLUTION = (0x011A, 0x011B, 0x0128)
_WORDS = (0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298, 0x4746, 0x4749)
_WINDOWS_WORDS = (0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
_DESCRIPTIVE = {*_DIRECTORIES, *_RESOLUTION, *_WORDS, *_WINDOWS_WORDS, ORIENTATION}
"""Tags about the picture; all others are about how its samples are stored."""
_LONG, _UNDEFINED = 4, 7
_SWAP_UNITS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}


class _Value(NamedTuple):
    """`body` is in little-endian order, or the directory that the tag points to."""

    type: int
    values: int
    body: bytes | dict[int, _Value]


type _Directory = dict[int, _Value]


@dataclass(frozen=True, kw_only=True)
class TiffFacts:
    """The facts of a TIFF file. `exif` holds the descriptive tags; `photometric` and `compression` are TIFF's
    numbers of the colour space and of the compression."""

    icc: bytes | None = None
    exif: bytes | None = None
    photometric: int = 2
    compression: int = 1
    has_xmp: bool = False
    pages: int = 1


def read(data: bytes) -> TiffFacts:
    """The facts of a TIFF file's first page. Raises struct.error if it is malformed or a BigTIFF."""
    first = first_directory(data)
    tags = {entry.tag: entry for entry in entries(data, first)}
    described = {tag: v for tag, v in _directory(data, first).items() if tag in _DESCRIPTIVE}
    return TiffFacts(
        icc=value(data, tags[_ICC]) if _ICC in tags else None,
        exif=_structure(described) if described.keys() - {*_RESOLUTION} else None,
        photometric=number(data, tags[_PHOTOMETRIC]) if _PHOTOMETRIC in tags else 2,
        compression=number(data, tags[_COMPRESSION]) if _COMPRESSION in tags else 1,
        has_xmp=_XMP in tags,
        pages=_pages(data, first),
    )


def write(data: bytes, icc: bytes | None, exif: bytes | None) -> list[bytes | memoryview]:
    """The TIFF file `data` with a profile and the tags of an Exif block, in a new directory at its end.

    FFmpeg writes in the machine's byte order; big-endian machines keep their file as it is.
    """
    if (icc is None and exif is None) or byte_order(data) != "<":
        return [data]
    tags = _directory(data, first_directory(data))
    if exif is not None:
        try:
            described = _directory(exif, first_directory(exif))
            tags |= {tag: v for tag, v in described.items() if tag in _DESCRIPTIVE}
        except struct.error:
            pass  # a malformed block gives no tags
    if icc is not None:
        tags[_ICC] = _Value(_UNDEFINED, len(icc), icc)
    start = len(data) + len(data) % 2
    tail = b"\0" * (len(data) % 2) + _serialised(tags, start)
    return [data[:4] + struct.pack("<I", start), memoryview(data)[8:], tail]


def _pages(data: bytes, first: int) -> int:
    order, at, seen = byte_order(data), first, set[int]()
    while at and at not in seen and len(seen) < 10_000:
        seen.add(at)
        (count,) = struct.unpack_from(order + "H", data, at)
        (at,) = struct.unpack_from(order + "I", data, at + 2 + 12 * count)
    return len(seen)


def _directory(data: bytes, at: int, depth: int = 0) -> _Directory:
    """The directory at `at` and its subdirectories, without tags of unknown types and with invalid
    offsets."""
    found: _Directory = {}
    order = byte_order(data)
    for entry in entries(data, at):
        if entry.type not in TYPE_SIZES:
            continue
        try:
            if entry.tag in _DIRECTORIES and depth < 3:
                inner = _directory(data, number(data, entry), depth + 1)
                found[entry.tag] = _Value(_LONG, 1, inner)
                continue
            body = value(data, entry)
        except struct.error:
            continue
        unit = _SWAP_UNITS.get(entry.type, 1)
        if order == ">" and unit > 1:
            body = b"".join(body[i : i + unit][::-1] for i in range(0, len(body), unit))
        found[entry.tag] = _Value(entry.type, entry.values, body)
    return found


def _structure(tags: _Directory) -> bytes:
    """A TIFF structure with only `tags`."""
    return b"II*\0" + struct.pack("<I", 8) + _serialised(tags, 8)


def _serialised(tags: _Directory, start: int) -> bytes:
    """A directory that will stand at offset `start`, with its values behind it (TIFF 6.0: tags in order)."""
    head = struct.pack("<H", len(tags))
    at = start + 2 + 12 * len(tags) + 4
    tail = b""
    for tag in sorted(tags):
        kind, count, body = tags[tag]
        place = at + len(tail)
        if isinstance(body, dict):
            tail += _serialised(body, place)
            body = struct.pack("<I", place)
        elif len(body) > 4:
            tail += body + b"\0" * (len(body) % 2)
            body = struct.pack("<I", place)
        head += struct.pack("<HHI", tag, kind, count) + body.ljust(4, b"\0")
    return head + struct.pack("<I", 0) + tail
