"""The timecodes of results: of a part, and of frames that are more or fewer than the source's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.timecode import Timecode

_KEY = "timecode"


def tags_of_result(tags: Mapping[str, str], info: MediaInfo) -> dict[str, str]:
    """`tags` with the timecode at which the cut of `info` begins, counted in frames of the result."""
    return {k: of_result(v, info) if k.casefold() == _KEY else v for k, v in tags.items()}


def reel_name(source: Any, video: int) -> str:
    """The name of the reel or tape, which QuickTime keeps in the timecode track of stream `video`; "" if it
    has none. FFmpeg's muxers of MOV and Matroska write it from the tags of the video."""
    timecode = source.streams[video].metadata.get(_KEY)
    for stream in source.streams if timecode else ():
        if stream.type == "data" and stream.metadata.get(_KEY) == timecode:
            return str(stream.metadata.get("reel_name", ""))
    return ""


def of_result(text: str, info: MediaInfo) -> str:
    """The timecode of the result's first frame. `text` is the source's; returned if it is not a timecode."""
    timecode, rate = Timecode.parse(text), info.video.average_rate
    if timecode is None or rate is None:
        return text
    if info.cut is not None:
        begin = info.cut.start - (info.video.start_pts or 0) * info.video.time_base
        timecode = timecode.later(round(begin * rate), max(1, round(rate)))
    if info.video.fields is not None and info.video.fields.rate_factor != 1:
        timecode = timecode.counted_at(info.video.fields.rate_factor)
    return str(timecode)
