"""Where upscaled frames go: the contract, the sink that swallows everything, and the choice of one."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from paragon_stream.frame import Timing
from paragon_stream.media.encode.device_frames import DeviceFrames
from paragon_stream.media.encode.workdir import WorkDir
from paragon_stream.media.encode.y4m import Y4mWriter
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.images.sequence_writer import SequenceWriter
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.media.safekeeping.journal import Journal


class Sink(Protocol):
    """Takes frames in display order, then `finish` or `abort`; called from one thread at a time.

    Leaving a `with` block without `finish` aborts; after `finish` that does nothing. `warnings` collects
    sentences for the user while the sink works.
    """

    warnings: list[str]

    @property
    def done(self) -> int:
        """Frames at the beginning that an earlier run has written; the next one is behind them."""
        ...

    @property
    def journal(self) -> Journal | None:
        """What keeps the work of an interrupted render, where it can be gone on with."""
        ...

    @property
    def bytes_written(self) -> int:
        """How much has been written so far."""
        ...

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        """Take one frame: C-contiguous planes shaped as `FrameFormat.plane_shapes`, uint8 or uint16.

        They are copied before the call returns. Raises OutputError.
        """
        ...

    def repeat(self, timing: Timing) -> None:
        """Take the frame that was written last once more, at another time. Raises OutputError."""
        ...

    def finish(self) -> None:
        """Write what is still held back and give the output its final name. Raises OutputError."""
        ...

    def abort(self) -> None:
        """Stop without finishing; never raises. Nothing appears under the final name."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NullSink:
    """Counts frames and keeps nothing: for measuring."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.frames = 0
        self.bytes_written = 0

    done = 0
    journal = None

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        self.frames += 1

    def repeat(self, timing: Timing) -> None:
        self.frames += 1

    def finish(self) -> None:
        return None

    def abort(self) -> None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def open_sink(plan: OutputPlan, info: MediaInfo, results: DeviceFrames | None = None) -> Sink:
    """The sink that carries out `plan`; a file's may be given pictures of `results`. Raises OutputError."""
    if plan.container is not None:
        return VideoWriter(plan, info, results)
    if plan.image is not None:
        return SequenceWriter(plan, info)
    work = WorkDir(plan.destination, overwrite=plan.options.overwrite) if plan.destination else None
    return Y4mWriter(plan.target, plan.rate, work=work)
