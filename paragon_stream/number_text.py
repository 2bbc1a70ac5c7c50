"""Numbers as text, and text as numbers."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes as text: 830 B, 12.4 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def counted(number: int, name: str) -> str:
    """A number of things as text: 1 frame, 12 frames."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def bits_per_second(text: str, most: int) -> int | None:
    """The bit rate that "192k", "1.5M" or a plain number means; None for other texts, and for rates below
    1000 or above `most`."""
    number = text.strip().lower()
    factor = {"k": 1_000, "m": 1_000_000}.get(number[-1:], 1)
    try:
        rate = round(float(number if factor == 1 else number[:-1]) * factor)
    except (ValueError, OverflowError):  # NaN and infinity, too
        return None
    return rate if 1000 <= rate <= most else None
