"""The times of the frames of a source, and whether reading can begin in the middle of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from paragon_stream.errors import InputError
from paragon_stream.media.decode.picture_times import picture_times
from paragon_stream.media.facts.info import IMAGE_SEQUENCE, MediaInfo
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.images.numbering import numbering
from paragon_stream.media.images.sequence_reader import sequence_timings


@dataclass(frozen=True, kw_only=True)
class FrameTimes:
    """Rising times of the frames in the part that is rendered, seconds of the source's timestamps.

    `keys` are the times that begin a group of pictures, often a scene. `from_start` says why frames are
    correct only if reading begins at the start of the file; "" if it can begin at any time.
    """

    shown: tuple[Fraction, ...]
    keys: tuple[Fraction, ...] = ()
    from_start: str = ""
    frames_each: Fraction = Fraction(1)
    """Frames that are rendered for each of `shown`: 2 if each of them has two fields that become frames."""


def frame_times(info: MediaInfo) -> FrameTimes:
    """The times of all frames of `info`, from the packets, or by decoding everything if packets are not
    sufficient. Raises InputError if there is no frame."""
    times = _times(info)
    if not times.shown:
        raise InputError(f"{info.path} has no frame to render")
    return times


def _times(info: MediaInfo) -> FrameTimes:
    cut, video = info.cut, info.video
    if info.container == IMAGE_SEQUENCE:
        sequence = numbering(info.path)
        assert sequence is not None
        timings = sequence_timings(sequence.numbers(), video.time_base)
        return FrameTimes(shown=tuple(timing.time for _, timing in timings))
    if video.fields is not None and video.fields.film:
        why = "inverse telecine counts frames from the beginning"
    else:
        found = picture_times(info)
        why = found.trouble
        if not why:
            shown, keys = (
                tuple(time for time in times if cut is None or time in cut)
                for times in (found.shown, found.keys)
            )
            each = video.fields.rate_factor if video.fields else Fraction(1)
            return FrameTimes(shown=shown, keys=keys, frames_each=each)
    whole = replace(info, video=replace(video, gpu=None))
    with VideoReader(whole, from_start=True) as reader:
        return FrameTimes(shown=tuple(timing.time for timing in reader.timings()), from_start=why)
