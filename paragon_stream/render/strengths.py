"""The strength of compression of every frame of a render."""

from __future__ import annotations

from collections.abc import Iterable

from paragon_stream.frame import Timing
from paragon_stream.media.frames.frame_reader import FrameReader
from paragon_stream.report import StrengthReport


class Strengths:
    """The strength of each frame: measured by the reader `followed`, or `fixed`."""

    def __init__(self, followed: FrameReader | None, fixed: float) -> None:
        self._followed, self._fixed = followed, fixed
        self._low, self._high, self._sum, self._count = 1.0, 0.0, 0.0, 0

    def of(self, timing: Timing) -> float:
        """The strength of the frame that was read last. Call it on the thread that reads."""
        value = self._fixed if self._followed is None else self._followed.strength(timing)
        self._note(value)
        return value

    def go_on(self, earlier: Iterable[float]) -> None:
        """Count frames of an earlier run, with their measured strengths."""
        for value in earlier:
            self._note(self._fixed if self._followed is None else value)

    def _note(self, value: float) -> None:
        self._low, self._high = min(self._low, value), max(self._high, value)
        self._sum, self._count = self._sum + value, self._count + 1

    def report(self) -> StrengthReport | None:
        """Over all frames; None if there were none."""
        if not self._count:
            return None
        return StrengthReport(
            min=self._low,
            mean=self._sum / self._count,
            max=self._high,
            source="as given" if self._followed is None else self._followed.strength_source,
        )
