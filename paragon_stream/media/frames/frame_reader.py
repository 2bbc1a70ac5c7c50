"""The contract of what reads a source's frames: a video's reader, or that of a sequence of images."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from types import TracebackType
from typing import Any, Protocol, Self

from paragon_stream.device import DevicePicture
from paragon_stream.frame import Timing
from paragon_stream.media.facts.info import Damage, MediaInfo
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.frames.format_changes import FormatChanges


class FrameReader(Protocol):
    """Frames in display order, one format after another where the stream changes. Close it, or use `with`."""

    info: MediaInfo
    frames: int
    """How many have been read."""

    @property
    def changes(self) -> FormatChanges[Any]:
        """The format of the frames that come now, and of all so far."""
        ...

    @property
    def picture(self) -> DevicePicture | None:
        """The frame read last, where it stays in a GPU's memory; then the planes given are untouched."""
        ...

    def read_into(self, planes: Sequence[Plane]) -> Timing | None:
        """Copy the next frame into `planes` (C-contiguous, `changes.format.plane_shapes`, uint8 or, above 8
        bits, uint16) and return its timing. None at the end, and before a frame of another format. Raises
        InputError."""
        ...

    def strength(self, timing: Timing) -> float:
        """How hard the frame read last was compressed, 0…1."""
        ...

    @property
    def strength_source(self) -> str:
        """How that is known, in words."""
        ...

    @property
    def decoder(self) -> str:
        """What decoded the frames so far, and where."""
        ...

    @property
    def damage(self) -> Damage:
        """What was wrong with the packets and frames so far."""
        ...

    @property
    def depends_on_history(self) -> str:
        """Why the frames so far might be others if reading had begun earlier; "" where nothing says so."""
        ...

    @property
    def disturbed(self) -> bool:
        """Whether a reader that begins behind the frames so far may read others, or miss a warning."""
        ...

    def go_on(self, frames: int, first: Fraction) -> None:
        """The frames read so far repeat the last of `frames` frames that another reader has read, the first
        of them shown at `first` (seconds of the source's stamps)."""
        ...

    @property
    def repairs(self) -> list[str]:
        """Those of `warnings` that count everything read so far, whether in the cut or not."""
        ...

    @property
    def warnings(self) -> list[str]:
        """One sentence for each kind of trouble so far; complete after the last frame."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
