"""Computed frames that the encoder still holds: one file of raw planes each, until their packets are
written."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from paragon_stream.media.ffmpeg.planes import Plane

_HEAD = struct.Struct("<qqI")
_PREFIX = "frame-"
SPOOL_FILES = (f"{_PREFIX}*",)
"""Patterns of their names."""


class FrameSpool:
    """The frames in `folder`. Raises OSError from `put`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._there = {int(path.name.removeprefix(_PREFIX)) for path in folder.glob(f"{_PREFIX}*")}
        self._written: list[Path] = []

    def __contains__(self, number: int) -> bool:
        return number in self._there

    def put(self, number: int, time: Fraction, planes: Sequence[Plane]) -> None:
        """Keep the frame `number`, shown at `time` (seconds of the source's stamps)."""
        checksum = 0
        for plane in planes:
            checksum = zlib.crc32(plane.data.cast("B"), checksum)
        with self._path(number).open("wb", buffering=0) as file:
            # Before writing: a file that does not fit on the disk must be removed too.
            self._there.add(number)
            for data in (_HEAD.pack(time.numerator, time.denominator, checksum), *planes):
                left = memoryview(data).cast("B")
                while left:
                    left = left[file.write(left) :]
        self._written.append(self._path(number))

    def take(self, number: int, time: Fraction, planes: Sequence[Plane]) -> bool:
        """Fill `planes` with the frame `number`, if it is complete and shown at `time`."""
        if number not in self._there:
            return False
        try:
            data = self._path(number).read_bytes()
        except OSError:
            return False
        body = memoryview(data)[_HEAD.size :]
        if len(data) < _HEAD.size or len(body) != sum(plane.nbytes for plane in planes):
            return False
        above, below, checksum = _HEAD.unpack_from(data)
        if (above, below) != (time.numerator, time.denominator) or zlib.crc32(body) != checksum:
            return False
        for plane in planes:
            np.copyto(plane, np.frombuffer(body[: plane.nbytes], plane.dtype).reshape(plane.shape))
            body = body[plane.nbytes :]
        return True

    def forget(self, before: int) -> None:
        """Remove the frames before the number `before`."""
        for number in [each for each in self._there if each < before]:
            self._path(number).unlink(missing_ok=True)
            self._there.discard(number)

    def unsynced(self) -> list[Path]:
        """Files that have been written since the last call."""
        written, self._written = self._written, []
        return written

    def _path(self, number: int) -> Path:
        return self._folder / f"{_PREFIX}{number:010}"
