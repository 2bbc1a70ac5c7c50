"""A frame job and frames for tests of sessions."""

from __future__ import annotations

import numpy as np
from network_reference import random_spec, random_weights

from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, allocate_planes, build_job


def make_job(width: int = 64, height: int = 48, conditioned: bool = False) -> FrameJob:
    source = FrameFormat.of("yuv420p", width, height)
    return build_job(random_weights(random_spec(conditioned=conditioned)), source)


def frames(job: FrameJob, count: int) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(1)
    made = [allocate_planes(job.source) for _ in range(count)]
    for planes in made:
        for plane in planes:
            plane[:] = rng.integers(16, 236, plane.shape)
    return made
