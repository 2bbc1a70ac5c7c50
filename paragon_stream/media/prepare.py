"""A source as a render wants it: probed, with the user's choices about reading it settled and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from paragon_stream.errors import InputError
from paragon_stream.media.cut import Cut, Range
from paragon_stream.media.field_choice import treat_fields
from paragon_stream.media.fields import Deinterlace
from paragon_stream.media.info import MediaInfo
from paragon_stream.media.probe import probe
from paragon_stream.media.reader import VideoReader


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What a user may ask of the source. None means all of it."""

    range: Range | None = None
    """The part to render."""
    deinterlace: Deinterlace = Deinterlace.AUTO
    idet: bool = False
    """Look at the fields of the first seconds, and believe them rather than the flags."""
    ivtc: bool = False
    """Undo telecine."""


def prepare(path: str | Path, options: SourceOptions) -> MediaInfo:
    """Probe `path` and settle `options`.

    A range is made exact by decoding its first frame: `info.cut` begins with it. Raises what `probe` raises,
    and InputError for a range that holds no frame.
    """
    info = probe(path)
    wanted = options.range
    rough = None if wanted is None else wanted.in_source(programme_start(info), info.video.time_base)
    treated, hints = treat_fields(replace(info, cut=rough), options.deinterlace, options.idet, options.ivtc)
    info = replace(info, video=treated, hints=hints)
    return info if wanted is None else _cut(info, wanted)


def programme_start(info: MediaInfo) -> Fraction:
    """Where the programme begins on the clock of the source, seconds: its earliest timestamp.

    Below zero it is the picture that counts: sound begins there only because its encoder needed a run-up.
    """
    earliest = Fraction(round(info.start_time * 1_000_000), 1_000_000)
    if earliest >= 0:
        return earliest
    return min(Fraction(0), (info.video.start_pts or 0) * info.video.time_base)


def _cut(info: MediaInfo, wanted: Range) -> MediaInfo:
    video = info.video
    cut = wanted.in_source(programme_start(info), video.time_base)
    with VideoReader(replace(info, cut=cut)) as reader:
        first = reader.skip()
        end = reader.end
    if first is None:
        raise InputError(_nothing_there(info, wanted, end))
    time = first.pts * first.time_base
    interval = 1 / video.shown_rate if video.shown_rate else Fraction(0)
    # In a gap of the picture the sound goes on: then the wish itself is the beginning.
    begins_with_frame = time - cut.start <= max(interval, 2 * video.time_base) * 2
    cut = Cut(start=time if begins_with_frame else cut.start, end=cut.end)
    return replace(info, cut=cut, video=replace(video, frames=_frames(info, cut)))


def _frames(info: MediaInfo, cut: Cut) -> int | None:
    """How many frames to expect in `cut`; an estimate."""
    video = info.video
    begin = (video.start_pts or 0) * video.time_base
    end = cut.end
    length = video.duration if video.duration is not None else info.duration
    if length is not None:
        source_end = begin + Fraction(length)
        end = source_end if end is None else min(end, source_end)
    if end is None or not video.shown_rate:
        return None
    return max(1, round((end - cut.start) * video.shown_rate))


def _nothing_there(info: MediaInfo, wanted: Range, end: Fraction | None) -> str:
    if end is None:
        return f"{info.path} has no frame from {wanted}"
    length = float(end - programme_start(info))
    if length <= float(wanted.start) + 1e-3:
        return (
            f"the range from {wanted} lies behind the end of {info.path}, whose video ends at {length:.3f} s"
        )
    return f"{info.path} has no frame from {wanted}: the range falls between two frames"
