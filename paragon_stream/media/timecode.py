"""SMPTE timecodes (ST 12-1): "01:02:03:04", or "01:02:03;04" where numbers of frames are dropped."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

_TEXT = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")


@dataclass(frozen=True, order=True)
class Timecode:
    """The time of a frame. `mark` stands before its number: ";" or "." if numbers are dropped, else ":".

    Drop-frame timecodes leave out two numbers in every minute but each tenth, or four at 60 frames a second.
    """

    hours: int
    minutes: int
    seconds: int
    frames: int
    mark: str = ":"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The timecode that `text` is; None if it is none."""
        match = _TEXT.fullmatch(text.strip())
        return match and cls(int(match[1]), int(match[2]), int(match[3]), int(match[5]), match[4])

    @classmethod
    def counted(
        cls, hours: int, minutes: int, seconds: int, frames: int, *, drop: bool, nominal: int
    ) -> Self:
        """The timecode of a frame in video of `nominal` frames per second.

        `drop` is the flag of the file; it has no meaning at rates that are no multiples of 30.
        """
        return cls(hours, minutes, seconds, frames, ";" if drop and nominal % 30 == 0 else ":")

    def __str__(self) -> str:
        return f"{self.hours:02}:{self.minutes:02}:{self.seconds:02}{self.mark}{self.frames:02}"

    @property
    def is_zero(self) -> bool:
        return not any((self.hours, self.minutes, self.seconds, self.frames))

    def exists(self, nominal: int) -> bool:
        """Whether a clock of `nominal` frames per second shows it."""
        return self.hours < 24 and self.minutes < 60 and self.seconds < 60 and self.frames < nominal

    def later(self, frames: int, nominal: int) -> Self:
        """`frames` frames later, at `nominal` frames per second. Timecodes run over at 24 hours."""
        drop = nominal // 15 if self.mark in ";." and nominal % 30 == 0 else 0
        total = self.minutes + 60 * self.hours
        number = (60 * total + self.seconds) * nominal + self.frames - drop * (total - total // 10) + frames
        per_minute, per_ten = 60 * nominal - drop, 600 * nominal - 9 * drop
        number %= 144 * per_ten
        tens, rest = divmod(number, per_ten)
        if drop and rest >= 60 * nominal:
            number += drop * (1 + (rest - 60 * nominal) // per_minute)
        number += 9 * drop * tens
        seconds, frame = divmod(number, nominal)
        return replace(
            self, hours=seconds // 3600, minutes=seconds // 60 % 60, seconds=seconds % 60, frames=frame
        )

    def counted_at(self, factor: Fraction) -> Self:
        """The same time of the clock in frames that come `factor` times as often.

        Film (24 frames per second) drops no numbers.
        """
        return replace(self, frames=int(self.frames * factor), mark=self.mark if factor >= 1 else ":")
