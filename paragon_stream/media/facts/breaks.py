"""Breaks in a container's structure, which FFmpeg's demuxers skip silently.

Matroska, AVI, FLV, program streams and Ogg are chains of pieces, each with its size; ASF has pieces of one
size. Where the chain breaks off and continues later, or a numbered piece is missing, something is lost. A gap
in time alone says nothing: recordings and slide shows have such gaps.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from paragon_stream.media.checksum import crc32_high_first
from paragon_stream.media.matroska import structure
from paragon_stream.media.source.opened import opened_bytes

type Step = Callable[[BinaryIO, int], int | None]
"""Returns the end of the piece of a file that begins at a position; None if no piece begins there."""

_CHUNK = re.compile(rb"\d\d(?:d[cbd]|wb|tx|pc|sb|iv)|\d\dix|ix\d\d|JUNK|idx1")
"""Identifiers of chunks in AVI's list of packets (AVI RIFF File Reference, OpenDML)."""
_TAG = re.compile(rb"[\x08\x09\x12](?s:.{7})\0\0\0")
"""A tag's header in FLV: sound, video or data, size, time, stream 0 (Adobe FLV specification 10.1, E.4.1)."""
AVI_HEAD = 8
"""Bytes before a chunk's contents; FFmpeg reports the position of the contents for a packet."""
_PACK = re.compile(b"\x00\x00\x01\xba")
"""A pack's header in a program stream (ISO/IEC 13818-1, 2.5.3.4)."""
_MOST_ZEROS = 32
_PADDED_PACK = re.compile(b"(\x00{1,32})\x00\x00\x01\xba")
_LISTS = (b"RIFF", b"LIST")
_PIECE = 1 << 20


def count_breaks(path: Path, demuxer: str, first: int, last: int) -> int:
    """The number of breaks between the positions of two packets of the file at `path`.

    `demuxer` is FFmpeg's name of the format. Returns 0 for other formats, and if the file cannot be read.
    """
    try:
        with opened_bytes(path) as (file, size):
            if "matroska" in demuxer:
                return structure.count_breaks(file, size, first, last)
            if demuxer == "avi":
                return _count(file, size, first - AVI_HEAD, last, behind_chunk, _CHUNK)
            if demuxer == "flv":
                return _count(file, size, first, last, behind_tag, _TAG)
            if demuxer == "mpeg":
                return _count(file, size, first, last, behind_pes, _PACK)
            if demuxer == "ogg":
                return _count_pages(file, size, first, last)
            if demuxer == "asf":
                return _count_asf(file, size, first, last)
    except OSError:
        pass
    return 0


def _count(file: BinaryIO, size: int, first: int, last: int, step: Step, sign: re.Pattern[bytes]) -> int:
    """Breaks in the chain that begins at `first`, if one does; a piece begins with `sign`."""
    at, breaks = first, 0
    if step(file, first) is None:
        return 0
    while at < size and at <= last:
        follows = step(file, at)
        if follows is None or follows > size:
            follows = _next_piece(file, at + 1, size, step, sign)
            if follows is None:
                return breaks
            breaks += 1
        at = follows
    return breaks


def _next_piece(file: BinaryIO, at: int, size: int, step: Step, sign: re.Pattern[bytes]) -> int | None:
    """The first position from `at` on where two pieces follow each other."""
    while at < size:
        file.seek(at)
        piece = file.read(_PIECE)
        for match in sign.finditer(piece):
            begin = at + match.start()
            behind = step(file, begin)
            if behind is not None and (behind == size or (behind < size and step(file, behind) is not None)):
                return begin
        at += max(1, len(piece) - 16)
    return None


def behind_chunk(file: BinaryIO, at: int) -> int | None:
    """AVI: chunks begin at even positions, but some programs do not align them."""
    file.seek(at)
    head = file.read(8)
    if head[:4] in _LISTS:
        return at + 12
    if len(head) < 8 or not _CHUNK.match(head):
        return None
    end = at + 8 + int.from_bytes(head[4:], "little")
    if end % 2 == 0:
        return end
    file.seek(end)
    return end if _CHUNK.match(file.read(4)) else end + 1


def behind_tag(file: BinaryIO, at: int) -> int | None:
    """FLV: a tag, then four bytes that repeat its size, which some programs write wrongly."""
    file.seek(at)
    head = file.read(11)
    return at + 15 + int.from_bytes(head[1:4]) if _TAG.match(head) else None


