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
_PICTURE_BEGINS = 0x40
"""Flag of the packet with which a picture (a PES packet) begins."""
_LONG_RUN, _MOSTLY = 8, 0.9
"""Pictures of one PID in a row, and the fraction of pictures in such runs, that show that two PIDs take
turns. Pictures of two programmes alternate."""


def replacing(file: BinaryIO, size: int, main: int, others: Sequence[int]) -> list[int]:
    """The PIDs of `others` whose pictures come where those of the PID `main` are missing.

    Samples of the open transport stream of `size` bytes are examined.
    """
    packets = _sampled(file, size)
    pids, begins = _pids(packets), (packets[:, 1] & _PICTURE_BEGINS) > 0
    ours = pids == main
    return [
        other
        for other in others
        if _replaces(pids == other, ours) or _takes_turns((pids == other) & begins, ours & begins)
    ]


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


def _takes_turns(other: NDArray[np.bool_], main: NDArray[np.bool_]) -> bool:
    """Whether nearly all pictures of both, given by their first packets, are in long runs: the picture moves
    to and fro."""
    is_other = other[other | main]
    ends = np.flatnonzero(np.diff(is_other)) + 1
    lengths = np.diff(np.concatenate([[0], ends, [is_other.size]]))
    in_long_run = np.repeat(lengths >= _LONG_RUN, lengths)
    return ends.size > 0 and all(in_long_run[is_other == kind].mean() > _MOSTLY for kind in (False, True))


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
