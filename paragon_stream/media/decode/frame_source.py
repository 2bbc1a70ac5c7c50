"""Where a reader's decoded frames come from: the contract that a file's decoder and a live feed keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av

from paragon_stream.media.facts.info import Damage
from paragon_stream.media.quantisers.meter import Reading


@dataclass(frozen=True, kw_only=True)
class LeftGpu:
    """Why the GPU decodes no more, and behind how many frames of its own."""

    reason: str
    frames: int


class FrameSource(Protocol):
    """Iterates over decoded frames in presentation order; what it says of them holds for the latest."""

    left_gpu: LeftGpu | None
    """Set once the CPU decodes instead of the GPU."""
    first_pts: int | None
    """The earliest stamp of the packets sent before the first frame came out."""
    gave_up: str | None
    """Why the rest could not be read, if it could not."""

    @property
    def name(self) -> str:
        """What decodes, and where it runs."""
        ...

    @property
    def damage(self) -> Damage:
        """What was wrong so far."""
        ...

    def __iter__(self) -> Iterator[av.VideoFrame]: ...

    def reading(self, frame: av.VideoFrame) -> Reading | None:
        """How hard `frame` was quantised; None if that is not known. Ask once."""
        ...

    def aspect(self, frame: av.VideoFrame) -> Fraction | None:
        """The shape of the samples of `frame`; None where nothing says it."""
        ...

    def close(self) -> None: ...
