"""Records the times of all parts of a run as a Chrome trace, for ui.perfetto.dev or chrome://tracing.

Format: "Trace Event Format", complete events (`ph: X`) in microseconds, one `tid` per track.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True)
class TraceSpan:
    """A period of time on a track, in seconds of `perf_counter`."""

    track: str
    name: str
    begin: float
    end: float


class Trace:
    """Collects spans from any thread. Tracks are shown in the order of their first use."""

    def __init__(self) -> None:
        self._zero = perf_counter()
        self._tracks: dict[str, int] = {}
        self._spans: list[TraceSpan] = []
        self._lock = threading.Lock()

    @property
    def spans(self) -> tuple[TraceSpan, ...]:
        return tuple(self._spans)

    def track(self, name: str) -> None:
        """Reserve the next place from the top for the track `name`, before its first span."""
        with self._lock:
            self._tracks.setdefault(name, len(self._tracks) + 1)

    def add(self, track: str, name: str, begin: float, end: float) -> None:
        """Record a span; `begin` and `end` are seconds of `perf_counter`."""
        self.track(track)
        self._spans.append(TraceSpan(track, name, begin, max(begin, end)))

    @contextmanager
    def span(self, track: str, name: str) -> Iterator[None]:
        """Record the time of the block, even if it fails."""
        begin = perf_counter()
        try:
            yield
        finally:
            self.add(track, name, begin, perf_counter())

    def to_json(self) -> str:
        """The trace file's content."""
        process = {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "paragon-stream"}}
        events: list[dict[str, object]] = [process]
        for name, number in self._tracks.items():
            about = {"ph": "M", "pid": 1, "tid": number}
            events.append({**about, "name": "thread_name", "args": {"name": name}})
            events.append({**about, "name": "thread_sort_index", "args": {"sort_index": number}})
        events += [
            {
                "ph": "X",
                "pid": 1,
                "tid": self._tracks[span.track],
                "name": span.name,
                "cat": span.track,
                "ts": round((span.begin - self._zero) * 1e6, 3),
                "dur": round((span.end - span.begin) * 1e6, 3),
            }
            for span in sorted(self._spans, key=lambda span: span.begin)
        ]
        return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, separators=(",", ":")) + "\n"
