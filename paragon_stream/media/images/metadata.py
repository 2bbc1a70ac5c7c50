"""The metadata of an image file, read from one kind of file and written to another.

Copied: the ICC profile and Exif, from any kind to any kind but BMP; XMP among PNG, JPEG and WebP; from PNG to
PNG the colour chunks that replace an ICC profile, and the texts. The print size is copied between PNG and
JPEG. The orientation is not: the written picture is rotated, and its Exif says "upright".

Layouts: PNG third edition (W3C), JFIF (ITU-T T.871), Exif 3.0 (CIPA DC-008), ICC.1 annex B, WebP (RFC 9649).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.errors import FormatError, InputError
from paragon_stream.media.facts.image_kinds import ImageKind
from paragon_stream.media.images import exif, tiff
from paragon_stream.media.images.png_colour import other_than_srgb

type Bytes = bytes | memoryview

_PNG_START = 8
_PNG_TEXTS = (b"iTXt", b"tEXt", b"zTXt")
_PNG_CARRIED = (b"cICP", b"sRGB", b"gAMA", b"cHRM", *_PNG_TEXTS)
_INCH, _CENTIMETRE = 1 / 0.0254, 100
"""Per metre."""
_SCREENS = tuple((round(dpi * _INCH),) * 2 for dpi in (72, 96))
"""Pixels per metre that programs write for pictures without a print size."""
_JFIF_MARK = b"JFIF\0"
_EXIF_MARK, _ICC_MARK = b"Exif\0\0", b"ICC_PROFILE\0"
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_XMP_MARK = b"XML:com.adobe.xmp\0"
_LONG_XMP_MARK = b"http://ns.adobe.com/xmp/extension/\0"
"""Marks XMP that does not fit into one segment of a JPEG (XMP part 3, 1.1.3.1)."""
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)\d")
_MAX_SEGMENT = 65_533


_ANIMATED = (
    "is an animation, not a still image: make a video of it (out.mkv), or numbered images (out_%04d.png)"
)
_MPF_MARK = b"MPF\0"
"""CIPA DC-007: further pictures after the first one, of other views, sizes or exposures."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """`exif` is a TIFF structure, as in JPEG's APP1 behind its mark. `orientation` is Exif's, 1 to 8.

    `lossless` is True for lossless WebP. `uncarried` names the metadata that is lost; `further` is the number
    of pictures in the file after the first.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    """An XML document, as XMP (ISO 16684-1) lays it out."""
    orientation: int = 1
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    density: tuple[int, int] | None = None
    """Print size: pixels per metre, horizontally and vertically. None if unspecified."""
    lossless: bool = False
    premultiplied: bool = False
    """Whether the stored colours are multiplied by alpha."""
    uncarried: tuple[str, ...] = ()
    further: str = ""


def read_metadata(kind: ImageKind, data: bytes, path: Path) -> Metadata:
    """The metadata of the image file `data`. Malformed metadata counts as absent, so that the pixels are
    still read.

    Raises FormatError for CMYK and Lab, InputError for animations, which are no still images.
    """
    try:
        match kind:
            case ImageKind.PNG:
                return _read_png(data, path)
            case ImageKind.JPEG:
                return _read_jpeg(data, path)
            case ImageKind.WEBP:
                return _read_webp(data, path)
            case ImageKind.TIFF:
                return _read_tiff(data, path)
            case _:
                return Metadata()
    except (struct.error, IndexError, zlib.error):
        return Metadata(uncarried=("its malformed metadata",))


