"""Recognises files that end before their structure does: recordings or downloads that broke off.

FFmpeg's demuxers take such an end for the end of the video. A file that was cut off exactly between two
pieces of its structure cannot be recognised, unless its header gives the size of the whole. Raw H.264, HEVC,
VC-1 and MPEG video have no such structure: only what their decoders report is known.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from paragon_stream.media.decode import nut
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
from paragon_stream.media.matroska import structure
from paragon_stream.media.matroska.structure import is_blank
from paragon_stream.media.mp4 import boxes
from paragon_stream.media.source.opened import opened_bytes

_PIECE = 1 << 20
_WHOLE_PS = b"\0\0\1\xb9"
"""The end code of a program stream: anything may follow it."""
_FLV_TRAILER = 4
"""Bytes behind each tag of FLV that the last one may lack."""
_NOT_WRITTEN = 0xFFFF0000
"""Sizes of AVI from here on are placeholders, as 0 is."""
_BROADCAST = 88
"""Position of the flags in ASF's file properties; the lowest bit stands for a stream of unknown length."""
_SYNC = 0x47
_IN_A_ROW = 4
"""Packets of a transport stream in a row that show where packets begin."""


def is_cut_off(path: Path, demuxer: str, last: int, length: int) -> bool:
    """Whether the file at `path` is incomplete at its end. False if that is unknown.

    `demuxer` is FFmpeg's name of the format, `last` the position of the video's last packet and
    `length` its size.
    """
    try:
        with opened_bytes(path) as (file, size):
            if "matroska" in demuxer:
                return structure.is_cut_off(file, size, last)
            if "mov" in demuxer.split(","):
                return boxes.is_cut_off(file, size)
            if demuxer == "avi":
                return _is_avi_cut_off(file, size, last - AVI_HEAD)
            if demuxer == "flv":
                return _ends_inside(file, size + _FLV_TRAILER, last, behind_tag)
            if demuxer == "mpegts":
                return _is_transport_cut_off(file, size, last)
            if demuxer == "asf":
                return _is_asf_cut_off(file, size)
            if demuxer == "nut":
                return nut.is_cut_off(file, size, last)
            if demuxer == "mxf":
                return _is_mxf_cut_off(file, size, last)
            if demuxer == "gxf":
                return _ends_inside(file, size, last - _GXF_HEADS, _behind_gxf)
            if demuxer == "rm":
                return _is_real_cut_off(file, size)
            if demuxer == "yuv4mpegpipe":
                return size > last + length  # these bytes begin a frame; the pipe cannot be read again
            if demuxer == "dv":
                return size < last + length or (size - last) % length > 0
            if demuxer in ("jpeg_pipe", "mjpeg"):
                return _is_jpeg_cut_off(file, last - length)
            if demuxer in _CHAINS:
                begin, step = _CHAINS[demuxer]
                return _ends_inside(file, size, last if begin is None else begin, step)
    except (OSError, IndexError):
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
    """Judged by the sizes of the lists of packets, or by the packets if the sizes were not written."""
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


def _is_transport_cut_off(file: BinaryIO, size: int, last: int) -> bool:
    """Whether the last packet is incomplete; packets have 188 bytes, and on Blu-rays 4 more before them."""
    if is_blank(file, size - structure.BLANK):
        return True
    for begin, length in ((last, 188), (last + 4, 192), (last, 204)):
        if not _has_sync(file, range(begin, begin + _IN_A_ROW * length, length), size):
            continue
        rest = (size - begin) % length
        if length == 192:
            rest = 0 if rest == 188 else rest
        return bool(rest) and _has_sync(file, range(size - rest, size), size, count=1)
    return False


def _has_sync(file: BinaryIO, positions: range, size: int, count: int = _IN_A_ROW) -> bool:
    """Whether packets of a transport stream begin at the first `count` of `positions` that are in the
    file."""
    found = b""
    for position in positions[:count]:
        if position < size:
            file.seek(position)
            found += file.read(1)
    return bool(found) and set(found) == {_SYNC}


# ----------------------------------------------------------------------------- MXF, GXF, RealMedia

_UNIVERSAL_LABEL = bytes.fromhex("060e2b34")
"""The first bytes of the keys in MXF (SMPTE ST 336)."""
_ESSENCE = bytes.fromhex("0d010301")
_PARTITION, _FOOTER = bytes.fromhex("0d01020101"), 4
"""Parts of keys: of pictures, sound and their data, and of the head of a partition."""
_FOOTER_PLACE = 24
"""Position, in a partition's head, of the position of the last partition; 0 there if it was not written
(ST 377-1)."""
_LARGEST_RUN_IN = 1 << 16
_REAL_SLACK = 18
"""Bytes of heads that some programs count twice in RealMedia."""
_GXF_HEADS = 32
"""Bytes between a media packet's beginning, which FFmpeg reports as its position, and its data (SMPTE ST
360)."""


