"""Matches frames of the output with frames of the source, by their presentation times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from paragon_stream.frame import NO_DATA, FrameData, FrameFormat
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.frames.frame_reader import FrameReader


@dataclass(frozen=True)
class Frame:
    """A decoded frame. `time` is in seconds on the output's clock.

    The planes are overwritten by the reader's next frame but one.
    """

    time: Fraction
    planes: Sequence[Plane]
    format: FrameFormat
    data: FrameData = NO_DATA
    """See `FrameReader`."""
    damaged: bool = False
    """See `FrameReader`."""


def frames_of(reader: FrameReader, shift: Fraction) -> Iterator[Frame]:
    """The frames of a reader; `shift` (seconds) is subtracted from their times."""
    format: FrameFormat | None = reader.changes.format
    while format is not None:
        buffers = [_allocate(format), _allocate(format)]
        turn = 0
        while (timing := reader.read_into(buffers[turn])) is not None:
            time = timing.time
            yield Frame(time - shift if shift else time, buffers[turn], format, reader.data, reader.damaged)
            turn = 1 - turn
        format = reader.changes.next_format()


def _allocate(format: FrameFormat) -> list[Plane]:
    return [np.empty(shape, np.dtype(format.pixel_format.sample_type)) for shape in format.plane_shapes]


@dataclass(frozen=True)
class Match:
    """Two frames with the same time, or one frame and None if the other file has no frame at that time."""

    source: Frame | None
    output: Frame | None


def matched(source: Iterator[Frame], output: Iterator[Frame], interval: Fraction) -> Iterator[Match]:
    """Pairs of frames whose times differ by less than half an `interval` (seconds), and single frames."""
    most = interval / 2
    ours, theirs = next(source, None), next(output, None)
    while ours is not None and theirs is not None:
        error = theirs.time - ours.time
        if error <= -most:
            yield Match(None, theirs)
            theirs = next(output, None)
        elif error >= most:
            yield Match(ours, None)
            ours = next(source, None)
        else:
            yield Match(ours, theirs)
            ours, theirs = next(source, None), next(output, None)
    while ours is not None:
        yield Match(ours, None)
        ours = next(source, None)
    while theirs is not None:
        yield Match(None, theirs)
        theirs = next(output, None)
