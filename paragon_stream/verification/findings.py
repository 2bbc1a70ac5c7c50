"""The findings of a verification, and their report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fractions import Fraction


class Check(StrEnum):
    """What is compared."""

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
    PICTURE = "picture"
    QUALITY = "quality"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with the output; `seconds` is when, on the output's clock, if that is known."""

    check: Check
    message: str
    seconds: float | None = None

    def __str__(self) -> str:
        where = "" if self.seconds is None else f" (first at {self.seconds:.3f} s)"
        return f"{self.check}: {self.message}{where}"


@dataclass(frozen=True, kw_only=True)
class PlaneFigures:
    """How one plane of the output, shrunk to the source's size, differs from the source's. 8-bit codes."""

    name: str
    """Y, U, V, R, G, B or A."""
    mean_shift: float
    """Output minus source, mean over the clip."""
    largest_shift: float
    """The largest mean shift of a single frame, without its sign."""
    contrast: float | None
    """Slope of the output's cell means over the source's; 1 is right, None where the picture is flat."""
    offset: tuple[float, float] | None
    """How far the plane is shifted to the right and down, in samples of the source's plane; None where
    nothing shows it."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The result of `verify`. `ok` if nothing is wrong."""

    source: str
    output: str
    frames: int
    """Frames of the output that were compared with their source frame."""
    checks: tuple[Check, ...]
    """What was compared."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Check → why it was not made."""
    findings: tuple[Finding, ...] = ()
    planes: tuple[PlaneFigures, ...] = ()
    quality: tuple[float, float] | None = None
    """PSNR of luma to the source, shrunk, over sampled pieces: the output, and a Lanczos enlargement encoded
    the same; dB."""

    @property
    def ok(self) -> bool:
        return not self.findings

    def to_json(self) -> str:
        """The result as indented JSON, with a newline at the end."""
        return json.dumps({"ok": self.ok, **asdict(self)}, indent=2, ensure_ascii=False, default=str) + "\n"


def in_seconds(time: Fraction | float | None) -> float | None:
    """A time for a finding."""
    return None if time is None else float(time)
