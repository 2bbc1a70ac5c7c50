"""The contract of readers of a source's frames: of a video, or of a sequence of images."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from types import TracebackType
from typing import Any, Protocol, Self

from paragon_stream.device import DevicePicture
from paragon_stream.frame import FrameData, Timing
from paragon_stream.media.facts.info import Damage, MediaInfo
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.frames.format_changes import FormatChanges


class FrameReader(Protocol):
    """Frames in display order, one format after another where the stream changes. Close it, or use `with`."""

    info: MediaInfo
    frames: int
    """Number of frames that have been read."""

    damaged: bool
    """Whether the frame read last is damaged, or may be predicted from a damaged one. Decoders conceal damage
    differently with other numbers of threads, and H.264's also from one time to the next."""

    data: FrameData
    """The data of the frame read last, for a sink that carries it over."""

    @property
    def changes(self) -> FormatChanges[Any]:
        """The format of the current frames, and all formats so far."""
        ...

    @property
    def picture(self) -> DevicePicture | None:
        """The frame read last if it is in a GPU's memory; the given planes are then unchanged."""
        ...

    def read_into(self, planes: Sequence[Plane]) -> Timing | None:
        """Copy the next frame into `planes` (C-contiguous, `changes.format.plane_shapes`, uint8 or, above 8
        bits, uint16) and return its timing. None at the end, and before a frame of another format. Raises
        InputError."""
        ...

    def strength(self, timing: Timing) -> float:
        """The compression strength of the frame read last, 0…1."""
        ...

    @property
    def strength_source(self) -> str:
        """The source of the strengths, in words."""
        ...

    @property
    def decoder(self) -> str:
        """The decoders of the frames so far, and their devices."""
        ...

    @property
    def damage(self) -> Damage:
        """Damage of the packets and frames so far."""
        ...

    @property
    def depends_on_history(self) -> str:
        """Why the frames so far may differ from those of a reader that began earlier; "" if they cannot."""
        ...

    @property
    def disturbed(self) -> bool:
        """Whether a reader that begins after the frames so far may read different frames, or miss a
        warning."""
        ...

    def go_on(self, frames: int, first: Fraction) -> None:
        """Continue the counts of another reader, which has read `frames` frames, the first of them shown at
        `first` (seconds of the source's timestamps). The frames read so far repeat the last of those."""
        ...

    @property
    def repairs(self) -> list[str]:
        """The part of `warnings` that also counts frames outside the cut."""
        ...

    @property
    def warnings(self) -> list[str]:
        """One sentence for each kind of problem so far; complete after the last frame."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
