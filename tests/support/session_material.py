"""Frame jobs, frames and a session of the CPU to compare with, for tests of sessions."""

from __future__ import annotations

from typing import Any

import numpy as np
from network_reference import random_spec, random_weights
from numpy.typing import NDArray

from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.runtimes import Precision, Session, SessionOptions, runtime


def make_job(
    width: int = 64, height: int = 48, name: str = "yuv420p", *, conditioned: bool = False
) -> FrameJob:
    source = FrameFormat.of(name, width, height)
    return build_job(random_weights(random_spec(conditioned=conditioned)), source)


def frames(job: FrameJob, count: int) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(1)
    made = [allocate_planes(job.source) for _ in range(count)]
    for planes in made:
        for plane in planes:
            plane[:] = rng.integers(16, 236, plane.shape)
    return made


def noise(format: FrameFormat, seed: int = 0) -> tuple[NDArray[Any], ...]:
    """Every code value anywhere: the hardest picture there is, super-whites included."""
    rng = np.random.default_rng(seed)
    planes = allocate_planes(format)
    for plane in planes:
        plane[:] = rng.integers(0, format.pixel_format.peak + 1, plane.shape) << format.pixel_format.shift
    return planes


def one_thread(job: FrameJob) -> Session:
    """The CPU's session in fp32, without threads that wait for each other on a busy machine."""
    return runtime("openvino").compile(job, SessionOptions(precision=Precision.FP32, threads=1))
