"""Uncompressed sound in pieces that depend on its samples only.

Muxers and demuxers divide PCM into packets as they like: a packet of MXF becomes two of MOV. Pieces whose
ends depend on the samples alone are the same in all containers, also if a part was cut out. (The method is
known as content-defined chunking.)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_FACTOR = np.uint32(0x9E3779B1)
"""Knuth's multiplicative hash: 2³² divided by the golden ratio."""
_BITS = np.uint32(22)
"""A piece ends where the upper 10 bits of the hash have one value: every 1024 samples on average. It is not
the value of silence, which has no place of its own."""
_WINDOW = 3
"""Samples of all channels that decide whether a piece ends."""
_LONGEST = 8192
"""Samples of all channels in the longest piece: silence has no other ends."""
_HASHED_BYTES = 4
"""Bytes of each sample of all channels that are looked at."""


class SoundPieces:
    """Divides one stream of PCM. `block`: bytes of one sample of all channels; `rate`: samples per second."""

    def __init__(self, block: int, rate: int) -> None:
        self._block = block
        self._rate = rate
        self._rest = b""
        self._begin: float | None = None

    def add(self, data: bytes, seconds: float | None) -> Iterator[tuple[bytes, float | None]]:
        """The pieces that `data` completes, each with its time; `seconds` is the time of `data`."""
        if not self._rest:
            self._begin = seconds
        before = len(self._rest)
        whole = self._rest + data
        begin = 0
        for end in self._ends(whole):
            yield whole[begin:end], self._begin
            begin = end
            offset = (end - before) / (self._block * self._rate)
            self._begin = None if seconds is None else seconds + offset
        self._rest = whole[begin:]

    def rest(self) -> Iterator[tuple[bytes, float | None]]:
        """The last piece."""
        if self._rest:
            yield self._rest, self._begin
        self._rest = b""

    def _ends(self, data: bytes) -> Iterator[int]:
        """The positions in `data`, in bytes, at which pieces end."""
        count = len(data) // self._block
        blocks = np.frombuffer(data, np.uint8, count * self._block).reshape(count, self._block)
        value = np.zeros(count, np.uint32)
        for column in range(min(self._block, _HASHED_BYTES)):
            value = (value << np.uint32(8)) | blocks[:, column]
        mixed = value.copy()
        for back in range(1, _WINDOW):
            mixed[back:] += value[:-back] * np.uint32(31**back)
        marks = np.flatnonzero((mixed * _FACTOR) >> _BITS == 1) + 1
        begin = 0
        for mark in (*marks.tolist(), count):
            while mark - begin > _LONGEST:
                begin += _LONGEST
                yield begin * self._block
            if mark < count and mark - begin >= _WINDOW:
                begin = mark
                yield begin * self._block
