"""The treatments of interlaced video, and the frame rate and time base that each of them gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from paragon_stream.errors import UsageError


class Deinterlace(StrEnum):
    """The method that makes progressive frames from fields."""

    AUTO = "auto"
    """BWDIF for frames that the stream flags as interlaced; other frames stay unchanged."""
    OFF = "off"
    """Both fields stay woven into one frame."""
    BWDIF = "bwdif"
    """Every frame, independent of its flags; one frame for two fields."""
    BWDIF_2X = "bwdif-2x"
    """A frame for every field: double rate, all of the motion."""
    YADIF = "yadif"


class Parity(StrEnum):
    """The field that is shown first; the values are FFmpeg's."""

    AUTO = "auto"
    """The flag of each frame."""
    TOP = "tff"
    BOTTOM = "bff"


@dataclass(frozen=True, kw_only=True)
class FieldJob:
    """The treatment of one stream. `only_flagged` leaves frames alone that are not flagged as interlaced."""

    method: Deinterlace = Deinterlace.BWDIF
    parity: Parity = Parity.AUTO
    only_flagged: bool = True
    film: bool = False
    """Telecined film: the fields of a film picture are put together again, and the repeated ones left out."""

    @property
    def rate_factor(self) -> Fraction:
        """Frames out per frame in."""
        if self.film:
            return Fraction(4, 5)
        return Fraction(2 if self.method is Deinterlace.BWDIF_2X else 1)

    @property
    def ticks(self) -> int:
        """Ticks of the resulting time base per tick of the source's."""
        if self.film:
            return 4
        return 2 if self.method is Deinterlace.BWDIF_2X else 1

    def __str__(self) -> str:
        order = {Parity.TOP: ", top field first", Parity.BOTTOM: ", bottom field first"}.get(self.parity, "")
        if self.film:
            return f"inverse telecine{order}"
        flagged = " where flagged" if self.only_flagged else ""
        return f"{self.method}{flagged}{order}"


def parse_method(name: str) -> Deinterlace:
    """The choice called `name`. Raises UsageError."""
    try:
        return Deinterlace(name)
    except ValueError:
        known = ", ".join(Deinterlace)
        raise UsageError(f"--deinterlace {name} is not known: choose one of {known}") from None
