"""NAL units: how packets of H.264 and H.265 are cut into headers and slices (7.3.1 and annex B of either)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from paragon_stream.media.quantisers.bits import BitReader, HeaderError

_START = b"\0\0\1"


def units(packet: bytes, length_size: int) -> Iterator[bytes]:
    """The NAL units of a packet: behind lengths of `length_size` bytes, or (0) behind start codes."""
    if length_size:
        at = 0
        while at + length_size < len(packet):
            size = int.from_bytes(packet[at : at + length_size])
            at += length_size
            yield packet[at : at + size]
            at += size
        return
    at = packet.find(_START)
    while at >= 0:
        end = packet.find(_START, at + 3)
        yield packet[at + 3 : end if end >= 0 else len(packet)]
        at = end


def sized_units(data: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """`count` NAL units from `at` on, each behind two bytes of length, as containers' headers hold them; and
    where they end (ISO/IEC 14496-15)."""
    found = []
    for _ in range(count):
        size = int.from_bytes(data[at : at + 2])
        found.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return found, at


def payload(unit: bytes, *, header: int, limit: int | None = None) -> bytes:
    """The content of a NAL unit after `header` bytes, without emulation prevention; at most `limit` bytes of
    it are read."""
    return unit[header : None if limit is None else header + limit].replace(b"\0\0\3", b"\0\0")


class ParameterSets[S, P]:
    """The sequence and picture parameter sets seen so far, by their numbers.

    `header` is the bytes before a unit's payload; `sequence` and `picture` are the kinds of unit, each with
    what reads one and gives its number.
    """

    def __init__(
        self,
        *,
        header: int,
        sequence: tuple[int, Callable[[BitReader], tuple[int, S]]],
        picture: tuple[int, Callable[[BitReader], tuple[int, P]]],
    ) -> None:
        self._header = header
        self._sequence, self._read_sequence = sequence
        self._picture, self._read_picture = picture
        self.sequences: dict[int, S] = {}
        self.pictures: dict[int, P] = {}

    def take(self, kind: int, unit: bytes) -> None:
        """Keep `unit` if it is a parameter set; damaged ones and other units are ignored."""
        try:
            if kind == self._sequence:
                number, sequence = self._read_sequence(BitReader(payload(unit, header=self._header)))
                self.sequences[number] = sequence
            elif kind == self._picture:
                number, picture = self._read_picture(BitReader(payload(unit, header=self._header)))
                self.pictures[number] = picture
        except (HeaderError, IndexError):
            return
