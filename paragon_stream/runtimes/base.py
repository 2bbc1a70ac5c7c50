"""What a runtime is: a way to compile a frame job and to run it.

A `Runtime` turns a `FrameJob` into a `Session`. Users call a runtime an engine.
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
    """Arithmetic of the network's body; base path, last addition and rounding are fp32 whatever it is."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"
    """Convolutions that lose little by it, on CPUs; the others in 16 or 32 bits (`runtimes.int8`)."""


class Flavour(StrEnum):
    """How the threads share the work. The samples that come out are the same."""

    LATENCY = "latency"
    """All threads work on one frame: filters, live sources."""
    THROUGHPUT = "throughput"
    """Several frames in flight, each with a share of the threads: files."""


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How to compile. `threads` = None takes all cores.

    `device` is "cpu", "cuda:N", or several GPUs (`device.discovery.ordinals`); None leaves it to the engine:
    the first GPU for those that need one, else the CPU.
    """

    precision: Precision = Precision.AUTO
    threads: int | None = None
    device: str | None = None
    flavour: Flavour = Flavour.LATENCY


class Session(Protocol):
    """A compiled frame job. `run` allocates nothing that lasts and holds no state between frames."""

    job: FrameJob
    engine: str
    """Name of the runtime, as given to `--engine`."""
    precision: Precision
    """What the body really computes in: never AUTO."""
    in_flight: int
    """Frames that may be computed at once; a caller with fewer slots wastes threads."""

    @property
    def device(self) -> str:
        """What it runs on, in words: "CPU: AMD EPYC …"."""
        ...

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        """Begin to upscale one frame from `inputs` into `outputs`; blocks while `in_flight` others run.

        C-contiguous arrays of `job.source.plane_shapes` and `job.target.plane_shapes`, which the caller owns
        and must leave alone until the completion is done. May be called from any thread. `strength` (0…1)
        matters to conditioned weights only.

        Raises EngineError, here or from the completion.
        """
        ...

    def close(self) -> None:
        """Wait for what is in flight and give back what the session holds; running afterwards is an error."""
        ...


@runtime_checkable
class DeviceBound(Protocol):
    """What sessions on a device offer beside the contract."""

    @property
    def reruns(self) -> int:
        """Frames that were computed again elsewhere, because the device's result was not finite."""
        ...

    def allocate_planes(self, format: FrameFormat) -> tuple[Plane, ...]:
        """Planes that the device copies by itself, while others go through one more copy."""
        ...

    def trace(self, trace: Trace) -> None:
        """Draw each frame's upload, compute and download from now on. Before the first frame."""
        ...


@runtime_checkable
class TakesPictures(Protocol):
    """What sessions on one device offer beside the contract: frames that are there stay there."""

    ordinal: int
    """Which device: cuda:`ordinal`."""
    takes_pictures: bool
    """False where decoders and encoders cannot share the device's memory: then nothing below works."""

    def run(
        self,
        inputs: Sequence[Plane] | DevicePicture,
        outputs: Sequence[Plane] | DevicePicture,
        strength: float = 0.0,
    ) -> Completion:
        """See `Session.run`; also of a picture that lies on the device already, which is kept until then, and
        into one of `allocate_picture`."""
        ...

    def allocate_picture(self, format: FrameFormat) -> DevicePicture:
        """Device memory for a result: planes of one pitch, each beginning where the one before ends.

        It lasts until the session is closed. Raises DeviceMemoryError.
        """
        ...

    def fetch(self, plane: DevicePlane) -> NDArray[np.uint8]:
        """The bytes of a plane that the default stream's work makes, (rows, row_bytes). Waits for them.

        Raises EngineError.
        """
        ...


def takes_pictures(session: Session) -> TypeGuard[TakesPictures]:
    """Whether `session` keeps frames on a GPU that decoders and encoders share with it."""
    return isinstance(session, TakesPictures) and session.takes_pictures


class Runtime(Protocol):
    """A way to compile frame jobs."""

    name: str

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """Raises EngineError if the library is absent or refuses the job, or lacks the precision."""
        ...
