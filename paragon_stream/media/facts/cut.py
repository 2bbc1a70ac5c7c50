"""The part of a source that is rendered: the times that users give, and the exact cut.

Users count from the first picture or sound of the programme, as players do. A cut is on the source's own
clock. It begins at the first frame that is not before the given time, so the output begins at 0 with a
picture; earlier sound is left out too.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from paragon_stream.errors import UsageError
from paragon_stream.options.source import TimeLike

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?|\.\d+)")
_RATIO = re.compile(r"\d+/0*[1-9]\d*")
_MOST = Fraction(10**9)
"""Seconds: no programme is that long, and floats of far more overflow."""
_LONGEST = 4000
"""Digits and signs of a time; Python converts no more than 4300 to a number."""
_ROUNDING = Fraction(1, 2000)
"""Seconds: the error of a time that was rounded or truncated to milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """`start` ≤ time < `end`, in seconds of the source's timestamps; `end` None is the end of the source."""

    start: Fraction
    end: Fraction | None = None

    def __contains__(self, time: Fraction) -> bool:
        return time >= self.start and not self.is_past(time)

    def is_past(self, time: Fraction) -> bool:
        return self.end is not None and time >= self.end


@dataclass(frozen=True, kw_only=True)
class Range:
    """A part of the programme, in seconds from its beginning."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None

    def __str__(self) -> str:
        until = "the end" if self.end is None else f"{float(self.end):g} s"
        return f"{float(self.start):g} s to {until}"

    def in_source(self, origin: Fraction, time_base: Fraction) -> Cut:
        """The cut in a source whose programme begins at `origin`, for frames with timestamps in `time_base`.

        It is moved earlier by the largest rounding error of the given time: half a tick, or half a
        millisecond.
        """
        slack = max(time_base / 2, _ROUNDING)
        end = None if self.end is None else origin + self.end - slack
        return Cut(start=origin + self.start - slack, end=end)


def parse_range(start: TimeLike | None, duration: TimeLike | None, end: TimeLike | None) -> Range | None:
    """The range that these options give; None if there are none.

    Raises UsageError for an invalid time, for `duration` with `end`, and for an empty range.
    """
    if start is None and duration is None and end is None:
        return None
    if duration is not None and end is not None:
        raise UsageError("--duration and --end both set the end: give only one of them")
    begin = parse_time(start, "--start") if start is not None else Fraction(0)
    if duration is not None:
        stop: Fraction | None = begin + parse_time(duration, "--duration")
    else:
        stop = None if end is None else parse_time(end, "--end")
    if stop is not None and stop <= begin:
        raise UsageError(f"the range from {float(begin):g} s to {float(stop):g} s is empty")
    return Range(start=begin, end=stop)


def parse_time(value: TimeLike, name: str = "time") -> Fraction:
    """`value` in seconds, exactly; less than 1e9 of them. Raises UsageError naming `name`."""
    too_large = UsageError(f"{name} is too large: give less than {int(_MOST):,} seconds")
    if isinstance(value, int | Fraction) and value >= _MOST:  # Python refuses to print the largest ones
        raise too_large
    text = str(value).strip()
    if len(text) > _LONGEST:
        no_time = UsageError(f"{name} is not a time: give seconds, or h:mm:ss.xxx")
        raise too_large if text[0].isdecimal() else no_time
    seconds = _seconds(value, text, name)
    if seconds >= _MOST:
        raise too_large
    return seconds


def _seconds(value: TimeLike, text: str, name: str) -> Fraction:
    """`value`, and the same as `text`, in seconds."""
    if isinstance(value, Fraction) and value >= 0:
        return value
    if _RATIO.fullmatch(text):
        return Fraction(text)
    match = _CLOCK.fullmatch(text)
    if match is None and isinstance(value, int | float) and 0 <= value < math.inf:
        return Fraction(value)  # 1e-05 and the like
    if match is None:
        raise UsageError(f"{name} {value} is not a time: give seconds, or h:mm:ss.xxx")
    hours, minutes, seconds = match.groups()
    if minutes and (Fraction(seconds) >= 60 or (hours and int(minutes) >= 60)):
        raise UsageError(f"{name} {value} has minutes or seconds above 59")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(seconds)
