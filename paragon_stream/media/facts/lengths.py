"""The rate, the duration and the number of frames of a stream, by its headers."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
from av.container import InputContainer
from av.stream import Stream

from paragon_stream.media.ffmpeg.rational import positive_fraction

_MAX_SANE_RATE = 300
"""Frames per second; higher average rates are artefacts of 1 ms time bases and of DV."""
RAW = frozenset(
    {"h264", "hevc", "vvc", "mpegvideo", "m4v", "vc1", "cavsvideo", "avs2", "avs3", "h261", "h263"}
)
"""FFmpeg's demuxers of raw streams whose pictures have headers with a rate."""
_UNKNOWN_IN_AVI = 1 << 30
"""Frames of each stream in AVI that FFmpeg wrote into a pipe: it cannot go back to write their number."""
_NEAR = Fraction(1, 20)
"""Largest relative difference of two rates that are equal except for rounded times."""


def frame_rate(
    stream: av.VideoStream, frames: list[av.VideoFrame], demuxer: str
) -> tuple[Fraction | None, bool]:
    """The average rate if it is plausible, else FFmpeg's guess (halved if the first frames are twice as far
    apart: it may be that of fields); and whether it is the average.

    Raw streams have no rate of their own: the average is then the demuxer's default, the guess that of the
    pictures' headers.
    """
    average, guess = positive_fraction(stream.average_rate), positive_fraction(stream.guessed_rate)
    average = guess if demuxer in RAW and guess else average
    if demuxer == "gxf" and guess:
        return guess, False  # it counts fields, in the average and in durations
    if average and (average <= _MAX_SANE_RATE or average == guess):
        return average, True
    if not guess or guess > _MAX_SANE_RATE:
        return None, False
    times = [frame.pts for frame in frames if frame.pts is not None]
    unit = positive_fraction(stream.time_base)
    if unit and len(times) > 2 and all(a < b for a, b in pairwise(times)):
        seen = Fraction(len(times) - 1) / ((times[-1] - times[0]) * unit)
        if abs(seen * 2 / guess - 1) < _NEAR:
            return guess / 2, False
    return guess, False


def stream_seconds(container: InputContainer, stream: Stream, start: float) -> float | None:
    """The length in seconds from the first frame, at `start`, by the stream's own header or Matroska's tag;
    None without them.

    Matroska's tag gives the time of the end; the container's duration may be that of longer sound.
    """
    if "matroska" not in container.format.name:
        if not stream.duration or _is_unfinished(container):
            return None
        unit = float(positive_fraction(stream.time_base) or 0)
        begin = start if stream.start_time is None else stream.start_time * unit
        return max(0.0, stream.duration * unit - max(0.0, start - begin)) or None  # less what does not decode
    tag = next((value for key, value in stream.metadata.items() if key.startswith("DURATION")), "")
    end = _clock_seconds(tag)
    return end - start if end is not None and end > start else end


def container_seconds(container: InputContainer) -> float | None:
    """The length of the longest stream by the headers; None without one."""
    if container.duration is None or _is_unfinished(container):
        return None
    return container.duration / 1_000_000


def _is_unfinished(container: InputContainer) -> bool:
    """Whether the header has placeholders for its lengths. FFmpeg then guesses them from bit rates."""
    return container.format.name == "avi" and any(s.frames >= _UNKNOWN_IN_AVI for s in container.streams)


def _clock_seconds(clock: str) -> float | None:
    """ "01:02:03.5" in seconds; None for anything else."""
    try:
        hours, minutes, seconds = (float(part) for part in clock.split(":"))
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def frame_count(stream: Stream, duration: float | None, rate: Fraction | None) -> int | None:
    """The header's count, unless it counts only a part (fragmented MP4); else duration times rate. None if
    neither is known."""
    tag = next((value for key, value in stream.metadata.items() if key.startswith("NUMBER_OF_FRAMES")), "")
    counted = stream.frames or (int(tag) if tag.isdecimal() else 0)
    if counted >= _UNKNOWN_IN_AVI:
        return None
    expected = round(duration * rate) if duration and rate else 0
    return (counted if counted * 2 >= expected else expected) or None
