"""The contract of a source of decoded frames: a file's decoder or a live feed."""

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
    """Why the GPU stopped decoding, and after how many frames."""

    reason: str
    frames: int


class FrameSource(Protocol):
    """Iterates over decoded frames in presentation order. All properties describe the state at the latest
    frame."""

    left_gpu: LeftGpu | None
    """Set once the CPU decodes instead of the GPU."""
    first_pts: int | None
    """The earliest timestamp of the packets sent before the first frame was decoded."""
    gave_up: str | None
    """Why the rest could not be read; "" if all of it was read."""

    @property
    def name(self) -> str:
        """The decoder and the device that it runs on."""
        ...

    @property
    def damage(self) -> Damage:
        """Damage found so far."""
        ...

    def __iter__(self) -> Iterator[av.VideoFrame]: ...

    def reading(self, frame: av.VideoFrame) -> Reading | None:
        """The quantiser of `frame`; None if unknown. Call it once per frame."""
        ...

    def aspect(self, frame: av.VideoFrame) -> Fraction | None:
        """The sample aspect ratio of `frame`; None if unspecified."""
        ...

    def is_corrupt(self, frame: av.VideoFrame) -> bool:
        """Whether a part of `frame` is damaged."""
        ...

    def close(self) -> None: ...
