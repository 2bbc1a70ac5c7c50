"""What a runtime is: a way to compile a frame job and to run it.

A `Runtime` turns a `FrameJob` into a `Session`. Users call a runtime an engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.job import FrameJob
from paragon_stream.pipeline.slot import Completion

type Plane = NDArray[np.uint8] | NDArray[np.uint16]


class Precision(StrEnum):
    """Arithmetic of the network's body; base path, last addition and rounding are fp32 whatever it is."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How to compile. `threads` = None leaves the number to the runtime."""

    precision: Precision = Precision.AUTO
    threads: int | None = None


class Session(Protocol):
    """A compiled frame job. `run` allocates nothing that lasts and holds no state between frames."""

    job: FrameJob
    engine: str
    """Name of the runtime, as given to `--engine`."""
    precision: Precision
    """What the body really computes in: never AUTO."""
    device: str
    """What it runs on, in words: "CPU: AMD EPYC …"."""

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        """Upscale one frame from `inputs` into `outputs`.

        C-contiguous arrays of `job.source.plane_shapes` and `job.target.plane_shapes`, which the caller owns
        and must leave alone until the completion is done.

        Raises EngineError.
        """
        ...

    def close(self) -> None:
        """Give back what the session holds; running afterwards is an error."""
        ...


class Runtime(Protocol):
    """A way to compile frame jobs."""

    name: str

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """Raises EngineError if the library is absent or refuses the job, or lacks the precision."""
        ...
