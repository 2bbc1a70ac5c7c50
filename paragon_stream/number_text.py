"""Numbers as text, and text as numbers."""

from __future__ import annotations

from paragon_stream.errors import UsageError


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


def parse_bit_rate(option: str, value: str | float | None, *, most: int, like: str) -> int | None:
    """Bits per second of an option's value: "192k", "1.5M" or a number; None for None.

    Raises UsageError, with the value `like` as an example, for other texts, and for rates below 1000 or above
    `most`.
    """
    if value is None:
        return None
    text = str(value).strip().lower()
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:], 1)
    try:
        rate = round(float(text if factor == 1 else text[:-1]) * factor)
    except (ValueError, OverflowError):  # NaN and infinity, too
        rate = 0
    if not 1000 <= rate <= most:
        raise UsageError(
            f"{option} {value} is not a bit rate from 1k to {most // 1_000_000}M: "
            f"give bits per second, such as {like}"
        )
    return rate
