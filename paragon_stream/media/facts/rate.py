"""Frame rates: parsing them, and the default for sources without one."""

from __future__ import annotations

from fractions import Fraction

from paragon_stream.errors import UsageError

FALLBACK_RATE = Fraction(25)
"""Frames per second of sources without a rate: for missing timestamps and for rate control."""


def parse_rate(text: str | float | Fraction | None) -> Fraction | None:
    """Frames per second from "24", 23.976 or "24000/1001"; decimals of the NTSC rates mean those exactly.

    Raises UsageError for an invalid rate.
    """
    if text is None:
        return None
    try:
        rate = Fraction(str(text))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{text!r} is not a frame rate: give a number such as 24 or 24000/1001") from None
    if not Fraction(1, 1000) <= rate <= 1000:
        raise UsageError(f"a frame rate of {text} is out of range: 1/1000 to 1000")
    ntsc = Fraction(round(rate) * 1000, 1001)
    return ntsc if rate.denominator > 1 and abs(rate - ntsc) < Fraction(1, 1000) else rate
