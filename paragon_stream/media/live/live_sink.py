"""The contract of a live session's output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from paragon_stream.errors import OutputError
from paragon_stream.frame import FrameData, Timing
from paragon_stream.media.ffmpeg.planes import Plane


class LiveAnswers(Protocol):
    """Properties of an output that a live session needs in addition to writing frames.

    The default bodies describe an output without sound that is opened once and never waits; outputs inherit
    them and override those that differ.
    """

    @property
    def sound_codec(self) -> str | None:
        """The codec of the sound in the output; None without sound."""
        return None

    @property
    def away(self) -> bool:
        """Whether the output has broken off and is being opened again."""
        return False

    @property
    def reconnects(self) -> int:
        """Number of times that the output was opened again."""
        return 0

    def take_events(self) -> list[str]:
        """Sentences about the events since the last call, oldest first. Any thread may call this."""
        return []

    def attach(self, data: FrameData) -> None:
        """Data of the frame that is written next; only of the kinds that the plan carries."""
        return

    def reopen(self, broke: OutputError) -> bool:
        """Open the output again after the error `broke`; returns when that has succeeded.

        Returns False if `give_up` ended the attempts. Raises OutputError if the output stays closed.
        """
        raise broke

    def give_up(self) -> None:
        """End a write or an attempt that waits for a slow reader or server. From any thread."""
        return


class LiveSink(LiveAnswers, Protocol):
    """Takes frames in display order, then `finish` or `abort`; called from one thread at a time.

    See `media.sink.Sink`, the contract of a file's sink.
    """

    @property
    def warnings(self) -> list[str]:
        """Sentences for the user, collected while the sink works."""
        ...

    @property
    def bytes_written(self) -> int:
        """Bytes written so far."""
        ...

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        """Take one frame. Raises OutputError, and ConsumerGone where the reader of a pipe has closed it."""
        ...

    def finish(self) -> None:
        """Write the last packets and end the output. Raises OutputError."""
        ...

    def abort(self) -> None:
        """Stop without finishing; never raises."""
        ...
