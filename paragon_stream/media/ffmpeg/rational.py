"""FFmpeg's rational numbers as fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any


def as_fraction(value: Any) -> Fraction:
    """An AVRational, such as a time base, as a Fraction. Its denominator must not be 0."""
    return Fraction(value.numerator, value.denominator)


def positive_fraction(value: Any) -> Fraction | None:
    """The same; None for what stands for "unknown": None, 0, 0/0, n/0, and everything below."""
    numerator, denominator = getattr(value, "numerator", 0), getattr(value, "denominator", 0)
    return Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else None
