"""The common part of sinks that take frames from the host's memory only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from paragon_stream.device import DevicePicture
from paragon_stream.frame import FrameData, Timing


class HostSink(ABC):
    """Base of sinks that are never opened with `results` (see `media.sink.Sink`), and store only samples."""

    def write_picture(self, picture: DevicePicture, timing: Timing) -> None:
        """See `Sink.write_picture`. Always raises TypeError."""
        raise TypeError(f"{type(self).__name__} takes frames from the host's memory only")

    def give_up(self) -> None:
        """See `Sink.give_up`: by default nothing waits for a reader."""
        return

    def attach(self, data: FrameData) -> None:
        """See `Sink.attach`. Always raises TypeError."""
        raise TypeError(f"{type(self).__name__} stores only the samples of frames")

    @abstractmethod
    def abort(self) -> None:
        """See `Sink.abort`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()
