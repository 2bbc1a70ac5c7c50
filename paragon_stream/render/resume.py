"""Opens the source of a resumed render at the first missing frame, without decoding all earlier frames.

The source is opened by seeking to a few frames before it. These frames are decoded again, which also restores
the state of deinterlacing and strengths, and are compared with their records: times, strengths and checksums
of some rows. If they differ, everything is decoded from the beginning; likewise if the earlier run met
something that a reader that begins later cannot see (jumps of time, changes of the format). No frame is
computed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from paragon_stream.errors import InputError
from paragon_stream.frame import Timing
from paragon_stream.framejob.temporal import WARM
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.frames.frame_reader import FrameReader
from paragon_stream.media.safekeeping.frame_log import FrameLog, FrameRecord
from paragon_stream.render.progress import LoopMeter, OnProgress
from paragon_stream.render.stretches import next_format, record_of
from paragon_stream.render.upscalers import Upscalers
from paragon_stream.runtimes import Plane

_COMPARED = 4
"""Frames that are decoded again; in the video mode as many as its state needs."""


type Open = Callable[[Cut | None], FrameReader]
"""Opens the source to read a part of it; None is all of it."""


logger = logging.getLogger(__name__)


def reader_behind(
    cut: Cut | None,
    done: int,
    log: FrameLog | None,
    open: Open,
    upscalers: Upscalers,
    on_progress: OnProgress | None,
) -> FrameReader:
    """A reader of `cut` whose next frame is the one after the first `done` frames, which are in `log`.

    Raises InputError if the source now decodes to other frames, and the errors of `open`.
    """
    if not done or log is None:
        return open(cut)
    again = _COMPARED if upscalers.first.temporal is None else 2 * WARM
    compared = [log[number] for number in range(max(0, done - again), done)]
    if not compared[-1].disturbed:
        reader = open(Cut(start=compared[0].time, end=None if cut is None else cut.end))
        try:
            if _repeats(reader, compared, upscalers):
                reader.go_on(done, log[0].time)
                return reader
        except BaseException:
            reader.close()
            raise
        reader.close()
        upscalers.restart()
        logger.info("after seeking, the frames differ from their records: decoding from the beginning")
    reader = open(cut)
    try:
        _pass_over(reader, done - len(compared), upscalers, on_progress)
        if not _repeats(reader, compared, upscalers):
            raise InputError(
                f"{reader.info.path} now decodes to different frames; start again with --overwrite"
            )
    except BaseException:
        reader.close()
        raise
    return reader


def _repeats(reader: FrameReader, compared: Sequence[FrameRecord], upscalers: Upscalers) -> bool:
    """Whether the next frames are those in `compared`."""
    for wanted in compared:
        read = _next(reader, upscalers)
        if read is None:
            return False
        found = record_of(reader, *read)
        if found.time != wanted.time or found.strength != wanted.strength:
            return False
        if found.sample and wanted.sample and found.sample != wanted.sample:
            return False
    return True


def _pass_over(reader: FrameReader, count: int, upscalers: Upscalers, on_progress: OnProgress | None) -> None:
    meter = LoopMeter(reader.info.video.frames, on_progress)
    while reader.frames < count and _next(reader, upscalers) is not None:
        meter.note(0, done=reader.frames)


def _next(reader: FrameReader, upscalers: Upscalers) -> tuple[Timing, Sequence[Plane]] | None:
    """The next frame, of any format, and its planes; None at the end of the source."""
    while True:
        planes = upscalers.slots(reader.changes.format)[0].inputs
        timing = reader.read_into(planes)
        if timing is not None:
            upscalers.of(reader.changes.format).look(planes)
            return timing, planes
        if next_format(reader, upscalers) is None:
            return None
        upscalers.of(reader.changes.format).restart()
