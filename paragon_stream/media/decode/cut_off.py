"""Whether a file ends before its structure does: a recording or a download that broke off.

FFmpeg's demuxers take such an end for the end of the video. A file that was cut off exactly between two
pieces of its structure cannot be recognised, unless its header gives the size of the whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from paragon_stream.media.facts.breaks import (
    AVI_HEAD,
    DATA,
    DATA_HEAD,
    FILE_PROPERTIES,
    Step,
    behind_chunk,
    behind_pes,
    behind_tag,
)
from paragon_stream.media.facts.opened import opened_bytes
from paragon_stream.media.matroska import structure
from paragon_stream.media.matroska.structure import is_blank
from paragon_stream.media.mp4.boxes import read_head

_PIECE = 1 << 20
_WHOLE_PS = b"\0\0\1\xb9"
"""The end code of a program stream: anything may follow it."""
_FLV_TRAILER = 4
"""Bytes behind each tag of FLV that the last one may lack."""
_NOT_WRITTEN = 0xFFFF0000
"""Sizes of AVI from here on are placeholders, as 0 is."""
_BROADCAST = 88
"""Where ASF's file properties have their flags; the first one stands for a stream of unknown length."""
_SYNC = 0x47
_IN_A_ROW = 4
"""Packets of a transport stream in a row that show where packets begin."""


def is_cut_off(path: Path, demuxer: str, last: int) -> bool:
    """Whether the file at `path` is incomplete at its end. False if that is unknown.

    `demuxer` is FFmpeg's name of the format, `last` the position of the video's last packet.
    """
    try:
        with opened_bytes(path) as (file, size):
            if "matroska" in demuxer:
                return structure.is_cut_off(file, size, last)
            if "mov" in demuxer.split(","):
                return _is_mp4_cut_off(file, size)
            if demuxer == "avi":
                return _is_avi_cut_off(file, size, last - AVI_HEAD)
            if demuxer == "flv":
                return _ends_inside(file, size + _FLV_TRAILER, last, behind_tag)
            if demuxer == "mpeg":
                return _ends_inside(file, size, last, behind_pes)
            if demuxer == "mpegts":
                return _is_transport_cut_off(file, size, last)
            if demuxer == "ogg":
                return _ends_inside(file, size, last, _behind_page)
            if demuxer == "asf":
                return _is_asf_cut_off(file, size)
    except OSError:
        pass
    return False


def _ends_inside(file: BinaryIO, size: int, at: int, step: Step, stop: int | None = None) -> bool:
    """Whether a piece between `at` and `stop` ends behind `size`, or zeros are in the place of the rest.

    `stop` is `size` by default.
    """
    while 0 <= at < (size if stop is None else stop):
        follows = step(file, at)
        if follows is None:
            return is_blank(file, at)
        file.seek(at)
        if file.read(4) == _WHOLE_PS:
            return False
        if follows > size:
            return True
        at = follows
    return False


def _behind_page(file: BinaryIO, at: int) -> int | None:
    """Ogg: the end of a page, which may be incomplete."""
    file.seek(at)
    head = file.read(27)
    if len(head) < 27 or not head.startswith(b"OggS\0"):
        return None
    table = file.read(head[26])
    return at + 27 + head[26] + sum(table)


def _is_avi_cut_off(file: BinaryIO, size: int, last: int) -> bool:
    """By the sizes of the lists of packets; by the packets themselves where sizes were not written."""
    at = 0
    while at + 12 <= size:
        file.seek(at)
        head = file.read(12)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"RIFF":
            at += 12
        elif head[:4] == b"LIST" and head[8:] == b"movi":
            if not 0 < length < _NOT_WRITTEN:
                return _ends_inside(file, size, last, behind_chunk)
            if at + 8 + length > size:
                return True
            end = at + 8 + length
            if at <= last < end and _ends_inside(file, size, last, behind_chunk, stop=end):
                return True
            at += 8 + length + length % 2
        elif head[:1].isalnum():
            at += 8 + length + length % 2
        else:
            return False
    return False


def _is_asf_cut_off(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    head = file.read(_PIECE)
    properties, data = head.find(FILE_PROPERTIES), head.find(DATA)
    if min(properties, data) < 0 or head[properties + _BROADCAST :][:1] not in (b"\0", b"\2"):
        return False
    length = int.from_bytes(head[data + 16 :][:8], "little")
    if length <= DATA_HEAD:
        return False
    return data + length > size or is_blank(file, data + length - 2 * structure.BLANK)


def _is_mp4_cut_off(file: BinaryIO, size: int) -> bool:
    """Whether a box is longer than the file."""
    at = 0
    while at + 8 <= size:
        kind, length = read_head(file, at)
        if length < 8 or not kind.isalnum():
            return False
        if at + length > size:
            return True
        at += length
    return False


def _is_transport_cut_off(file: BinaryIO, size: int, last: int) -> bool:
    """Whether the last packet is incomplete; packets have 188 bytes, and on Blu-rays 4 more before them."""
    for begin, length in ((last, 188), (last + 4, 192), (last, 204)):
        if not _has_sync(file, range(begin, begin + _IN_A_ROW * length, length), size):
            continue
        rest = (size - begin) % length
        if length == 192:
            rest = 0 if rest == 188 else rest
        if rest and _has_sync(file, range(size - rest, size), size, count=1):
            return True
        return is_blank(file, size - structure.BLANK)
    return False


def _has_sync(file: BinaryIO, places: range, size: int, count: int = _IN_A_ROW) -> bool:
    """Whether packets of a transport stream begin at the first `count` of `places` that are in the file."""
    found = b""
    for place in places[:count]:
        if place < size:
            file.seek(place)
            found += file.read(1)
    return bool(found) and set(found) == {_SYNC}
