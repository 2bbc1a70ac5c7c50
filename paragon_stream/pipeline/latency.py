"""The latencies of frames as a histogram, whose memory does not grow with the session."""

from __future__ import annotations

_STEP = 0.001
"""Width of a bin in seconds."""
_BINS = 20_000


class LatencyMeter:
    """Counts latencies in bins of a millisecond. Latencies above 20 s count as 20 s."""

    def __init__(self) -> None:
        self.count = 0
        self.maximum = 0.0
        """Seconds, exact."""
        self.latest = 0.0
        self._bins = [0] * _BINS

    def add(self, seconds: float) -> None:
        self.count += 1
        self.latest = seconds
        self.maximum = max(self.maximum, seconds)
        self._bins[min(_BINS - 1, max(0, int(seconds / _STEP)))] += 1

    def quantile(self, part: float) -> float:
        """The latency that `part` (0…1) of all frames do not exceed: seconds, rounded up to milliseconds."""
        wanted, seen = part * self.count, 0
        for number, count in enumerate(self._bins):
            seen += count
            if count and seen >= wanted:
                return min((number + 1) * _STEP, self.maximum)
        return 0.0
