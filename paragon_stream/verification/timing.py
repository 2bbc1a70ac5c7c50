"""Compares the number of frames and their times."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from paragon_stream.number_text import counted
from paragon_stream.verification.findings import Check, Finding, in_seconds
from paragon_stream.verification.matching import Match


class TimeCheck:
    """Takes all matches in order, then returns `findings`. `tick` is the output's unit of time, in
    seconds."""

    def __init__(self, tick: Fraction) -> None:
        self._tick = tick
        self._tolerance = tick * 3 / 2 + Fraction(1, 10_000)
        self._earliest: Fraction | None = None
        """The earliest time of the next frame: no two frames share a tick of the output."""
        self._missing: list[Fraction] = []
        self._extra: list[Fraction] = []
        self._late: list[tuple[Fraction, Fraction]] = []
        """Time and error of frames that are shown at another time."""
        self._last_missing = False
        self.frames = 0

    def add(self, match: Match) -> None:
        """Add the next match."""
        source, output = match.source, match.output
        self._last_missing = output is None
        if source is not None and output is not None:
            self.frames += 1
            expected = source.time if self._earliest is None else max(source.time, self._earliest)
            self._earliest = expected + self._tick
            error = output.time - expected
            if abs(error) > self._tolerance:
                self._late.append((output.time, error))
        elif source is not None:
            self._missing.append(source.time)
        elif output is not None:
            self._extra.append(output.time)

    def findings(self) -> Iterator[Finding]:
        """Missing, additional and moved frames."""
        if self._missing:
            at_end = " at the end" if self._last_missing else ""
            yield Finding(
                check=Check.FRAMES,
                message=f"{counted(len(self._missing), 'frame')} of the source missing{at_end}",
                seconds=in_seconds(self._missing[0]),
            )
        if self._extra:
            yield Finding(
                check=Check.FRAMES,
                message=f"{counted(len(self._extra), 'frame')} that the source does not have",
                seconds=in_seconds(self._extra[0]),
            )
        if self._late:
            worst = max((error for _, error in self._late), key=abs)
            late = counted(len(self._late), "frame")
            yield Finding(
                check=Check.TIMES,
                message=f"{late} shown at another time ({float(worst) * 1000:+.1f} ms)",
                seconds=in_seconds(self._late[0][0]),
            )
