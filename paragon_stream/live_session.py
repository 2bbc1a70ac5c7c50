"""A live session: its three stages, and the reports about it while it runs.

The pipeline is the same as for files, except for the channels after the first two stages: they never block.
If the next stage is busy, a newer frame replaces the waiting one, so nothing queues up. The age of a
delivered frame is at most the rest of the previous frame's computation, its own computation, the rest of the
previous frame's delivery and its own delivery.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
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
from paragon_stream.pipeline.pipeline import PipelineStats, Progress
from paragon_stream.pipeline.slot import Completion, Slot
from paragon_stream.pipeline.stage import Overflow, Stage
from paragon_stream.pipeline.trace import Trace
from paragon_stream.render.strengths import Strengths
from paragon_stream.runtimes import Plane
from paragon_stream.upscaler import Upscaler

TICK = 0.1
"""Seconds between two checks for Ctrl-C and `stop`."""
_REPORT = 0.5
"""Seconds between two reports of progress."""
_WINDOW = 4.0
"""Seconds over which rates are measured."""
_GRACE, _LONG_GRACE = 3.0, 10.0
"""Seconds that a slow reader of the output has for the last frames: after a stop, and after the source's
end."""
_LOST, _FEW = 0.1, 8
"""The share and the number of frames that may be dropped before the session is reported as too slow."""


@dataclass(frozen=True, kw_only=True)
class LiveProgress:
    """The state of a live session. Rates are those of the last four seconds."""

    seconds: float
    frames_in: int
    frames_out: int
    dropped: int
    fps_in: float
    fps_out: float
    latency: float
    """Seconds from capture to delivery of the latest frame."""
    bytes_out: int


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
            self._captions.add(slot.timing.pts * slot.timing.time_base, self._reader.captions)
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
            # Captions of frames that were dropped are delivered with the next one.
            if captions := self._captions.take(slot.timing.pts * slot.timing.time_base):
                self.sink.caption(captions)
            try:
                self.sink.write(slot.outputs, slot.timing)
            except ConsumerGone as left:
                self.gone = str(left)
                self.feed.stop()
                return False
            except OutputError as broke:
                self.lost += 1  # when the output is back, this frame is too old for it
                return self._came_back(broke)
            now, begin = perf_counter(), self.feed.arrival(slot.timing)
            self.latency.add(now - begin)
            if self._trace is not None:
                self._trace.add("capture to delivery", f"frame {self.delivered}", begin, now)
            self.delivered += 1
            return True

        def finish() -> None:
            if self._reader.changes.ended or self.gone is not None:
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
        time = timing.pts * timing.time_base
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


class LiveMeter:
    """Runs on the main thread ten times a second: checks for a stop, reports progress, events and
    slowness."""

    def __init__(
        self,
        session: LiveSession,
        on_progress: Callable[[LiveProgress], None] | None,
        on_event: Callable[[str], None],
    ) -> None:
        self._session, self._on_event = session, on_event
        self._on_progress = on_progress
        self._begin = self._due = perf_counter()
        self._steady_since = self._begin
        """The time since which the measured rates depend only on this machine."""
        self._seen: deque[tuple[float, int, int, int]] = deque()
        """Times, with the numbers of frames captured, computed and delivered until then; of the last
        seconds."""
        self._reported_slow = False
        self._over_since: float | None = None

    def __call__(self, progress: Progress) -> None:
        try:
            self._look()
        except BaseException:
            self._session.feed.stop()
            raise

    def _look(self) -> None:
        session, now = self._session, perf_counter()
        if session.stopping:
            session.feed.stop()
        if session.feed.over:
            self._over_since = now if self._over_since is None else self._over_since
            waited = now - self._over_since > (_GRACE if session.stopping else _LONG_GRACE)
            waited |= session.stopping.urgent or session.sink.away  # no more frames follow
            if waited:
                session.sink.give_up()
        self.report_events()
        self._seen.append((now, session.frames_in, session.computed, session.delivered))
        while now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        if session.sink.away:
            self._steady_since = now
        if not self._reported_slow and now - self._steady_since > 1.5 * _WINDOW and not session.stopping:
            self._report_slowness()
        if self._on_progress is not None and now >= self._due:
            self._due = now + _REPORT
            self._on_progress(self._progress(now))

    def run_ended(self, run: PipelineStats) -> None:
        """Nothing: the counts cover all runs."""

    def report_events(self) -> None:
        """Report the events of the threads of source and output."""
        events = self._session.feed.events
        while events:
            self._on_event(events.popleft())
        for event in self._session.sink.take_events():
            self._on_event(event)

    def _rates(self) -> tuple[float, float, float]:
        """Frames a second: captured, computed, delivered."""
        first, last = self._seen[0], self._seen[-1]
        seconds = max(last[0] - first[0], 1e-9)
        came, computed, delivered = ((b - a) / seconds for a, b in zip(first[1:], last[1:], strict=True))
        return came, computed, delivered

    def _progress(self, now: float) -> LiveProgress:
        session = self._session
        came, _, delivered = self._rates()
        return LiveProgress(
            seconds=now - self._begin,
            frames_in=session.frames_in,
            frames_out=session.delivered,
            dropped=max(0, session.frames_in - session.delivered),
            fps_in=came,
            fps_out=delivered,
            latency=session.latency.latest,
            bytes_out=session.sink.bytes_written,
        )

    def _report_slowness(self) -> None:
        came, computed, delivered = self._rates()
        lost = (came - delivered) * _WINDOW
        if delivered >= (1 - _LOST) * came or lost < _FEW:
            return
        self._reported_slow = True
        rest = "the others are dropped to keep the latency low"
        if computed - delivered > came - computed:
            what = (
                f"the output takes {delivered:.1f} of {came:.1f} frames a second; {rest}:"
                " a smaller picture, a faster --preset, a lower --bitrate or --codec nvenc would help"
            )
        else:
            what = (
                f"this machine upscales {computed:.1f} of {came:.1f} frames a second; {rest}:"
                " a smaller picture (--region, --input-size), a lower --fps or a GPU would help"
            )
        self._on_event(what)
