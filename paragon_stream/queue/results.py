"""The results of a run over many files."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from paragon_stream.report import ImageResult, JsonReport, Report
from paragon_stream.verification.findings import Verification


class Outcome(StrEnum):
    """The result of one file."""

    FINISHED = "finished"
    LEFT = "left alone"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """The result of one file. `error` is a sentence about its failure; `render` or `image` is its report."""

    job: str
    """The name of the attempt, also in the journal."""
    source: str
    destination: str
    outcome: Outcome
    error: str = ""
    kind: str = ""
    """The class of the error."""
    seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    render: Report | None = None
    image: ImageResult | None = None
    verification: Verification | None = None
    """The comparison with the source, if it was requested."""


@dataclass(frozen=True, kw_only=True)
class QueueReport(JsonReport):
    """A run over many files, as `paragon_stream.upscale_all` returns it and `--report FILE.json` stores."""

    destination: str
    files: tuple[FileResult, ...]
    compiled: int
    """Engines that were compiled for videos: one for each format, size and weights."""
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    warnings: tuple[str, ...] = ()
    """Warnings about the whole run."""

    def of(self, outcome: Outcome) -> tuple[FileResult, ...]:
        """The files that ended so."""
        return tuple(each for each in self.files if each.outcome is outcome)

    @property
    def failed(self) -> tuple[FileResult, ...]:
        return self.of(Outcome.FAILED)
