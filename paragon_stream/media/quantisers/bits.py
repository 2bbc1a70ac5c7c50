"""Bits of a header, most significant first."""

from __future__ import annotations


class HeaderError(Exception):
    """A header that is cut off or invalid; never raised out of `quantisers`."""


class BitReader:
    """Reads numbers from `data`. Raises HeaderError at its end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def bits(self, count: int) -> int:
        """An unsigned number of `count` bits: u(n) and f(n) of the standards."""
        self._left -= count
        if self._left < 0:
            raise HeaderError("the header is cut off")
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        return self.bits(1) == 1

    def skip(self, count: int) -> None:
        self.bits(count)

    def unsigned(self) -> int:
        """Exponential Golomb: ue(v) (H.265, 9.2)."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:
                raise HeaderError("the number is too long")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """Signed exponential Golomb: se(v)."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def below(self, limit: int) -> int:
        """A number less than `limit`, in as few bits as it takes: ns(n) (AV1, 4.10.7)."""
        width = limit.bit_length()
        short = (1 << width) - limit
        value = self.bits(width - 1)
        return value if value < short else (value << 1) - short + self.bits(1)
