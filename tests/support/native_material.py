"""Frame jobs of the native kernels, and frames of noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from network_reference import random_spec, random_weights
from numpy.typing import NDArray

from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.geometry import Fit, fill
from paragon_stream.native.library import Kernels
from paragon_stream.runtimes import Flavour
from paragon_stream.runtimes.native.session import NativeSession


def make_job(
    variant: str, scale: int, pixels: str, size: tuple[int, int], box: tuple[int, int] | None = None
) -> FrameJob:
    """With `box`, the picture is fitted into that size, with bars."""
    source = FrameFormat.of(pixels, size[0], size[1])
    placement = fill(source, box, Fit.PAD, grain=2) if box else None
    return build_job(random_weights(random_spec(variant, scale)), source, placement=placement)


CASES = [
    ("realtime", 2, "yuv420p", (97, 61)),
    ("realtime", 3, "rgb24", (33, 17)),
    ("realtime", 2, "p010le", (1, 1)),
    ("stream", 2, "yuv420p", (61, 33)),
    ("stream", 4, "yuv444p10le", (19, 12)),
]
"""Jobs of `make_job` with which a form is compared with another."""


def computed(
    job: FrameJob, chosen: Kernels, planes: Sequence[NDArray], strength: float = 0.0
) -> tuple[NDArray, ...]:
    """The result of one frame."""
    outputs = allocate_planes(job.target)
    session = NativeSession(job, chosen, 2, Flavour.LATENCY)
    for _ in range(2):  # the second time with memory that has been used
        session.run(planes, outputs, strength).wait()
    session.close()
    return tuple(outputs)


def noise(job: FrameJob) -> tuple[NDArray, ...]:
    rng = np.random.default_rng(3)
    planes = allocate_planes(job.source)
    for plane in planes:
        plane[...] = rng.integers(0, job.source.pixel_format.peak + 1, plane.shape)
    return planes