# ------------------------------------------------------------------------------ program streams


def behind_pes(file: BinaryIO, at: int) -> int | None:
    """A pack's header (of MPEG-1 or MPEG-2), the end code, or a packet with its length; and zeros behind it,
    which fill the sectors of Video CDs."""
    file.seek(at)
    head = file.read(14)
    if len(head) < 4 or head[:3] != b"\0\0\1" or head[3] < 0xB9:
        return None
    if head[3] == 0xB9:
        length = 4
    elif head[3] != 0xBA:
        length = 6 + int.from_bytes(head[4:6])
    elif len(head) < 14:
        return None
    elif head[4] >> 4 == 0b0010:
        length = 12
    elif head[4] >> 6 == 0b01:
        length = 14 + (head[13] & 7)
    else:
        return None
    file.seek(at + length)
    padding = _PADDED_PACK.match(file.read(_MOST_ZEROS + 4))
    return at + length + (len(padding[1]) if padding else 0)


# ------------------------------------------------------------------------------------------ Ogg

_PAGE = 27
"""Bytes of a page's header (RFC 3533, 6) before the table of its segments."""


def _count_pages(file: BinaryIO, size: int, first: int, last: int) -> int:
    at, breaks, resumed = first, 0, False
    numbers: dict[bytes, int] = {}
    while at < size and at <= last:
        page = page_at(file, at)
        if page is None:
            follows = _next_page(file, at + 1, size)
            if follows is None:
                return breaks
            breaks += 1
            at, resumed = follows, True
            numbers.clear()
            continue
        serial, number = page[14:18], int.from_bytes(page[18:22], "little")
        begins = page[5] & 2
        if not begins and numbers.get(serial, number - 1) != number - 1 and not resumed:
            breaks += 1
        numbers[serial] = number
        at, resumed = at + len(page), False
    return breaks


def page_at(file: BinaryIO, at: int) -> bytes | None:
    """The page at a position; None if there is none, or its checksum is wrong: FFmpeg passes over both."""
    file.seek(at)
    head = file.read(_PAGE)
    if len(head) < _PAGE or not head.startswith(b"OggS\0"):
        return None
    table = file.read(head[26])
    rest = file.read(sum(table))
    if len(table) < head[26] or len(rest) < sum(table):
        return None
    summed = head[:22] + bytes(4) + head[26:] + table + rest
    is_whole = crc32_high_first(summed, 0) == int.from_bytes(head[22:26], "little")
    return head + table + rest if is_whole else None


def _next_page(file: BinaryIO, at: int, size: int) -> int | None:
    while at < size:
        file.seek(at)
        piece = file.read(_PIECE)
        offset = piece.find(b"OggS\0")
        if offset < 0:
            at += max(1, len(piece) - 4)
        elif page_at(file, at + offset) is not None:
            return at + offset
        else:
            at += offset + 1
    return None


# ------------------------------------------------------------------------------------------ ASF

FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
"""Objects of ASF (Advanced Systems Format specification, 3.2 and 5.1)."""
_PACKET_SIZE = 92
"""Byte position of the size of data packets in the first object."""
DATA_HEAD = 50
_PACKET_SIGN = b"\x82\0\0"
"""The first bytes of a data packet: its flags, and two bytes of error correction data, which are not used."""


def _count_asf(file: BinaryIO, size: int, first: int, last: int) -> int:
    """The number of runs of data packets without the usual beginning; 0 if the file's packets begin
    otherwise."""
    file.seek(0)
    head = file.read(_PIECE)
    properties, data = head.find(FILE_PROPERTIES), head.find(DATA)
    if min(properties, data) < 0:
        return 0
    step = int.from_bytes(head[properties + _PACKET_SIZE :][:4], "little")
    begin = data + DATA_HEAD
    length = int.from_bytes(head[data + 16 :][:8], "little")
    end = min(size, data + length if length > DATA_HEAD else size, last + 1)
    if not step or head[begin:][:3] != _PACKET_SIGN:
        return 0
    breaks, sound = 0, True
    for at in range(begin + max(0, first - begin) // step * step, end - step + 1, step):
        file.seek(at)
        before, sound = sound, file.read(3) == _PACKET_SIGN
        breaks += before and not sound
    return breaks
