"""The tags of TIFF files: reads them from a picture's first page, and adds them to a file written by FFmpeg.

Exif uses the structure of TIFF, so a file's descriptive tags become an Exif block, and an Exif block becomes
tags: directories are read into trees, and written at new offsets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
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

_ICC, _XMP, _IPTC, _PHOTOSHOP = 0x8773, 0x02BC, 0x83BB, 0x8649
_COMPRESSION, _PHOTOMETRIC, _EXTRA_SAMPLES = 0x0103, 0x0106, 0x0152
_DIRECTORIES = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
_ACROSS, _DOWN, _UNIT = _RESOLUTION = (0x011A, 0x011B, 0x0128)
_UNITS = {2: Fraction(10_000, 254), 3: Fraction(100)}
"""TIFF's number of the unit of resolution → units per metre: inch, centimetre."""
_WORDS = (0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298, 0x4746, 0x4749)
_WINDOWS_WORDS = (0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
_DESCRIPTIVE = {*_DIRECTORIES, *_RESOLUTION, *_WORDS, *_WINDOWS_WORDS, ORIENTATION}
"""Tags about the picture; all others are about how its samples are stored."""
_BYTE, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 1, 3, 4, 5, 7
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
    numbers of the colour space and of the compression. `density` is the print size, pixels per metre across
    and down; `premultiplied` says that the colours are multiplied by alpha; `unread` names other metadata."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    density: tuple[int, int] | None = None
    photometric: int = 2
    compression: int = 1
    premultiplied: bool = False
    pages: int = 1
    unread: tuple[str, ...] = ()


def read(data: bytes) -> TiffFacts:
    """The facts of a TIFF file's first page. Raises struct.error if it is malformed or a BigTIFF."""
    first = first_directory(data)
    tags = {entry.tag: entry for entry in entries(data, first)}
    described = {tag: v for tag, v in _directory(data, first).items() if tag in _DESCRIPTIVE}
    return TiffFacts(
        icc=value(data, tags[_ICC]) if _ICC in tags else None,
        exif=_structure(described) if described.keys() - {*_RESOLUTION} else None,
        xmp=value(data, tags[_XMP]) if _XMP in tags else None,
        density=_density(described),
        photometric=number(data, tags[_PHOTOMETRIC]) if _PHOTOMETRIC in tags else 2,
        compression=number(data, tags[_COMPRESSION]) if _COMPRESSION in tags else 1,
        premultiplied=_EXTRA_SAMPLES in tags and number(data, tags[_EXTRA_SAMPLES]) == 1,
        pages=_pages(data, first),
        unread=tuple(n for tag, n in ((_IPTC, "IPTC"), (_PHOTOSHOP, "Photoshop data")) if tag in tags),
    )


def write(
    data: bytes,
    icc: bytes | None,
    exif: bytes | None,
    xmp: bytes | None = None,
    density: tuple[int, int] | None = None,
) -> list[bytes | memoryview]:
    """The TIFF file `data` with a profile, the tags of an Exif block, XMP and a print size (pixels per
    metre), in a new directory at its end.

    FFmpeg writes in the machine's byte order; big-endian machines keep their file as it is.
    """
    if (icc, exif, xmp, density) == (None, None, None, None) or byte_order(data) != "<":
        return [data]
    tags = _directory(data, first_directory(data))
    if density is not None:
        for tag, dots in zip((_ACROSS, _DOWN), density, strict=True):
            tags[tag] = _Value(_RATIONAL, 1, struct.pack("<II", dots, 100))
        tags[_UNIT] = _Value(_SHORT, 1, struct.pack("<H", 3))
    if exif is not None:
        try:
            described = _directory(exif, first_directory(exif))
            tags |= {tag: v for tag, v in described.items() if tag in _DESCRIPTIVE}
        except struct.error:
            pass  # a malformed block gives no tags
    if xmp is not None:
        tags[_XMP] = _Value(_BYTE, len(xmp), xmp)
    if icc is not None:
        tags[_ICC] = _Value(_UNDEFINED, len(icc), icc)
    start = len(data) + len(data) % 2
    tail = b"\0" * (len(data) % 2) + _serialised(tags, start)
    return [data[:4] + struct.pack("<I", start), memoryview(data)[8:], tail]


def _density(tags: _Directory) -> tuple[int, int] | None:
    """Pixels per metre, across and down; None without a unit."""
    try:
        bodies = [tags[tag].body for tag in _RESOLUTION]
        across, down, (unit,) = (
            struct.unpack_from(layout, body)
            for layout, body in zip(("<II", "<II", "<H"), bodies, strict=True)
            if isinstance(body, bytes)
        )
        factor = _UNITS[unit]
        found = round(Fraction(*across) * factor), round(Fraction(*down) * factor)
    except (KeyError, ValueError, ZeroDivisionError, struct.error):
        return None
    return found if all(found) else None


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
