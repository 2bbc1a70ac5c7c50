"""Reads, changes and writes EBML elements (RFC 8794) in bytes and files.

Files may be damaged or hostile: every size in them is checked against a bound.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Self

from paragon_stream.media.matroska import ids

_DEEPEST = 24
"""Deepest nesting of elements; deeper ones are damage."""
_MOST = 200_000
"""Elements in one tree."""
_HEAD = 12
"""Bytes of the longest ID and size."""
UNKNOWN = -1
"""The size of an element that ends where the next one begins."""


class EbmlError(Exception):
    """Invalid EBML; never raised out of `media.matroska`."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: a master element with `children`, or an element with `data`."""

    id: int
    data: bytes = b""
    children: tuple[Element, ...] = ()

    @classmethod
    def uint(cls, id: int, value: int) -> Self:
        return cls(id, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))

    @classmethod
    def text(cls, id: int, value: str) -> Self:
        return cls(id, value.encode())

    @property
    def number(self) -> int:
        """The value of an unsigned integer; an empty one is 0."""
        return int.from_bytes(self.data[:8])

    @property
    def words(self) -> str:
        """The value of a string; it ends at the first zero."""
        return self.data.partition(b"\0")[0].decode("utf-8", "replace")

    def all(self, id: int) -> Iterator[Element]:
        return (child for child in self.children if child.id == id)

    def first(self, id: int) -> Element | None:
        return next(self.all(id), None)

    def number_of(self, id: int, default: int = 0) -> int:
        """The value of the child `id`; `default` if there is none."""
        found = self.first(id)
        return default if found is None else found.number

    def words_of(self, id: int, default: str = "") -> str:
        found = self.first(id)
        return default if found is None else found.words

    def having(self, children: Iterable[Element]) -> Self:
        """The same master with other children."""
        return replace(self, children=tuple(children))

    def put(self, *new: Element) -> Self:
        """The same master with `new` in place of its children of the same IDs."""
        known = {element.id for element in new}
        return self.having([*(child for child in self.children if child.id not in known), *new])

    def encoded(self) -> bytes:
        body = b"".join(child.encoded() for child in self.children) if self.id in ids.MASTERS else self.data
        return head(self.id, len(body)) + body

    def with_checksum(self) -> Self:
        """A master with its CRC-32 as the first child (RFC 8794, 11.3.1)."""
        bare = self.having(child for child in self.children if child.id != ids.CRC_32)
        body = b"".join(child.encoded() for child in bare.children)
        return self.having([Element(ids.CRC_32, zlib.crc32(body).to_bytes(4, "little")), *bare.children])


def head(id: int, size: int, length: int = 0) -> bytes:
    """ID and size, the latter in `length` bytes, or as few as it takes."""
    length = length or next(n for n in range(1, 9) if size < (1 << 7 * n) - 1)
    return id.to_bytes((id.bit_length() + 7) // 8) + (size | 1 << 7 * length).to_bytes(length)


def void(size: int) -> bytes:
    """A Void element of `size` bytes; no element for 0 bytes. An element of 1 byte is not possible."""
    assert size != 1
    if size == 0:
        return b""
    length = 1 if size < 100 else 8
    return head(ids.VOID, size - 1 - length, length) + bytes(size - 1 - length)


def parse(id: int, data: bytes) -> Element:
    """The master `id` whose contents are `data`, without checksums and voids. Raises EbmlError."""
    counter = [0]
    return Element(id, children=tuple(_children(data, 0, counter)))


def _children(data: bytes, depth: int, counter: list[int]) -> Iterator[Element]:
    if depth > _DEEPEST:
        raise EbmlError("elements are nested too deep")
    at = 0
    while at < len(data):
        id, size, length = read_head(data[at : at + _HEAD])
        at += length
        if size == UNKNOWN or size > len(data) - at:
            raise EbmlError("an element is longer than the one around it")
        counter[0] += 1
        if counter[0] > _MOST:
            raise EbmlError("too many elements")
        inside = data[at : at + size]
        at += size
        if id in ids.MASTERS:
            yield Element(id, children=tuple(_children(inside, depth + 1, counter)))
        elif id not in (ids.CRC_32, ids.VOID):
            yield Element(id, inside)


def read_head(data: bytes) -> tuple[int, int, int]:
    """ID and size of the element at the beginning of `data`, and the length of both. Raises EbmlError."""
    first = data[0] if data else 0
    id_length = 9 - first.bit_length()
    if id_length > 4 or len(data) <= id_length:
        raise EbmlError("no element")
    size_length = 9 - data[id_length].bit_length()
    end = id_length + size_length
    if size_length > 8 or len(data) < end:
        raise EbmlError("no size")
    size = int.from_bytes(data[id_length:end]) & ((1 << 7 * size_length) - 1)
    unknown = size == (1 << 7 * size_length) - 1
    return int.from_bytes(data[:id_length]), UNKNOWN if unknown else size, end


def walk(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """ID, position, position of the contents, and size of each element between two positions of a file.

    It ends at the first invalid one, or one that has an unknown size or reaches beyond `end`.
    """
    at = begin
    while at < end:
        file.seek(at)
        try:
            id, size, length = read_head(file.read(_HEAD))
        except EbmlError:
            return
        known = size != UNKNOWN and at + length + size <= end
        yield id, at, at + length, size if known else UNKNOWN
        if not known:
            return
        at += length + size
