"""The programmes of a transport stream, and their names.

FFmpeg reads them, but PyAV does not show them. A programme association table lists the programmes; each has
a map with its streams (ISO/IEC 13818-1, 2.4.4). Broadcasters name programmes in a service description table
(ETSI EN 300 468, 5.2.3).
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragon_stream.media.checksum import crc32_high_first
from paragon_stream.media.mpeg.transport import PACKET, PIECE, packets_of, pids_of

_ASSOCIATION, _SERVICES = 0x00, 0x11
"""The PIDs of the tables."""
_IS_ASSOCIATION, _IS_MAP, _IS_SERVICES = 0x00, 0x02, 0x42
"""The first byte of a section of each table."""
_SERVICE = 0x48
"""The tag of the descriptor with names."""
SEARCHED = 16 << 20
"""Tables are repeated at least every half second, names every two seconds."""
_UNNAMED = frozenset({"Service01", "FFmpeg"})
"""FFmpeg writes these names if there are none."""
_CHARSETS = {
    **{n: f"iso8859-{n + 4}" for n in range(1, 12)},
    0x11: "utf-16-be",
    0x12: "euc_kr",
    0x13: "gb2312",
    0x14: "big5",
    0x15: "utf-8",
}
"""The first byte of a text → its encoding (EN 300 468, table A.3)."""
_ABOVE = b"\x00\x01\x02\x03\x04\x06\x07\x08\x08\x0a\x27\x32\x0b\x28\x0c"
_MARKS = {0xC1 + n: chr(0x300 + mark) for n, mark in enumerate(_ABOVE)}
"""The accents of ISO/IEC 6937, which stand before their letters, as combining characters."""
_LETTERS = dict(zip(b"\xe1\xe2\xe8\xe9\xea\xf1\xf2\xf5\xf8\xf9\xfa\xfb", "ÆĐŁØŒæđıłøœß", strict=True))
"""Letters of ISO/IEC 6937 that ISO 8859-1 has elsewhere or not at all."""


@dataclass(frozen=True, kw_only=True)
class Programme:
    """One programme. `streams` are the indices of its streams; names are "" if there are none."""

    number: int
    streams: frozenset[int]
    name: str = ""
    provider: str = ""

    def __str__(self) -> str:
        return f"{self.number} {self.name}".rstrip()

    @property
    def tags(self) -> dict[str, str]:
        """Its names as tags of a file, under the names that FFmpeg's muxer reads."""
        names = {"service_name": self.name, "service_provider": self.provider}
        return {key: value for key, value in names.items() if value}


def read_programmes(beginning: bytes, streams: Sequence[tuple[int, int]]) -> tuple[Programme, ...]:
    """The programmes in the `SEARCHED` bytes of the beginning of a transport stream that have some of
    `streams`, pairs of PID and index."""
    pieces = range(-(-len(beginning) // PIECE))
    packets = np.concatenate([np.empty((0, PACKET), np.uint8), *packets_of(io.BytesIO(beginning), pieces)])
    pids = pids_of(packets)
    maps: dict[int, int] = {}
    for section in _sections(packets[pids == _ASSOCIATION], _IS_ASSOCIATION):
        for at in range(8, len(section) - 3, 4):
            maps[_number(section, at)] = _pid(section, at + 2)
    maps.pop(0, None)  # the network's table
    names = dict(_names(packets[pids == _SERVICES]))
    found = []
    for number, pid in sorted(maps.items()):
        own = set(_mapped(packets[pids == pid], number))
        if indices := frozenset(index for of, index in streams if of in own):
            name, provider = names.get(number, ("", ""))
            found.append(Programme(number=number, streams=indices, name=name, provider=provider))
    return tuple(found)


def _mapped(packets: NDArray[np.uint8], programme: int) -> Iterator[int]:
    """The PIDs in the maps of a programme, of all versions."""
    for section in _sections(packets, _IS_MAP):
        if _number(section, 3) == programme and len(section) > 12:
            at = 12 + _length(section, 10)
            while at + 5 <= len(section):
                yield _pid(section, at + 1)
                at += 5 + _length(section, at + 3)


def _names(packets: NDArray[np.uint8]) -> Iterator[tuple[int, tuple[str, str]]]:
    """The name and the provider of each programme, by its number."""
    for section in _sections(packets, _IS_SERVICES):
        at = 11
        while at + 5 <= len(section):
            number, end = _number(section, at), at + 5 + _length(section, at + 3)
            at += 5
            while at + 2 <= min(end, len(section)):
                tag, body = section[at], section[at + 2 : at + 2 + section[at + 1]]
                if tag == _SERVICE and len(body) > 2:
                    provider, rest = body[2 : 2 + body[1]], body[2 + body[1] :]
                    name = service_text(rest[1 : 1 + rest[0]]) if rest else ""
                    yield number, (name, service_text(provider))
                at += 2 + section[at + 1]
            at = end


def service_text(data: bytes) -> str:
    """A text of EN 300 468, annex A; "" for a name that FFmpeg's muxer has made up."""
    if not data or data[0] >= 0x20:
        letters = data.decode("iso8859-1").translate(_LETTERS)
        letters = re.sub("([\xc1-\xcf])([A-Za-z])", lambda pair: pair[2] + _MARKS[ord(pair[1])], letters)
        text = unicodedata.normalize("NFC", letters)
    elif data[0] == 0x10 and len(data) > 3:
        text = _decoded(data[3:], f"iso8859-{data[2]}")
    else:
        text = _decoded(data[1:], _CHARSETS.get(data[0], "ascii"))
    text = "".join(character for character in text if character.isprintable()).strip()
    return "" if text in _UNNAMED else text


def _decoded(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("ascii", "replace")


def _sections(packets: NDArray[np.uint8], table: int) -> Iterator[bytes]:
    """The different sections of one `table` that are intact and in force, without their checksums."""
    seen: set[bytes] = set()
    for section in _joined(packets):
        if section[0] == table and len(section) > 12 and section[5] & 1 and section not in seen:
            seen.add(section)
            if crc32_high_first(section, 0xFFFFFFFF) == 0:  # their own included (ISO/IEC 13818-1, annex A)
                yield section[:-4]


def _joined(packets: NDArray[np.uint8]) -> Iterator[bytes]:
    """All sections in the packets of one PID."""
    held: bytes | None = None
    for packet in map(bytes, packets):
        begin = 5 + packet[4] if packet[3] & 0x20 else 4
        payload = packet[begin:] if packet[3] & 0x10 else b""
        if not payload:
            continue
        if packet[1] & 0x40:  # a section begins here, behind the rest of the one before
            first = 1 + payload[0]
            if held is not None:
                yield from _whole(held + payload[1:first])[0]
            held = payload[first:]
        elif held is not None:
            held += payload
        if held is not None:
            complete, held = _whole(held)
            yield from complete


def _whole(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole sections at the beginning of `data`, and what follows."""
    found = []
    while len(data) > 2 and data[0] != 0xFF and len(data) >= (size := 3 + _length(data, 1)):
        found.append(data[:size])
        data = data[size:]
    return found, data


def _number(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _pid(data: bytes, at: int) -> int:
    return _number(data, at) & 0x1FFF


def _length(data: bytes, at: int) -> int:
    return _number(data, at) & 0x0FFF
