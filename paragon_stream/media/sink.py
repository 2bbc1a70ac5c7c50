"""The contract of sinks for upscaled frames, a sink that discards them, and the choice of a sink."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from paragon_stream.device import DevicePicture
from paragon_stream.frame import FrameData, Timing
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
        """Number of frames at the beginning that an earlier run has written; the next frame follows them."""
        ...

    @property
    def journal(self) -> Journal | None:
        """The journal of the render, if it can be resumed."""
        ...

    @property
    def bytes_written(self) -> int:
        """Bytes written so far."""
        ...

    def attach(self, data: FrameData) -> None:
        """Data of the frame that is written next; only of the kinds that the plan carries."""
        ...

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        """Take one frame: C-contiguous planes shaped as `FrameFormat.plane_shapes`, uint8 or uint16.

        They are copied before the call returns. Raises OutputError.
        """
        ...

    def write_picture(self, picture: DevicePicture, timing: Timing) -> None:
        """Take one frame from a GPU's memory: a picture of the `results` that the sink was opened with.

        The sink keeps the picture until the encoder releases it. Raises OutputError.
        """
        ...

    def repeat(self, timing: Timing) -> None:
        """Write the last frame once more, at another time. Raises OutputError."""
        ...

    def finish(self) -> None:
        """Write the last packets and give the output its final name. Raises OutputError."""
        ...

    def give_up(self) -> None:
        """End a call that waits for the reader of the output; what it writes may be incomplete. From any
        thread."""
        ...

    def abort(self) -> None:
        """Stop without finishing; never raises, and Ctrl-C does not interrupt it. Nothing appears under the
        final name."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_sink(plan: OutputPlan, info: MediaInfo, results: DeviceFrames | None = None) -> Sink:
    """The sink of `plan`; with `results`, a file's sink takes its frames from a GPU's memory. Raises
    OutputError."""
    if plan.container is not None:
        return VideoWriter(plan, info, results)
    if plan.image is not None:
        return SequenceWriter(plan, info)
    work = WorkDir(plan.destination, overwrite=plan.options.overwrite) if plan.destination else None
    return Y4mWriter(plan.target, plan.rate, work=work)
