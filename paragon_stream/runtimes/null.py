"""The engine `null`: it computes nothing and leaves the output planes unchanged.

With it, a render measures decoding, encoding and the pipeline alone, and tests need no real engine. Planes
are zero at first: black for RGB, green for YUV.
"""

from __future__ import annotations

from collections.abc import Sequence

from paragon_stream.framejob.job import FrameJob
from paragon_stream.pipeline.slot import DONE, Completion
from paragon_stream.runtimes.base import Plane, Precision, SessionOptions
from paragon_stream.runtimes.buffers import check_planes
from paragon_stream.runtimes.cpu import check_device


class NullSession:
    """Checks its planes, as every session does, and does nothing else."""

    engine = "null"
    precision = Precision.FP32
    device = "none"
    in_flight = 1

    def __init__(self, job: FrameJob) -> None:
        self.job = job

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        check_planes(inputs, self.job.source)
        check_planes(outputs, self.job.target)
        return DONE

    def close(self) -> None:
        return None


class NullRuntime:
    name = "null"

    def compile(self, job: FrameJob, options: SessionOptions) -> NullSession:
        check_device(self.name, options)
        return NullSession(job)


RUNTIME = NullRuntime()
