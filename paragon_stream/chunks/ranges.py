"""Chooses the times at which a video is cut into chunks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from paragon_stream.media.frame_times import FrameTimes

CHUNK_SECONDS = 30.0
"""Default length of a chunk. The start of an encoder for every chunk makes the file larger."""

_LEAST_SECONDS = 4.0
"""Shortest length of the shorter chunks at the end."""
_WINDOW = Fraction(1, 4)
"""Largest relative change of a chunk's length, so that the next one begins with a key frame of the source."""
_FEWEST = 12
"""Smallest number of frames of a chunk, because encoders look ahead."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A range of the source: `start` ≤ time < `end`, in seconds of its timestamps.

    None is the beginning or the end of the rendered part. `first_frame` and `frames` count rendered frames.
    """

    number: int
    start: Fraction | None
    end: Fraction | None
    first_frame: int
    frames: int


def cut_into_chunks(times: FrameTimes, seconds: float, workers: int = 0) -> tuple[Chunk, ...]:
    """Chunks of about `seconds` each, beginning with key frames of the source where there are any nearby.

    Its encoder placed them at new scenes, or at regular distances. With `workers`, the number of chunks that
    are rendered at a time, the last ones are shorter, so that all workers end at nearly the same time.
    """
    starts = list(_starts(times, seconds, workers))
    each = times.frames_each
    frames = [round(bisect_left(times.shown, start) * each) for start in starts]
    frames.append(round(len(times.shown) * each))
    return tuple(
        Chunk(
            number=number,
            start=None if number == 0 else starts[number],
            end=None if number + 1 == len(starts) else starts[number + 1],
            first_frame=first,
            frames=following - first,
        )
        for number, (first, following) in enumerate(pairwise(frames))
    )


def _starts(times: FrameTimes, seconds: float, workers: int) -> Iterator[Fraction]:
    """The start of each chunk, in seconds."""
    shown, end = times.shown, times.shown[-1]
    frame = 0
    while True:
        start = shown[frame]
        yield start
        length = _length(float(end - start), seconds, workers)
        if end - start < length * 3 / 2:
            return
        earliest = frame + _FEWEST
        near = _nearest(times.keys, start + length, length * _WINDOW)
        wanted = near if near is not None else start + length
        frame = max(earliest, bisect_left(shown, wanted))
        if frame > len(shown) - _FEWEST:
            return


def _length(left: float, seconds: float, workers: int) -> Fraction:
    """The length of a chunk that begins `left` seconds before the end."""
    length = seconds
    if workers and left <= workers * seconds:
        length = seconds / 4 if left <= workers * seconds / 2 else seconds / 2
    return Fraction(max(length, min(_LEAST_SECONDS, seconds)))


def _nearest(keys: tuple[Fraction, ...], wanted: Fraction, window: Fraction) -> Fraction | None:
    following = bisect_left(keys, wanted)
    near = [key for key in keys[max(0, following - 1) : following + 1] if abs(key - wanted) <= window]
    return min(near, key=lambda key: abs(key - wanted), default=None)
