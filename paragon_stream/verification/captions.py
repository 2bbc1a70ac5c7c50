"""Compares the closed captions of frames that are shown at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from paragon_stream.number_text import counted
from paragon_stream.verification.findings import Check, Finding, in_seconds
from paragon_stream.verification.matching import Match


class CaptionCheck:
    """Takes all matches in order, then returns `findings`."""

    def __init__(self) -> None:
        self._wrong: list[Fraction] = []
        """Times of frames with other captions than the source's."""

    def add(self, match: Match) -> None:
        """Add the next match. `TimeCheck` reports single frames."""
        source, output = match.source, match.output
        if source is not None and output is not None and output.captions != source.captions:
            self._wrong.append(output.time)

    def findings(self) -> Iterator[Finding]:
        """Frames with other captions."""
        if self._wrong:
            yield Finding(
                check=Check.CAPTIONS,
                message=f"{counted(len(self._wrong), 'frame')} without the source's captions",
                seconds=in_seconds(self._wrong[0]),
            )
