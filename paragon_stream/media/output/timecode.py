"""SMPTE timecodes (ST 12-1) of a part: that of the whole, as many frames later as the part begins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from paragon_stream.media.facts.info import MediaInfo

_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")
_KEY = "timecode"


def tags_of_part(tags: Mapping[str, str], info: MediaInfo) -> dict[str, str]:
    """`tags` with the timecode at which the cut of `info` begins; unchanged where there is neither."""
    rate = info.video.average_rate
    if info.cut is None or rate is None:
        return dict(tags)
    begin = info.cut.start - (info.video.start_pts or 0) * info.video.time_base
    frames = round(begin * rate)
    return {k: shifted(v, frames, rate) if k.casefold() == _KEY else v for k, v in tags.items()}


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