def embed(kind: ImageKind, data: bytes, metadata: Metadata, size: tuple[int, int]) -> list[Bytes]:
    """The image file `data`, as an encoder made it, with `metadata` in it, in pieces to be written in turn.

    `size` (width, height) replaces that in Exif.
    """
    icc = metadata.icc
    ours = exif.upright(metadata.exif, size) if metadata.exif else None
    xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", metadata.xmp) if metadata.xmp else None
    match kind:
        case ImageKind.PNG:
            return _write_png(data, icc, ours, _with_further(metadata, xmp))
        case ImageKind.JPEG:
            return _write_jpeg(data, icc, ours, xmp, metadata.density)
        case ImageKind.WEBP:
            return _write_webp(data, icc, ours, xmp, size)
        case ImageKind.TIFF:
            return tiff.write(data, icc, ours, xmp, metadata.density)
        case _:
            return [data]


def not_embedded(kind: ImageKind, metadata: Metadata) -> tuple[str, ...]:
    """The parts of `metadata` that a file of `kind` cannot store, in words."""
    lost = [*([metadata.further] if metadata.further else []), *metadata.uncarried]
    if kind is not ImageKind.PNG:
        lost += ["text comments"] if any(name in _PNG_TEXTS for name, _ in metadata.png_chunks) else []
        other = other_than_srgb(metadata.png_chunks)
        lost += [f"colour space ({', '.join(other)})"] if other and metadata.icc is None else []
    if metadata.xmp and kind is ImageKind.BMP:
        lost.append("XMP")
    if metadata.xmp and kind is ImageKind.JPEG and len(metadata.xmp) + len(_XMP_MARK) > _MAX_SEGMENT:
        lost.append("XMP (larger than JPEG allows)")
    if kind in (ImageKind.WEBP, ImageKind.BMP) and metadata.density not in (None, *_SCREENS):
        lost.append("print size")
    if kind is ImageKind.BMP:
        lost += [name for name, there in (("ICC profile", metadata.icc), ("Exif", metadata.exif)) if there]
    if kind is ImageKind.JPEG and metadata.exif and len(metadata.exif) + len(_EXIF_MARK) > _MAX_SEGMENT:
        lost.append("Exif (larger than JPEG allows)")
    return tuple(lost)


# --------------------------------------------------------------------------------------------- PNG


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(data), _PNG_START
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], view[at + 8 : at + 8 + length]
        at += 12 + length


def _read_png(data: bytes, path: Path) -> Metadata:
    icc = blob = density = xmp = None
    carried = []
    for name, body in _png_chunks(data):
        if name == b"acTL":
            raise InputError(f"{path} {_ANIMATED}")
        if name == b"iCCP":
            icc = zlib.decompress(bytes(body).split(b"\0", 1)[1][1:])
        elif name == b"eXIf":
            blob = bytes(body).removeprefix(_EXIF_MARK)
        elif name == b"iTXt" and bytes(body[: len(_PNG_XMP_MARK)]) == _PNG_XMP_MARK:
            xmp = _png_text(bytes(body))
        elif name in _PNG_CARRIED:
            carried.append((name, bytes(body)))
        elif name == b"pHYs":
            across, down, unit = struct.unpack(">IIB", body)
            density = (across, down) if unit == 1 else None
    return Metadata(
        icc=icc,
        exif=blob,
        xmp=xmp,
        orientation=exif.orientation(blob),
        png_chunks=tuple(carried),
        density=density,
    )


def _png_text(body: bytes) -> bytes:
    """The text of an iTXt chunk, which follows the keyword, two bytes about compression, and two strings."""
    _, _, rest = body.partition(b"\0")
    text = rest[2:].split(b"\0", 2)[2]
    return zlib.decompress(text) if rest[0] else text


def _with_further(metadata: Metadata, xmp: bytes | None) -> list[tuple[bytes, bytes]]:
    """The chunks that a PNG gets, the print size (`pHYs`) and XMP among them."""
    chunks, density = list(metadata.png_chunks), metadata.density
    if density:
        chunks.append((b"pHYs", struct.pack(">IIB", *density, 1)))
    if xmp is not None:
        chunks.append((b"iTXt", _PNG_XMP_MARK + bytes(4) + xmp))
    return chunks


