"""Numbers as text."""

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
