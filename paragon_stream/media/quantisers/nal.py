"""NAL units: how H.265's packets are cut into headers and slices (H.265, 7.3.1 and annex B)."""

from __future__ import annotations

from collections.abc import Iterator

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


def payload(unit: bytes, *, header: int, limit: int | None = None) -> bytes:
    """What a NAL unit holds behind `header` bytes, without emulation prevention; of `limit` bytes at most."""
    return unit[header : None if limit is None else header + limit].replace(b"\0\0\3", b"\0\0")