def _png_chunk(name: bytes, body: Bytes) -> bytes:
    crc = zlib.crc32(body, zlib.crc32(name))
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)


def _write_png(
    data: bytes, icc: bytes | None, blob: bytes | None, carried: Sequence[tuple[bytes, bytes]]
) -> list[Bytes]:
    """Insert our chunks after IHDR, where all of them are allowed, and remove FFmpeg's chunks of the same
    kinds."""
    ours = [_png_chunk(name, body) for name, body in carried]
    if icc is not None:
        ours.append(_png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc, 9)))
    if blob is not None:
        ours.append(_png_chunk(b"eXIf", blob))
    pieces: list[Bytes] = [data[:_PNG_START]]
    view, at = memoryview(data), _PNG_START
    for name, body in _png_chunks(data):
        end = at + 12 + len(body)
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            pieces.append(view[at:end])
        if name == b"IHDR":
            pieces += ours
        at = end
    return pieces


# -------------------------------------------------------------------------------------------- JPEG


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start of the body, end) of every segment before the pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0xDA:
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        yield marker, at + 4, at + 2 + length
        at += 2 + length


def _read_jpeg(data: bytes, path: Path) -> Metadata:
    blob: bytes | None = None
    xmp: bytes | None = None
    profile: dict[int, bytes] = {}
    density: tuple[int, int] | None = None
    uncarried = []
    further = ""
    for marker, start, end in _segments(data):
        body = data[start:end]
        if marker == 0xE0 and body.startswith(_JFIF_MARK):
            unit, across, down = struct.unpack_from(">BHH", body, 7)
            factor = {1: _INCH, 2: _CENTIMETRE}.get(unit, 0)
            density = (round(across * factor), round(down * factor)) if factor and across and down else None
        if marker == 0xE1 and body.startswith(_EXIF_MARK) and blob is None:
            blob = body[len(_EXIF_MARK) :]
        elif marker == 0xE1 and body.startswith(_XMP_MARK):
            xmp = body[len(_XMP_MARK) :]
        elif marker == 0xE1 and body.startswith(_LONG_XMP_MARK):
            uncarried.append("XMP (its second part)")
        elif marker == 0xE2 and body.startswith(_ICC_MARK):
            profile[body[12]] = body[14:]
        elif marker == 0xE2 and body.startswith(_MPF_MARK):
            further = "the further pictures behind the first"
        elif marker == 0xED:
            uncarried.append("IPTC")
        elif marker == 0xFE:
            uncarried.append("text comments")
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and body[5] == 4:
            raise FormatError(f"{path} is a CMYK picture; convert it to RGB first")
    icc = b"".join(profile[number] for number in sorted(profile)) or None
    return Metadata(
        icc=icc,
        exif=blob,
        xmp=xmp,
        orientation=exif.orientation(blob),
        density=density,
        uncarried=tuple(dict.fromkeys(uncarried)),
        further=further,
    )


def _jpeg_segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _write_jpeg(
    data: bytes,
    icc: bytes | None,
    blob: bytes | None,
    xmp: bytes | None,
    density: tuple[int, int] | None,
) -> list[Bytes]:
    """Insert our segments after JFIF's APP0, which must be first and gets the print size."""
    begin, at = next(((start, end) for marker, start, end in _segments(data) if marker == 0xE0), (0, 2))
    if begin and density is not None:
        dots = (min(round(each / _INCH), 0xFFFF) for each in density)
        data = data[: begin + 7] + struct.pack(">BHH", 1, *dots) + data[begin + 12 :]
    ours = []
    if blob is not None and len(_EXIF_MARK) + len(blob) <= _MAX_SEGMENT:
        ours.append(_jpeg_segment(0xE1, _EXIF_MARK + blob))
    if xmp is not None and len(_XMP_MARK) + len(xmp) <= _MAX_SEGMENT:
        ours.append(_jpeg_segment(0xE1, _XMP_MARK + xmp))
    if icc is not None:
        room = _MAX_SEGMENT - len(_ICC_MARK) - 2
        parts = [icc[start : start + room] for start in range(0, len(icc), room)]
        for number, part in enumerate(parts, 1):
            ours.append(_jpeg_segment(0xE2, _ICC_MARK + bytes((number, len(parts))) + part))
    view = memoryview(data)
    return [view[:at], *ours, view[at:]]


