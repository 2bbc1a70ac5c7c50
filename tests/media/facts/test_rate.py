"""Frame rates as users give them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from paragon_stream.errors import UsageError
from paragon_stream.media.facts.rate import parse_rate


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        (None, None),
        ("24", Fraction(24)),
        (1, Fraction(1)),
        ("1", Fraction(1)),
        (23.976, Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("24000/1001", Fraction(24000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("1/1000", Fraction(1, 1000)),
        ("0.0015", Fraction(3, 2000)),
    ],
)
def test_rates(given: str | float | None, rate: Fraction | None) -> None:
    assert parse_rate(given) == rate


@pytest.mark.parametrize("wrong", ["1/2000", 0.0005, 0.0009, "0", "-1", "1001", "1/0", "fast", float("nan")])
def test_wrong_rates(wrong: str | float) -> None:
    with pytest.raises(UsageError, match="frame rate"):
        parse_rate(wrong)
