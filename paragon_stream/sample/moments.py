"""Chooses the pieces of a film: those with the most detail, spread over its length."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from paragon_stream.errors import InputError
from paragon_stream.media.browser import detail
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.info import MediaInfo

_LOOKS = 4
"""Frames that are examined in each part of the film."""
_EDGE = Fraction(1, 20)
"""The fraction of the film that is excluded at each end: logos and credits."""
_DARK = 24.0
"""Mean luma below which a frame counts as black."""


def choose_moments(info: MediaInfo, count: int, seconds: float) -> list[float]:
    """`count` times, in seconds from the beginning of the programme, in order; fewer of short films.

    The film is cut into as many parts, and of a few frames in each the one with the strongest luma gradient
    is taken. Raises InputError where no frame can be read.
    """
    length = info.video.duration or info.duration
    if not length or length <= seconds:
        return [0.0]
    count = max(1, min(count, int(length // seconds)))
    first, last = _EDGE * Fraction(length), Fraction(length) * (1 - _EDGE) - Fraction(seconds)
    if last <= first:
        first, last = Fraction(0), max(Fraction(0), Fraction(length) - Fraction(seconds))
    part = (last - first) / count
    found = []
    for number in range(count):
        positions = [first + part * (number + Fraction(2 * look + 1, 2 * _LOOKS)) for look in range(_LOOKS)]
        best = max(positions, key=lambda position: _interest(info, position))
        found.append(round(float(best), 3))
    return found


def _interest(info: MediaInfo, position: Fraction) -> float:
    try:
        gradient, mean = detail(replace(info, cut=Cut(start=info.programme_start + position)))
    except InputError:
        return -1.0
    return gradient if mean > _DARK else gradient / 100
