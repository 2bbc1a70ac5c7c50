"""Packets of a transport stream (ISO/IEC 13818-1, 2.4.3), read from pieces of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

PACKET = 188
PIECE = 1 << 20
"""Bytes of a piece."""
_LENGTHS = (188, 192, 204)
"""Bytes from packet to packet: plain, with times (Blu-ray), with error correction."""
_SYNC = 0x47
_IN_A_ROW = 16


def packets_of(file: BinaryIO, pieces: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
    """The packets of each of the numbered pieces, arrays of (packets, 188); those of damaged places are
    missing."""
    for piece in pieces:
        file.seek(piece * PIECE)
        yield _aligned(np.frombuffer(file.read(PIECE + 2 * max(_LENGTHS)), np.uint8))


def pids_of(packets: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The packet identifier of each packet."""
    return (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]


def _aligned(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The whole packets in a piece of a file."""
    for length in _LENGTHS:
        for begin in np.flatnonzero(data[:length] == _SYNC).tolist():
            if np.all(data[begin : begin + _IN_A_ROW * length : length] == _SYNC):
                starts = np.arange(begin, data.size - PACKET + 1, length)
                starts = starts[data[starts] == _SYNC]
                packets: NDArray[np.uint8] = data[starts[:, None] + np.arange(PACKET)]
                return packets
    return np.empty((0, PACKET), np.uint8)
