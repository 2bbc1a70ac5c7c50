"""Places where a container's own structure is broken, which FFmpeg's demuxers pass over without a word.

Matroska, AVI and FLV are chains of pieces, each with its size. Where the chain breaks off and goes on later,
something is lost. A gap in time alone says nothing: recordings and slide shows have such gaps.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from paragon_stream.media.facts.opened import opened_bytes
from paragon_stream.media.matroska import structure

type Step = Callable[[BinaryIO, int], int | None]
"""Where the piece at a position ends; None if there is none."""

_CHUNK = re.compile(rb"\d\d(?:d[cbd]|wb|tx|pc|sb|iv)|\d\dix|ix\d\d|JUNK|idx1")
"""Identifiers of chunks in AVI's list of packets (AVI RIFF File Reference, OpenDML)."""
_TAG = re.compile(rb"[\x08\x09\x12](?s:.{7})\0\0\0")
"""A tag's header in FLV: sound, video or data, size, time, stream 0 (Adobe FLV specification 10.1, E.4.1)."""
_AVI_HEAD = 8
"""Bytes before a chunk's contents, which FFmpeg gives as the position of a packet."""
_LISTS = (b"RIFF", b"LIST")
_PIECE = 1 << 20


def count_breaks(path: Path, demuxer: str, first: int, last: int) -> int:
    """How many breaks there are between the positions of two packets of the file at `path`.

    `demuxer` is FFmpeg's name of the format; 0 for those of other kinds, and where the file cannot be read.
    """
    try:
        with opened_bytes(path) as (file, size):
            if "matroska" in demuxer:
                return structure.count_breaks(file, size, first, last)
            if demuxer == "avi":
                return _count(file, size, first - _AVI_HEAD, last, _behind_chunk, _CHUNK)
            if demuxer == "flv":
                return _count(file, size, first, last, _behind_tag, _TAG)
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


def _behind_chunk(file: BinaryIO, at: int) -> int | None:
    """AVI: chunks begin at even positions, but not all programs that write them know it."""
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


def _behind_tag(file: BinaryIO, at: int) -> int | None:
    """FLV: a tag, then four bytes that repeat its size, and that not all programs write rightly."""
    file.seek(at)
    head = file.read(11)
    return at + 15 + int.from_bytes(head[1:4]) if _TAG.match(head) else None