def _is_mxf_cut_off(file: BinaryIO, size: int, last: int) -> bool:
    """Whether the file ends inside pictures or sound, or before some: what follows them is only an index.

    Its head has the place of the end, if the recording was finished. All pictures may be one piece; then no
    piece begins at the last one.
    """
    file.seek(0)
    head = file.read(_LARGEST_RUN_IN)
    begin = head.find(_PARTITION)
    pack = begin - 8 if begin >= 8 else 0
    contents = pack + 17 + (head[pack + 16] & 127 if head[pack + 16] >= 128 else 0)
    if (end := int.from_bytes(head[contents + _FOOTER_PLACE :][:8])) > 0 and begin >= 8:
        return pack + end >= size or is_blank(file, pack + end - structure.BLANK)
    at = 0 if _behind_klv(file, last) is None else last
    while at < size:
        file.seek(at)
        key = file.read(16)
        follows = _behind_klv(file, at)
        if follows is None:
            return is_blank(file, at)
        if follows > size:
            return key[8:12] == _ESSENCE or (key[8:13] == _PARTITION and key[13] < _FOOTER)
        at = follows
    return False


def _behind_klv(file: BinaryIO, at: int) -> int | None:
    file.seek(at)
    head = file.read(25)
    if len(head) < 17 or not head.startswith(_UNIVERSAL_LABEL):
        return None
    if head[16] < 128:
        return at + 17 + head[16]
    count = head[16] & 127
    return at + 17 + count + int.from_bytes(head[17:][:count]) if count <= 8 else None


def _behind_gxf(file: BinaryIO, at: int) -> int | None:
    file.seek(at)
    head = file.read(16)
    whole = len(head) == 16 and head[:5] == b"\0\0\0\0\1" and head[14:] == b"\xe1\xe2"
    return at + int.from_bytes(head[6:10]) if whole else None


def _is_real_cut_off(file: BinaryIO, size: int) -> bool:
    """Whether a chunk before the index is longer than the file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:])
        if length < 8 or head[:4] == b"INDX":
            return False
        if at + length > size + _REAL_SLACK or (
            head[:4] == b"DATA" and is_blank(file, at + length - structure.BLANK)
        ):
            return True
        at += length
    return False


# ------------------------------------------------------------------------------ chains and raw video

_GIF_TABLE = 0x80


def _behind_ivf(file: BinaryIO, at: int) -> int | None:
    file.seek(at)
    head = file.read(12)
    return at + 12 + int.from_bytes(head[:4], "little") if len(head) == 12 and any(head) else None


def _behind_obu(file: BinaryIO, at: int) -> int | None:
    """AV1: a unit with its size (AV1 specification, 5.3)."""
    file.seek(at)
    head = file.read(10)
    begin = 1 + (head[0] >> 2 & 1)
    if head[0] & 0x83 != 2:
        return None
    size, shift = 0, 0
    for count, byte in enumerate(head[begin:], 1):
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return at + begin + count + size
    return None


def _behind_gif(file: BinaryIO, at: int) -> int | None:
    """The header, or a block with its chain of parts (GIF89a, 12–27). The end mark is the end of all."""
    file.seek(at)
    head = file.read(13)
    if head.startswith(b"GIF8"):
        return at + 13 + _gif_table(head[10])
    if head.startswith(b"!"):
        at += 2
    elif head.startswith(b",") and len(head) >= 10:
        at += 11 + _gif_table(head[9])
    else:
        return None
    while True:
        file.seek(at)
        size = file.read(1)
        at += 1 + (size[0] if size else 255)
        if not size or not size[0]:
            return at


def _gif_table(flags: int) -> int:
    """Bytes of the table of colours that `flags` announce."""
    return 3 << (flags & 7) + 1 if flags & _GIF_TABLE else 0


def _is_jpeg_cut_off(file: BinaryIO, about: int) -> bool:
    """Motion JPEG: whether the last picture has no end mark. `about` is near its beginning."""
    file.seek(max(0, about - _PIECE))
    data = file.read()
    return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xd8\xff")


_CHAINS: dict[str, tuple[int | None, Step]] = {
    "mpeg": (None, behind_pes),
    "ogg": (None, _behind_page),
    "ivf": (None, _behind_ivf),
    "obu": (None, _behind_obu),
    "gif": (0, _behind_gif),
}
"""Formats that are chains of pieces: where one begins (None: at the last packet), and where it ends."""
