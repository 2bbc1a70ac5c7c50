"""Networks, frames and the comparison that the tests of the CUDA kernels share."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from emulator import run_program
from frame_reference import reference_frame, rounded
from network_reference import random_spec, random_weights
from session_material import noise as noise

from paragon_stream.checkpoint import Weights
from paragon_stream.framejob import FrameJob
from paragon_stream.framejob.cuda.emit import emit_cuda


@functools.cache
def weights(scale: int = 2, alpha: float = 0.0, conditioned: bool = False) -> Weights:
    return random_weights(random_spec("realtime", scale, alpha=alpha, conditioned=conditioned))


@functools.cache
def stream_weights(
    scale: int = 2, *, depth: int = 2, alpha: float = 0.0, conditioned: bool = False
) -> Weights:
    spec = random_spec("stream", scale, alpha=alpha, conditioned=conditioned)
    return random_weights(replace(spec, groups=1, blocks=depth))


def assert_close(network: Weights, job: FrameJob, strength: float = 0.0, **options: object) -> None:
    """At least 65 dB and at most one code value away, or what 16-bit arithmetic has to spare above 10 bit."""
    planes = noise(job.source)
    result = run_program(emit_cuda(job, multiprocessors=1, **options), planes, strength)  # type: ignore[arg-type]
    expected = rounded(reference_frame(network, job.source, job.target, planes, strength), job.target)
    pixels = job.target.pixel_format
    assert result.status == 0
    for plane, wanted in zip(result.outputs, expected, strict=True):
        difference = np.abs((plane >> pixels.shift).astype(int) - wanted)
        psnr = 10 * np.log10(pixels.peak**2 / max(float(np.mean(difference**2)), 1e-9))
        assert psnr >= 65, f"{job}: {psnr:.1f} dB"
        assert difference.max() <= max(1, 1 << pixels.depth >> 13), f"{job}: {difference.max()} codes"
