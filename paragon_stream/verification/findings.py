"""The findings of a verification, and their report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fractions import Fraction

from paragon_stream.json_text import json_text


class Check(StrEnum):
    """One comparison."""

    DECODING = "decoding"
    FRAMES = "frames"
    TIMES = "times"
    STREAMS = "streams"
    PACKETS = "packets"
    SYNC = "audio/video sync"
    ATTACHMENTS = "attachments"
    CHAPTERS = "chapters"
    TAGS = "tags"
    FORMAT = "format"
    COLOUR_TAGS = "colour tags"
    HDR = "HDR metadata"
    CAPTIONS = "closed captions"
    HDR10_PLUS = "HDR10+"
    PICTURE = "picture"
    QUALITY = "quality"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A difference between the output and what was expected; `seconds` is its time on the output's clock, or
    None."""

    check: Check
    message: str
    seconds: float | None = None

    def __str__(self) -> str:
        where = "" if self.seconds is None else f" (first at {self.seconds:.3f} s)"
        return f"{self.check}: {self.message}{where}"


@dataclass(frozen=True, kw_only=True)
class PlaneFigures:
    """Differences between one plane of the output, shrunk to the source's size, and the source's plane. In
    8-bit codes."""

    name: str
    """Y, U, V, R, G, B or A."""
    mean_shift: float
    """Output minus source, mean over the clip."""
    largest_shift: float
    """The largest absolute mean shift of one frame."""
    contrast: float | None
    """Slope of the output's cell means over the source's: 1 is correct; None if the picture is flat."""
    offset: tuple[float, float] | None
    """The shift of the plane to the right and down, in samples of the source's plane; None if it cannot be
    determined."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The result of `verify`. `ok` if nothing is wrong."""

    source: str
    output: str
    frames: int
    """Number of frames whose pictures were compared with the source's."""
    checks: tuple[Check, ...]
    """The comparisons that were made."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Comparisons that were not made, each with the reason."""
    findings: tuple[Finding, ...] = ()
    planes: tuple[PlaneFigures, ...] = ()
    quality: tuple[float, float] | None = None
    """PSNR (dB) of luma, shrunk to the source's size, over sampled pieces: of the output, and of a Lanczos
    enlargement with the same encoder."""

    @property
    def ok(self) -> bool:
        return not self.findings

    def to_json(self) -> str:
        """The result as indented JSON, with a newline at the end."""
        return json_text({"ok": self.ok, **asdict(self)}) + "\n"


def in_seconds(time: Fraction | float | None) -> float | None:
    """The time of a finding, in seconds."""
    return None if time is None else float(time)
