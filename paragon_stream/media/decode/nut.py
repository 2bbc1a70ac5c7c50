"""The pieces of a NUT file: frames, whose heads are coded by a table in the file's header, and packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

MAIN = bytes.fromhex("4e4d7a561f5f04ad")
SYNCPOINT = bytes.fromhex("4e4be4adeeca4569")
"""Start codes of packets (NUT specification, "Definitions")."""
_AFTER_FRAMES = (bytes.fromhex("4e58dd672f23e64e"), bytes.fromhex("4e49ab68b596ba78"))
"""An index, and facts: files end with them."""
_FILE = b"nut/multimedia container\0"
_PACKET = ord("N")
_CHECKED_FROM = 4096
"""Longer packets have a checksum of their head; longer frames have no part in the header."""
_CODED_PTS, _STREAM, _SIZE, _CHECKSUM, _RESERVED = 8, 16, 32, 64, 128
_HEADER, _TIME, _CODED, _INVALID = 1024, 2048, 4096, 8192
_LARGEST_HEADER = 1 << 20
_LARGEST_FRAME = 64 << 20


class _Numbers:
    """Numbers of 7 bits a byte (`v` and `s` of the specification)."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def next(self) -> int:
        """Raises IndexError behind the end of the data."""
        value = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value = value << 7 | byte & 127
            if byte < 128:
                return value


@dataclass(frozen=True)
class _Code:
    """The meaning of a frame's first byte."""

    flags: int
    factor: int
    size: int
    reserved: int
    header: int


class NutFile:
    """The chain of pieces of an open NUT file. Raises IndexError if its header is not complete."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        data = file.read(_LARGEST_HEADER)
        numbers = _Numbers(data, data.find(MAIN) + len(MAIN))
        end = numbers.next()
        numbers.at += 4 if end > _CHECKED_FROM else 0
        end += numbers.at
        if numbers.next() > 3:  # the version
            numbers.next()
        for _ in range(2):
            numbers.next()
        for _ in range(2 * numbers.next()):
            numbers.next()
        self._codes: list[_Code | None] = []
        self._read_codes(numbers)
        self._headers = [0]
        """Lengths of the parts of frames that are in the header."""
        if numbers.at + 4 < end:
            for _ in range(numbers.next()):
                length = numbers.next()
                self._headers.append(length)
                numbers.at += length

    def _read_codes(self, numbers: _Numbers) -> None:
        factor, header = 1, 0
        while len(self._codes) < 256:
            flags, fields = numbers.next(), numbers.next()
            values = [numbers.next() for _ in range(fields)]
            factor = values[1] if fields > 1 else factor
            size = values[3] if fields > 3 else 0
            reserved = values[4] if fields > 4 else 0
            count = values[5] if fields > 5 else factor - size
            header = values[7] if fields > 7 else header
            if count <= 0:
                raise IndexError("a table of codes without end")
            for number in range(count):
                if len(self._codes) == _PACKET:
                    self._codes.append(None)
                valid = not flags & _INVALID
                self._codes.append(_Code(flags, factor, size + number, reserved, header) if valid else None)

    def behind(self, file: BinaryIO, at: int) -> int | None:
        """The end of the piece at `at`; None if no piece begins there, or if its head is not complete."""
        file.seek(at)
        head = file.read(64)
        try:
            if head[:1] == b"N":
                numbers = _Numbers(head, 8)
                length = numbers.next()
                return at + numbers.at + (4 if length > _CHECKED_FROM else 0) + length
            return self._behind_frame(head, at)
        except IndexError:
            return None

    def _behind_frame(self, head: bytes, at: int) -> int | None:
        code = self._codes[head[0]]
        if code is None:
            return None
        numbers = _Numbers(head, 1)
        flags = code.flags
        if flags & _CODED:
            flags ^= numbers.next()
        for flag in (_STREAM, _CODED_PTS):
            if flags & flag:
                numbers.next()
        size = code.size + (code.factor * numbers.next() if flags & _SIZE else 0)
        if flags & _TIME:
            numbers.next()
        header = numbers.next() if flags & _HEADER else code.header
        for _ in range(numbers.next() if flags & _RESERVED else code.reserved):
            numbers.next()
        size -= self._headers[header if size <= _CHECKED_FROM else 0]
        return at + numbers.at + (4 if flags & _CHECKSUM else 0) + size


def is_cut_off(file: BinaryIO, size: int, last: int) -> bool:
    """Whether a file of `size` bytes ends inside a frame, or before one.

    `last` is the position of the last packet. An index that is missing is no loss. Raises
    IndexError for a header that is not complete.
    """
    nut = NutFile(file)
    at = _syncpoint_before(file, last)
    while 0 <= at < size:
        follows = nut.behind(file, at)
        file.seek(at)
        head = file.read(len(_FILE))
        if head == _FILE or head.startswith(_AFTER_FRAMES):
            return False
        if follows is None:
            return size - at < len(head) or not any(head)
        if follows > size:
            return True
        at = follows
    return False


def _syncpoint_before(file: BinaryIO, last: int) -> int:
    """The position of the last syncpoint before `last`; -1 without one."""
    reach = 1 << 17
    while True:
        begin = max(0, last - reach)
        file.seek(begin)
        place = file.read(last - begin).rfind(SYNCPOINT)
        if place >= 0:
            return begin + place
        if begin == 0 or reach >= _LARGEST_FRAME:
            return -1
        reach *= 8
