"""An append-only file of records. Each record is preceded by its length and its CRC-32, so the records before
the first damaged one are valid after a crash of the process or the machine.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_HEAD = struct.Struct("<II")


class RecordFile:
    """Appends to the file `path`, which it makes if it is not there. Not thread-safe; raises OSError.

    Every record is written to the operating system at once, so it survives the process. The journal's `sync`
    writes it to the disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self.size = self._file.tell()

    def append(self, *pieces: bytes | memoryview) -> None:
        """Write one record, the bytes of `pieces`."""
        checksum = 0
        for piece in pieces:
            checksum = zlib.crc32(piece, checksum)
        head = _HEAD.pack(sum(map(len, pieces)), checksum)
        for data in (head + bytes(pieces[0]), *pieces[1:]):
            left = memoryview(data)
            self.size += len(left)
            while left:
                left = left[self._file.write(left) :]

    def close(self) -> None:
        """Never raises: a loss in a network folder is found by `sync`, or by the checksum when it is read."""
        with contextlib.suppress(OSError):
            self._file.close()


def read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every valid record with the position of its end, bytes. A missing file has none."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        left = os.fstat(file.fileno()).st_size
        end = 0
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            if length > left:
                return
            body = file.read(length)
            if len(body) != length or zlib.crc32(body) != checksum or not body:
                return
            end += _HEAD.size + length
            yield end, body


def keep_records(path: Path, end: int) -> None:
    """Truncate the file after the record that ends at `end`. Raises OSError."""
    if path.exists() and path.stat().st_size > end:
        with path.open("rb+") as file:
            file.truncate(end)
