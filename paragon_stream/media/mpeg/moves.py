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

from paragon_stream.media.mpeg.transport import PIECE, packets_of, pids_of

_HEAD = 4
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
    pids, begins = pids_of(packets), (packets[:, 1] & _PICTURE_BEGINS) > 0
    ours = pids == main
    return [
        other
        for other in others
        if _replaces(pids == other, ours) or _takes_turns((pids == other) & begins, ours & begins)
    ]


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
    count = -(-size // PIECE)
    pieces = list(range(count))
    if count > _WHOLE:
        middle = np.linspace(_ENDS, count - _ENDS - 1, _WHOLE - 2 * _ENDS).astype(int).tolist()
        pieces = [*range(_ENDS), *middle, *range(count - _ENDS, count)]
    heads = [packets[:, :_HEAD] for packets in packets_of(file, pieces)]
    return np.concatenate([np.empty((0, _HEAD), np.uint8), *heads])
