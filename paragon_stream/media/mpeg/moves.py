"""Pictures that move to another PID in the middle of a transport stream.

Joined recordings and new program maps (ISO/IEC 13818-1, 2.4.4.9) do that. FFmpeg gives the new PID a stream
of its own. (With its option `merge_pmt_versions` it continues the old one, but the last packet of the old PID
then comes at the end of the file.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_PACKET, _HEAD = 188, 4
_LENGTHS = (188, 192, 204)
"""Bytes from packet to packet: plain, with times (Blu-ray), with error correction."""
_SYNC = 0x47
_IN_A_ROW = 16
_PIECE = 1 << 20
_WHOLE = 40
"""Pieces of a file that are all read; of longer files as many are read, evenly distributed."""
_ENDS = 8
"""Pieces at both ends of a longer file that are read without gaps."""
_RARE = 0.1
"""A stream counts as missing where its share of the packets is less than this fraction of its share
elsewhere."""


def replacing(file: BinaryIO, size: int, main: int, others: Sequence[int]) -> list[int]:
    """The PIDs of `others` that have packets only where packets of the PID `main` are missing.

    Samples of the open transport stream of `size` bytes are examined.
    """
    pids = _pids(_sampled(file, size))
    return [other for other in others if _replaces(pids == other, pids == main)]


def _pids(packets: NDArray[np.uint8]) -> NDArray[np.int32]:
    return (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]


def _replaces(other: NDArray[np.bool_], main: NDArray[np.bool_]) -> bool:
    """Whether packets of `main` are missing between the first and the last packet of `other`."""
    positions = np.flatnonzero(other)
    if not positions.size:
        return False
    inside = main[positions[0] : positions[-1] + 1]
    outside = main.size - inside.size
    return outside > 0 and bool(inside.mean() < _RARE * (main.sum() - inside.sum()) / outside)


def _sampled(file: BinaryIO, size: int) -> NDArray[np.uint8]:
    """The heads of packets of a file, an array of (packets, 4); those of damaged places are missing."""
    count = -(-size // _PIECE)
    pieces = list(range(count))
    if count > _WHOLE:
        middle = np.linspace(_ENDS, count - _ENDS - 1, _WHOLE - 2 * _ENDS).astype(int).tolist()
        pieces = [*range(_ENDS), *middle, *range(count - _ENDS, count)]
    found = []
    for piece in pieces:
        file.seek(piece * _PIECE)
        found.append(_aligned(np.frombuffer(file.read(_PIECE + 2 * max(_LENGTHS)), np.uint8)))
    return np.concatenate([np.empty((0, _HEAD), np.uint8), *found])


def _aligned(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The whole packets in a piece of a file."""
    for length in _LENGTHS:
        for begin in np.flatnonzero(data[:length] == _SYNC).tolist():
            if np.all(data[begin : begin + _IN_A_ROW * length : length] == _SYNC):
                starts = np.arange(begin, data.size - _PACKET + 1, length)
                starts = starts[data[starts] == _SYNC]
                heads: NDArray[np.uint8] = data[starts[:, None] + np.arange(_HEAD)]
                return heads
    return np.empty((0, _HEAD), np.uint8)
