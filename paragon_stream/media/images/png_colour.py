"""The colour space in the chunks of a PNG (W3C, third edition, 11.3.2), where it has no ICC profile."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_PRIMARIES = (1, 2)
"""Those of BT.709 and sRGB, in cICP, and "unspecified"."""
_TRANSFERS = (1, 2, 6, 13, 14, 15)
"""sRGB's, in cICP, "unspecified", and the one curve of BT.709, BT.601 and BT.2020, which players of video do
not distinguish from it: FFmpeg writes these into images of a video."""
_GAMMA = 45_455
_GAMMA_TOLERANCE = 0.125
"""A part of the value; FFmpeg writes 50,994 for BT.709."""
_POINTS = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
_POINT_TOLERANCE = 1_000
"""In units of 1/100,000, as in libpng: programs round differently."""


def other_than_srgb(chunks: Sequence[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """The names of the chunks that give another colour space than sRGB: `chunks` are names and contents.

    cICP replaces the others, and sRGB replaces gAMA and cHRM. Malformed chunks count as absent.
    """
    found = dict(chunks)
    if len(code := found.get(b"cICP", b"")) == 4:
        return () if code[0] in _PRIMARIES and code[1] in _TRANSFERS else ("cICP",)
    if b"sRGB" in found:
        return ()
    gamma, points = found.get(b"gAMA", b""), found.get(b"cHRM", b"")
    other = []
    if len(gamma) == 4 and abs(struct.unpack(">I", gamma)[0] / _GAMMA - 1) > _GAMMA_TOLERANCE:
        other.append("gAMA")
    if len(points) == 32:
        distances = (abs(a - b) for a, b in zip(struct.unpack(">8I", points), _POINTS, strict=True))
        if max(distances) > _POINT_TOLERANCE:
            other.append("cHRM")
    return tuple(other)
