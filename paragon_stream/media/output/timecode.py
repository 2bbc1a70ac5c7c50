"""SMPTE timecodes (ST 12-1) of results: of a part, and of frames that are more or fewer than the source's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from paragon_stream.media.facts.info import MediaInfo

_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")
_KEY = "timecode"


def tags_of_result(tags: Mapping[str, str], info: MediaInfo) -> dict[str, str]:
    """`tags` with the timecode at which the cut of `info` begins, counted in frames of the result."""
    return {k: of_result(v, info) if k.casefold() == _KEY else v for k, v in tags.items()}


def of_result(timecode: str, info: MediaInfo) -> str:
    """The timecode of the first frame of the result, if that of the source is `timecode`."""
    rate = info.video.average_rate
    if rate is None:
        return timecode
    if info.cut is not None:
        begin = info.cut.start - (info.video.start_pts or 0) * info.video.time_base
        timecode = shifted(timecode, round(begin * rate), rate)
    factor = info.video.fields.rate_factor if info.video.fields else Fraction(1)
    return timecode if factor == 1 else counted_at(timecode, factor)


def counted_at(timecode: str, factor: Fraction) -> str:
    """`timecode` in frames that come `factor` times as often: at the same time of the clock.

    Film (24 frames per second) drops no numbers.
    """
    match = _TIMECODE.fullmatch(timecode.strip())
    if match is None:
        return timecode
    mark = match[4] if factor >= 1 else ":"
    return f"{match[1]}:{match[2]}:{match[3]}{mark}{int(int(match[5]) * factor):02}"


def shifted(timecode: str, frames: int, rate: Fraction) -> str:
    """`timecode` `frames` frames later, at `rate` frames per second; unchanged where it is none.

    Drop-frame timecodes (with ";" or ".") leave out two numbers in every minute but each tenth, or four at
    60 frames per second. Timecodes run over at 24 hours.
    """
    match = _TIMECODE.fullmatch(timecode.strip())
    nominal = round(rate)
    if match is None or nominal <= 0:
        return timecode
    hours, minutes, seconds, frame = (int(match[n]) for n in (1, 2, 3, 5))
    drop = nominal // 15 if match[4] in ";." and nominal % 30 == 0 else 0
    total = minutes + 60 * hours
    number = (60 * total + seconds) * nominal + frame - drop * (total - total // 10) + frames
    per_minute, per_ten = 60 * nominal - drop, 600 * nominal - 9 * drop
    number %= 144 * per_ten
    tens, rest = divmod(number, per_ten)
    if drop and rest >= 60 * nominal:
        number += drop * (1 + (rest - 60 * nominal) // per_minute)
    number += 9 * drop * tens
    seconds, frame = divmod(number, nominal)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{match[4]}{frame:02}"
