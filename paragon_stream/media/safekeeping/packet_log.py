"""The encoder's packets: the facts of all, and their bytes until they are certainly in the file.

`index` has a record for every packet, in coding order. `packets-N` hold the bytes from packet N on, a few
megabytes each. A file whose packets are all in the container is removed (see `forget`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from paragon_stream.media.safekeeping.records import RecordFile, keep_records, read_records

_FORM = struct.Struct("<qqqI?")
_SERIAL = struct.Struct("<Q")
_NO_TIME = -(2**63)
_SEGMENT_BYTES = 16 << 20
_PREFIX = "packets-"
_INDEX = "index"
PACKET_FILES = (_INDEX, f"{_PREFIX}*")
"""Patterns of the names of a log's files."""


class PacketFacts(NamedTuple):
    """One packet's times, in the output's ticks, and its size, bytes."""

    pts: int
    dts: int | None
    duration: int
    size: int
    is_key: bool

    def packed(self) -> bytes:
        dts = _NO_TIME if self.dts is None else self.dts
        return _FORM.pack(self.pts, dts, self.duration, self.size, self.is_key)

    @classmethod
    def unpacked(cls, data: bytes) -> PacketFacts:
        pts, dts, duration, size, is_key = _FORM.unpack(data)
        return cls(pts, None if dts == _NO_TIME else dts, duration, size, is_key)


class PacketLog:
    """The log in `folder`. One thread appends; `forget` may be called from another. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        """Read what an earlier run wrote: `facts` of its packets."""
        self._folder = folder
        self._index_path = folder / _INDEX
        self.facts: list[PacketFacts] = []
        """Facts of the packets of an earlier run."""
        self._ends = [0]
        for end, body in read_records(self._index_path):
            if len(body) != _FORM.size:
                break
            self.facts.append(PacketFacts.unpacked(body))
            self._ends.append(end)
        self._index: RecordFile | None = None
        self._segment: RecordFile | None = None
        self._written: list[Path] = []
        self.count = 0
        """Number of packets in the index."""

    @property
    def first(self) -> int:
        """The number of the first packet whose bytes are here; `count` if there is none."""
        return min(self._segments(), default=self.count)

    def whole(self) -> int:
        """Number of packets of the earlier run that are here or, before `first`, in the container."""
        segments = self._segments()
        here = min(segments, default=len(self.facts))
        for serial, _, _ in self._bytes(segments):
            if serial != here:
                break
            here += 1
        return min(here, len(self.facts))

    def begin(self, kept: int) -> None:
        """Continue after the first `kept` packets, whose bytes are here or in the container."""
        self.close()
        for start, path in self._segments().items():
            if start >= kept:
                path.unlink()
                continue
            last = 0
            for end, body in read_records(path):
                if _SERIAL.unpack_from(body)[0] >= kept:
                    break
                last = end
            keep_records(path, last)
        keep_records(self._index_path, self._ends[kept])
        del self.facts[kept:]
        self._index = RecordFile(self._index_path)
        self.count = kept

    def append(self, facts: PacketFacts, data: bytes | memoryview) -> None:
        assert self._index is not None, "begun"
        if self._segment is None or self._segment.size > _SEGMENT_BYTES:
            if self._segment is not None:
                self._segment.close()
            self._segment = RecordFile(self._folder / f"{_PREFIX}{self.count:010}")
            self._written.append(self._segment.path)
        # The bytes first: a packet in the index is always complete.
        self._segment.append(_SERIAL.pack(self.count), data)
        self._index.append(facts.packed())
        self.count += 1

    def bytes_from(self, first: int) -> Iterator[tuple[int, bytes]]:
        """The packets of the earlier run from the number `first` on, each with its number."""
        for serial, _, body in self._bytes(self._segments()):
            if first <= serial < len(self.facts):
                yield serial, body[_SERIAL.size :]

    def forget(self, before: int) -> None:
        """Remove files that hold no packet from the number `before` on."""
        starts = sorted(self._segments().items())
        for (_, path), (after, _) in pairwise(starts):
            if after <= before:
                path.unlink(missing_ok=True)

    def unsynced(self) -> list[Path]:
        """Files that have been written to since the last call, and the one that is being written to."""
        written = list(self._written)
        del self._written[: max(0, len(written) - 1)]
        return [self._index_path, *written]

    def close(self) -> None:
        for file in (self._index, self._segment):
            if file is not None:
                file.close()
        self._index = self._segment = None

    def _bytes(self, segments: dict[int, Path]) -> Iterator[tuple[int, int, bytes]]:
        for _, path in sorted(segments.items()):
            for end, body in read_records(path):
                yield _SERIAL.unpack_from(body)[0], end, body

    def _segments(self) -> dict[int, Path]:
        """The files with bytes, by the number of their first packet."""
        return {int(path.name.removeprefix(_PREFIX)): path for path in self._folder.glob(f"{_PREFIX}*")}
