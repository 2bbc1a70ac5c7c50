"""The contract of runtimes. A `Runtime` compiles a `FrameJob` to a `Session`, which runs it.

The user interface calls a runtime an engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from paragon_stream.device import DevicePicture, DevicePlane
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.planes import Plane
from paragon_stream.pipeline.slot import Completion
from paragon_stream.pipeline.trace import Trace

__all__ = ["Flavour", "Plane", "Precision", "Runtime", "Session", "SessionOptions"]


class Precision(StrEnum):
    """Arithmetic of the network's body; base path, last addition and rounding are always fp32."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"
    """Convolutions that lose little by it, on CPUs; the others in 16 or 32 bits (`runtimes.int8`)."""


class Flavour(StrEnum):
    """The division of the work among threads. The resulting samples are the same."""

    LATENCY = "latency"
    """All threads work on one frame: filters, live sources."""
    THROUGHPUT = "throughput"
    """Several frames in flight, each with a share of the threads: files."""


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """Options of `Runtime.compile`. `threads` = None uses all cores.

    `device` is "cpu", "cuda:N", or several GPUs (`device.discovery.ordinals`). None is the engine's default:
    the first GPU for engines that need one, else the CPU.
    """

    precision: Precision = Precision.AUTO
    threads: int | None = None
    device: str | None = None
    flavour: Flavour = Flavour.LATENCY


class Session(Protocol):
    """A compiled frame job. `run` makes no lasting allocations and keeps no state between frames."""

    job: FrameJob
    engine: str
    """Name of the runtime, as given to `--engine`."""
    precision: Precision
    """The actual precision of the body: never AUTO."""
    in_flight: int
    """Frames that can be computed at once; with fewer slots, threads are idle."""

    @property
    def device(self) -> str:
        """Description of the device: "CPU: AMD EPYC …"."""
        ...

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        """Start upscaling one frame from `inputs` into `outputs`; blocks while `in_flight` others run.

        These are C-contiguous arrays of `job.source.plane_shapes` and `job.target.plane_shapes`. The caller
        owns them and must not touch them until the completion is done. May be called from any thread.
        `strength` (0…1) affects conditioned weights only.

        Raises EngineError, here or from the completion.
        """
        ...

    def close(self) -> None:
        """Wait for the frames in flight and release all resources; `run` afterwards is an error."""
        ...


@runtime_checkable
class DeviceBound(Protocol):
    """Additional methods of sessions on a device."""

    @property
    def reruns(self) -> int:
        """Number of frames that were computed again elsewhere, because the device's result was not finite."""
        ...

    def allocate_planes(self, format: FrameFormat) -> tuple[Plane, ...]:
        """Planes that the device copies directly; other planes need one more copy."""
        ...

    def trace(self, trace: Trace) -> None:
        """Record each frame's upload, compute and download in `trace`. Call it before the first frame."""
        ...


@runtime_checkable
class TakesPictures(Protocol):
    """Additional methods of sessions on one device that read and write frames in its memory."""

    ordinal: int
    """Number of the device: cuda:`ordinal`."""
    takes_pictures: bool
    """False if decoders and encoders cannot share the device's memory; the methods below then fail."""

    def run(
        self,
        inputs: Sequence[Plane] | DevicePicture,
        outputs: Sequence[Plane] | DevicePicture,
        strength: float = 0.0,
    ) -> Completion:
        """See `Session.run`. `inputs` can also be a picture in the device's memory, which is kept until the
        completion is done, and `outputs` a picture of `allocate_picture`."""
        ...

    def allocate_picture(self, format: FrameFormat) -> DevicePicture:
        """Device memory for a result: planes of one pitch, one directly after the other.

        It is valid until the session is closed. Raises DeviceMemoryError.
        """
        ...

    def fetch(self, plane: DevicePlane) -> NDArray[np.uint8]:
        """The bytes of a plane, (rows, row_bytes); waits for the default stream. Raises EngineError."""
        ...


def takes_pictures(session: Session) -> TypeGuard[TakesPictures]:
    """Whether `session` keeps frames on a GPU that decoders and encoders share with it."""
    return isinstance(session, TakesPictures) and session.takes_pictures


class Runtime(Protocol):
    """A way to compile frame jobs."""

    name: str

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """Compile `job`. Raises EngineError if the library is missing or refuses the job or the precision."""
        ...
