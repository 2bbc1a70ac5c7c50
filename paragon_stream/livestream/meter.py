"""The reports about a live session while it runs: progress, events, and whether it is too slow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from paragon_stream.livestream.session import LiveSession
from paragon_stream.pipeline.pipeline import PipelineStats, Progress

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
        self._reconnects = 0
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
        # A source that is back sends the pictures of its first second at once.
        if session.sink.away or session.feed.reconnects != self._reconnects:
            self._steady_since, self._reconnects = now, session.feed.reconnects
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
