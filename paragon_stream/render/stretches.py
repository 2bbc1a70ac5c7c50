"""Sends every frame of a reader through the engine into a sink: a pipeline per stretch of one format."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from paragon_stream.device import DevicePicture
from paragon_stream.errors import EngineError, FormatError
from paragon_stream.frame import FrameFormat, Timing
from paragon_stream.media.encode.device_frames import DeviceFrames
from paragon_stream.media.frames.frame_reader import FrameReader
from paragon_stream.media.safekeeping.frame_log import FrameRecord
from paragon_stream.media.sink import Sink
from paragon_stream.media.source.pipes import abandon_pipe
from paragon_stream.pipeline.pipeline import Pipeline, PipelineStats, in_succession
from paragon_stream.pipeline.slot import Slot
from paragon_stream.pipeline.stage import Stage
from paragon_stream.pipeline.trace import Trace
from paragon_stream.render.progress import INTERVAL, Meter, OnProgress, RenderMeter
from paragon_stream.render.repeats import Repeats
from paragon_stream.render.strengths import Strengths
from paragon_stream.render.upscalers import Upscalers
from paragon_stream.runtimes import Plane
from paragon_stream.upscaler import Upscaler

_ROWS = 16
"""One of this number of rows of a frame's planes is recorded, by its checksum."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RenderStages:
    """The stages of a render: `reader` decodes, an upscaler computes, `sink` encodes."""

    reader: FrameReader
    sink: Sink
    strengths: Strengths
    repeats: Repeats
    """Finds frames that repeat the previous one."""
    results: DeviceFrames | None = None
    """Buffers in a GPU's memory for results; the sink was opened with them."""
    at_end: Callable[[], None] | None = None
    """Called after the last frame, before the sink is finished."""

    def render(
        self, upscalers: Upscalers, trace: Trace | None = None, on_progress: OnProgress | None = None
    ) -> PipelineStats:
        """Send every frame of the reader through its upscaler into the sink, and finish the sink.

        Some frames may have been written by an earlier run, and the sink's journal may have further results.
        Before the stream changes to another format, all frames in flight are finished.
        """
        done = self.sink.done
        numbers = count(done)
        meter = None
        if on_progress is not None:
            meter = RenderMeter(self.reader.info.video.frames, self.sink, on_progress, done)
        return run_stretches(
            self.reader,
            upscalers,
            lambda upscaler: self._of(upscaler, numbers),
            trace,
            meter,
            first_frame=done,
        )

    def _of(self, upscaler: Upscaler, numbers: Iterator[int]) -> list[Stage[Plane]]:
        """The stages of one stretch, whose frames have `numbers`."""
        reader, sink, journal = self.reader, self.sink, self.sink.journal
        results = self.results if upscaler.device_results is not None else None
        self.repeats.begin()

        def decode(slot: Slot[Plane]) -> bool:
            slot.timing = reader.read_into(slot.inputs)
            if slot.timing is not None:
                slot.strength, slot.picture = self.strengths.of(slot.timing), reader.picture
                slot.data = reader.data
                slot.repeats = self.repeats.found(slot)
                if journal is not None:
                    slot.facts = record_of(reader, slot.timing, slot.inputs)
            return slot.timing is not None

        def compute(slot: Slot[Plane]) -> None:
            assert slot.timing is not None
            number, time = next(numbers), slot.timing.time
            if slot.repeats:
                return
            if journal is not None and journal.take(number, time, slot.outputs):
                upscaler.look(slot.inputs)
                return
            inputs = slot.picture if isinstance(slot.picture, DevicePicture) else slot.inputs
            slot.result = result = results.take() if results is not None else None
            slot.completion = upscaler.run(inputs, result or slot.outputs, slot.strength)

        def encode(slot: Slot[Plane]) -> None:
            assert slot.timing is not None
            if journal is not None and isinstance(slot.facts, FrameRecord):
                journal.announce(slot.facts)
            if slot.data:
                sink.attach(slot.data)
            if slot.repeats:
                sink.repeat(slot.timing)
            elif isinstance(slot.result, DevicePicture):
                sink.write_picture(slot.result, slot.timing)
            else:
                sink.write(slot.outputs, slot.timing)

        def finish() -> bool:
            if reader.changes.ended:
                if self.at_end is not None:
                    self.at_end()
                sink.finish()
            return reader.changes.ended

        return [
            Stage(name="decode", work=decode, leave=lambda: abandon_pipe(reader.info.path)),
            Stage(name="engine", work=compute),
            Stage(name="encode", work=encode, finish=finish, leave=sink.give_up),
        ]


def run_stretches(
    reader: FrameReader,
    upscalers: Upscalers,
    stages: Callable[[Upscaler], list[Stage[Plane]]],
    trace: Trace | None,
    meter: Meter | None,
    interval: float = INTERVAL,
    first_frame: int = 0,
) -> PipelineStats:
    """Run a pipeline of `stages` for each stretch of one format, until `reader` ends.

    `interval` is the time between two reports to `meter`, in seconds; `first_frame` is the first frame's
    number.
    """
    runs: list[PipelineStats] = []
    format: FrameFormat | None = reader.changes.format
    while format is not None:
        frames = first_frame + sum(next(reversed(run.stages.values())).frames for run in runs)
        upscaler = upscalers.of(format)
        if runs:
            upscaler.restart()
        pipeline = Pipeline(upscalers.slots(format), stages(upscaler), trace, first_frame=frames)
        runs.append(pipeline.run(meter, interval))
        if meter is not None:
            meter.run_ended(runs[-1])
        format = next_format(reader, upscalers)
    return in_succession(runs)


def next_format(reader: FrameReader, upscalers: Upscalers) -> FrameFormat | None:
    """The next format of the stream, with its upscaler opened; None at the end of the stream."""
    format = reader.changes.next_format()
    if format is None:
        return None
    try:
        upscalers.slots(format)
    except (FormatError, EngineError) as error:
        logger.warning("frames of %s are converted to the first format: %s", format, error)
        return reader.changes.refuse(str(error))
    return format


def record_of(reader: FrameReader, timing: Timing, planes: Sequence[Plane]) -> FrameRecord:
    """The record of the frame that was read last, into `planes`."""
    sample = 0
    if reader.picture is None:  # else the planes are not filled
        for plane in planes:
            sample = zlib.crc32(np.ascontiguousarray(plane[::_ROWS]).data.cast("B"), sample)
    return FrameRecord(
        timing=timing,
        strength=reader.strength(timing),
        sample=sample,
        disturbed=reader.disturbed,
    )
