"""A live session: its three stages.

The pipeline is the same as for files, except for the channels after the first two stages: they never block.
If the next stage is busy, a newer frame replaces the waiting one, so nothing queues up. The age of a
delivered frame is at most the rest of the previous frame's computation, its own computation, the rest of the
previous frame's delivery and its own delivery.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from time import perf_counter

from paragon_stream.errors import ConsumerGone, OutputError
from paragon_stream.frame import Timing
from paragon_stream.media.frames.captions import CaptionTrack
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.live.feed import LiveFeed
from paragon_stream.media.live.live_sink import LiveSink
from paragon_stream.pipeline.interrupt import HeldInterrupt
from paragon_stream.pipeline.latency import LatencyMeter
from paragon_stream.pipeline.slot import Completion, Slot
from paragon_stream.pipeline.stage import Overflow, Stage
from paragon_stream.pipeline.trace import Trace
from paragon_stream.render.strengths import Strengths
from paragon_stream.runtimes import Plane
from paragon_stream.upscaler import Upscaler


class Stopping:
    """Whether the user has requested a stop."""

    def __init__(self, interrupt: HeldInterrupt, stop: threading.Event | None) -> None:
        self._interrupt, self._stop = interrupt, stop

    def __bool__(self) -> bool:
        return self._interrupt.pending or (self._stop is not None and self._stop.is_set())

    @property
    def urgent(self) -> bool:
        """Whether a stop was requested twice."""
        return self._interrupt.count > 1


GAP = Fraction(1, 2)
"""Seconds between two frames after which the video mode restarts."""


class LiveSession:
    """The work functions of the three stages, and their counts."""

    def __init__(
        self,
        feed: LiveFeed,
        reader: VideoReader,
        sink: LiveSink,
        strengths: Strengths,
        trace: Trace | None,
        stopping: Stopping,
    ) -> None:
        self.feed, self.sink, self.stopping = feed, sink, stopping
        self.latency = LatencyMeter()
        self.captured = self.computed = self.delivered = 0
        self.lost = 0
        """Frames that were lost because the output broke off during their delivery."""
        self.gone: str | None = None
        """A sentence, if the reader of the output ended the session; otherwise None."""
        self._over = self._finished = False
        """Whether the output takes no more frames; whether its end was written."""
        self._reader, self._strengths, self._trace = reader, strengths, trace
        self._captions = CaptionTrack()
        self._time: Fraction | None = None
        """The time of the frame computed last, in seconds."""

    @property
    def frames_in(self) -> int:
        return self.captured + self.feed.dropped

    @property
    def failure(self) -> str | None:
        """Why the session failed; None if it ended properly."""
        if self.feed.gave_up is None and not self.delivered and not self.stopping and self.gone is None:
            return f"{self.feed.source.name} ended before a picture could be upscaled"
        return self.feed.gave_up

    @property
    def ended(self) -> str:
        """Why the session ended."""
        if self.gone is not None:
            return self.gone
        if self.failure is not None:
            return self.failure
        return "stopped on request" if self.stopping else self.feed.finished

    def stages(self, upscaler: Upscaler) -> list[Stage[Plane]]:
        """The stages for frames of one format."""
        computing: deque[Completion] = deque()

        def capture(slot: Slot[Plane]) -> bool:
            slot.timing = self._reader.read_into(slot.inputs)
            if slot.timing is None:
                return False
            slot.strength = self._strengths.of(slot.timing)
            slot.data = self._reader.data
            self._captions.add(slot.timing.time, slot.data.captions)
            self.captured += 1
            return True

        def compute(slot: Slot[Plane]) -> None:
            assert slot.timing is not None
            self._note_gap(slot.timing, upscaler)
            slot.completion = upscaler.run(slot.inputs, slot.outputs, slot.strength)
            computing.append(slot.completion)
            # Take a frame only when it can be computed at once: a frame that waited here would grow old.
            if len(computing) >= upscaler.session.in_flight:
                computing.popleft().wait()
            self.computed += 1

        def deliver(slot: Slot[Plane]) -> bool:
            assert slot.timing is not None
            if self._over:  # and the frames before a change of the format were not the last
                return False
            # Captions of frames that were dropped are delivered with the next one.
            captions = self._captions.take(slot.timing.time)
            if data := replace(slot.data, captions=captions):
                self.sink.attach(data)
            try:
                self.sink.write(slot.outputs, slot.timing)
            except ConsumerGone as left:
                self.gone, self._over = str(left), True
                self.feed.stop()
                return False
            except OutputError as broke:
                self.lost += 1  # when the output is back, this frame is too old for it
                self._over = not self._came_back(broke)
                return not self._over
            now, begin = perf_counter(), self.feed.arrival(slot.timing)
            self.latency.add(now - begin)
            if self._trace is not None:
                self._trace.add("capture to delivery", f"frame {self.delivered}", begin, now)
            self.delivered += 1
            return True

        def finish() -> None:
            if (self._reader.changes.ended or self._over) and not self._finished:
                self._finished = True
                self.sink.finish()

        newest = Overflow.DROP_OLDEST
        return [
            Stage(name="capture", work=capture, overflow=newest),
            Stage(
                name="engine", work=self._or_stop(compute), overflow=newest, room=upscaler.session.in_flight
            ),
            Stage(name="deliver", work=self._or_stop(deliver), finish=finish),
        ]

    def _note_gap(self, timing: Timing, upscaler: Upscaler) -> None:
        """Forget the previous frames after a gap, because the picture may show another scene."""
        time = timing.time
        if self._time is not None and not 0 <= time - self._time <= GAP:
            upscaler.restart()
        self._time = time

    def _came_back(self, broke: OutputError) -> bool:
        """Wait until the output that `broke` off is open again. False if the user stopped the session; else
        raises."""
        back = self.sink.reopen(broke)
        if not back and not self.stopping:
            raise broke  # and the source has ended before it was back
        return back

    def _or_stop(self, work: Callable[[Slot[Plane]], bool | None]) -> Callable[[Slot[Plane]], bool | None]:
        """`work`; if it fails, the source is stopped too, because the first stage may wait for it for
        ever."""

        def guarded(slot: Slot[Plane]) -> bool | None:
            try:
                return work(slot)
            except BaseException:
                self.feed.stop()
                raise

        return guarded
