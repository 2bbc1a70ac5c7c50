"""Checks of the numbers of a recipe. Each raises UsageError that names the key and its table, NaN too."""

from __future__ import annotations

import math
from collections.abc import Sequence

from paragon_stream.errors import UsageError


def check_choice(key: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise UsageError(f"{key} = {value!r}; choose from {', '.join(map(str, allowed))}")


def check_numbers(table: str, settings: object, *names: str, least: float = 0) -> None:
    """The settings of these names are finite numbers from `least` on."""
    for name in names:
        number = getattr(settings, name)
        if not least <= number < math.inf:
            said = "not be negative" if least == 0 else f"be at least {least:g}"
            raise UsageError(f"{_label(table, name)} must {said}, not {number:g}")


def check_above_zero(table: str, settings: object, *names: str) -> None:
    for name in names:
        number = getattr(settings, name)
        if not 0 < number < math.inf:
            raise UsageError(f"{_label(table, name)} must be above 0, not {number:g}")


def check_shares(table: str, settings: object, *names: str) -> None:
    """Probabilities and fractions, 0…1."""
    for name in names:
        share = getattr(settings, name)
        if not 0 <= share <= 1:
            raise UsageError(f"{_label(table, name)} must be in 0…1, not {share:g}")


def check_ranges(
    table: str, settings: object, *names: str, least: float = 0, most: float = math.inf, above: bool = False
) -> None:
    """Pairs (low, high) of finite numbers in `least` … `most`; with `above`, low is above `least`."""
    for name in names:
        low, high = getattr(settings, name)
        if not (least <= low <= high <= most and high < math.inf) or (above and low == least):
            within = f"above {least:g}" if above else f"from {least:g} on"
            within = within if most == math.inf else f"in {least:g}…{most:g}"
            raise UsageError(f"{_label(table, name)} must be a rising range {within}, not {[low, high]}")


def _label(table: str, name: str) -> str:
    return f"[{table}] {name}" if table else name
