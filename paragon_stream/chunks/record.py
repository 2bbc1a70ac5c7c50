"""The facts of a rendered chunk, as JSON beside its file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from itertools import groupby
from typing import Any

from paragon_stream.errors import OutputError
from paragon_stream.frame import Timing
from paragon_stream.json_text import json_text

type Stamps = list[tuple[str, list[tuple[int, int]]]]
"""Runs of frames with one time base: it, in seconds, and (pts, duration) of each frame."""


@dataclass(frozen=True, kw_only=True)
class ChunkRecord:
    """One rendered chunk. Times are the source's, so that the join places each frame like a single render."""

    number: int
    plan: str = ""
    """`ChunkPlan.digest`; "" in records of earlier versions."""
    file: str
    """Its name in the folder of chunks; "" if there is no frame in the range."""
    sha256: str
    bytes: int
    headers: str
    """See `headers_digest`."""
    delay: int
    """See `Piece.delay`."""
    stamps: Stamps
    formats: list[dict[str, Any]] = field(default_factory=list)
    """`FormatReport`s."""
    damage: dict[str, int] = field(default_factory=dict)
    strength: dict[str, Any] | None = None
    """A `StrengthReport`."""
    warnings: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    """Warnings that count, like `damage`, everything that was decoded for the chunk."""
    decoder: str
    engine: str
    precision: str
    device: str
    node: str
    """The name of the machine."""
    from_start: str = ""
    """Why the file was read from its beginning; "" if it was not."""
    fetched_bytes: int = 0
    """Bytes of the source that a machine without access to it fetched for this chunk and for the start of its
    session."""
    opening_seconds: float = 0.0
    """Time of the session's start, for the first chunk of a process."""
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int = 0

    @property
    def frames(self) -> int:
        return sum(len(run) for _, run in self.stamps)

    def timings(self) -> Iterator[Timing]:
        """The timing of every frame, in order."""
        for base, run in self.stamps:
            unit = Fraction(base)
            for pts, duration in run:
                yield Timing(pts=pts, duration=duration, time_base=unit)

    def to_json(self) -> str:
        return json_text(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> ChunkRecord:
        """The record from the text of `to_json`. Raises OutputError for other texts."""
        try:
            found = json.loads(text)
            stored = [each.name for each in fields(cls) if each.name != "plan" or "plan" in found]
            return cls(**{name: found[name] for name in stored})
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(f"this is not the record of a chunk: {error!r}") from None


def stamps_of(timings: Sequence[Timing]) -> Stamps:
    """`timings` as a record holds them."""
    return [
        (str(base), [(each.pts, each.duration) for each in run])
        for base, run in groupby(timings, key=lambda timing: timing.time_base)
    ]