# -------------------------------------------------------------------------------------------- WebP


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(data), 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 4], view[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _read_webp(data: bytes, path: Path) -> Metadata:
    icc = blob = xmp = None
    lossless = False
    for name, body in _riff_chunks(data):
        if name in (b"ANIM", b"ANMF"):
            raise InputError(f"{path} {_ANIMATED}")
        if name == b"ICCP":
            icc = bytes(body)
        elif name == b"EXIF":
            blob = bytes(body).removeprefix(_EXIF_MARK)
        elif name == b"XMP ":
            xmp = bytes(body)
        lossless = lossless or name == b"VP8L"
    return Metadata(
        icc=icc,
        exif=blob,
        xmp=xmp,
        orientation=exif.orientation(blob),
        lossless=lossless,
    )


def _riff_chunk(name: bytes, body: Bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _write_webp(
    data: bytes, icc: bytes | None, blob: bytes | None, xmp: bytes | None, size: tuple[int, int]
) -> list[Bytes]:
    """The extended form, VP8X, with the profile before the pixels, and Exif and XMP after them."""
    if icc is None and blob is None and xmp is None:
        return [data]
    chunks = [(name, body) for name, body in _riff_chunks(data) if name != b"VP8X"]
    # Lossless pictures say in bit 28 behind their signature byte whether they use alpha.
    alpha = any(
        name == b"ALPH" or (name == b"VP8L" and struct.unpack_from("<I", body, 1)[0] >> 28 & 1)
        for name, body in chunks
    )
    flags = 0x20 * (icc is not None) | 0x10 * alpha | 0x08 * (blob is not None) | 0x04 * (xmp is not None)
    width, height = (side - 1 for side in size)
    extended = struct.pack("<I", flags) + width.to_bytes(3, "little") + height.to_bytes(3, "little")
    ours: list[Bytes] = [_riff_chunk(b"VP8X", extended)]
    ours += [_riff_chunk(b"ICCP", icc)] if icc is not None else []
    ours += [_riff_chunk(name, body) for name, body in chunks]
    ours += [_riff_chunk(b"EXIF", blob)] if blob is not None else []
    ours += [_riff_chunk(b"XMP ", xmp)] if xmp is not None else []
    length = 4 + sum(len(piece) for piece in ours)
    return [b"RIFF" + struct.pack("<I", length) + b"WEBP", *ours]


# -------------------------------------------------------------------------------------------- TIFF


_UNREAD_TIFF = {6: "JPEG", 7: "JPEG", 34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}
"""Compressions of TIFF that FFmpeg's decoder does not have; it returns a black picture for some of them."""


def _read_tiff(data: bytes, path: Path) -> Metadata:
    found = tiff.read(data)
    if found.photometric in (5, 8, 9, 10):
        name = "CMYK" if found.photometric == 5 else "Lab"
        raise FormatError(f"{path} is a {name} picture; convert it to RGB first")
    if found.compression in _UNREAD_TIFF:
        how = _UNREAD_TIFF[found.compression]
        raise FormatError(
            f"{path} is a TIFF with {how} inside, which is not supported: convert it to PNG first"
        )
    return Metadata(
        icc=found.icc,
        exif=found.exif,
        xmp=found.xmp,
        density=found.density,
        premultiplied=found.premultiplied,
        orientation=exif.orientation(found.exif),
        uncarried=found.unread,
        further=f"the other {found.pages - 1} pages" if found.pages > 1 else "",
    )
