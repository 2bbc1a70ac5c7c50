"""Measures the error of a reduced precision with the weights of a job.

Weights of other projects can have activations that fp16 cannot represent, or sums that cancel. A small frame
of noise, whose activations are the largest, shows both.
"""

from __future__ import annotations

import numpy as np

from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.planes import Plane, allocate_planes
from paragon_stream.native.library import Kernels
from paragon_stream.runtimes.base import Flavour
from paragon_stream.runtimes.native.session import NativeSession

_WIDTH, _HEIGHT = 64, 32


def psnr_of_noise(job: FrameJob, reduced: Kernels, exact: Kernels) -> float:
    """PSNR, in dB, between the results of two forms for a small frame of all codes; of the first plane."""
    small = job.resized(_WIDTH, _HEIGHT)
    planes = _noise(small)
    got, wanted = (_computed(small, planes, each) for each in (reduced, exact))
    pixels = small.target.pixel_format
    error = (got[0].astype(np.float64) - wanted[0]) / (1 << pixels.shift)
    return float(10 * np.log10(pixels.peak**2 / max(float(np.mean(error**2)), 1e-9)))


def _noise(job: FrameJob) -> tuple[Plane, ...]:
    rng, pixels = np.random.default_rng(7), job.source.pixel_format
    planes = allocate_planes(job.source)
    for plane in planes:
        plane[...] = rng.integers(0, pixels.peak + 1, plane.shape) << pixels.shift
    return planes


def _computed(job: FrameJob, planes: tuple[Plane, ...], chosen: Kernels) -> tuple[Plane, ...]:
    outputs = allocate_planes(job.target)
    session = NativeSession(job, chosen, 1, Flavour.LATENCY)
    try:
        session.run(planes, outputs).wait()
    finally:
        session.close()
    return outputs
