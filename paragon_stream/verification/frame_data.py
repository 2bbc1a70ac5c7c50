"""Compares the data of frames that are shown at the same time: closed captions and HDR10+."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from paragon_stream.media.facts.side_data import CAPTIONS, HDR10_PLUS
from paragon_stream.number_text import counted
from paragon_stream.verification.findings import Check, Finding, in_seconds
from paragon_stream.verification.matching import Match

FRAME_DATA = {Check.CAPTIONS: CAPTIONS, Check.HDR10_PLUS: HDR10_PLUS}
"""The checks here → the kind of data that each compares."""


class FrameDataCheck:
    """Takes all matches in order, then returns `findings`."""

    def __init__(self) -> None:
        self._wrong: dict[Check, list[Fraction]] = {check: [] for check in FRAME_DATA}
        """Times of frames with other data than the source's."""

    def add(self, match: Match) -> None:
        """Add the next match. `TimeCheck` reports single frames."""
        source, output = match.source, match.output
        if source is None or output is None:
            return
        if output.data.captions != source.data.captions:
            self._wrong[Check.CAPTIONS].append(output.time)
        if output.data.hdr10_plus != source.data.hdr10_plus:
            self._wrong[Check.HDR10_PLUS].append(output.time)

    def findings(self) -> Iterator[Finding]:
        """Frames with other data."""
        for check, times in self._wrong.items():
            if times:
                yield Finding(
                    check=check,
                    message=f"{counted(len(times), 'frame')} without the source's {FRAME_DATA[check]}",
                    seconds=in_seconds(times[0]),
                )
