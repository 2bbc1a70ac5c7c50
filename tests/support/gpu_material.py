"""Jobs, frames and the comparison with the CPU that the tests on GPUs share."""

from __future__ import annotations

import numpy as np

from paragon_stream.checkpoint import load_weights
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.planes import Plane
from paragon_stream.runtimes import Session
from paragon_stream.runtimes.registry import cpu_reference
from paragon_stream.runtimes.self_check import synthetic_frame

ODD = (333, 187)
"""Odd, and no multiple of any tile."""


def make_job(
    variant: str = "realtime",
    name: str = "yuv420p",
    size: tuple[int, int] = ODD,
    *,
    scale: int = 2,
    weights: str | None = None,
) -> FrameJob:
    """The frame job of shipped weights, by default those of the variant and scale."""
    return build_job(load_weights(weights, variant=variant, scale=scale), FrameFormat.of(name, *size))


def frames(job: FrameJob, count: int) -> list[tuple[Plane, ...]]:
    """The synthetic picture, each time shifted further."""
    picture = synthetic_frame(job.source)
    return [
        tuple(np.ascontiguousarray(np.roll(plane, 5 * number, axis=0)) for plane in picture)
        for number in range(count)
    ]


def computed(
    session: Session, inputs: list[tuple[Plane, ...]], strength: float = 0.0
) -> list[tuple[Plane, ...]]:
    """The results of `session` for frames, with any number in flight."""
    results = [allocate_planes(session.job.target) for _ in inputs]
    waits = [session.run(i, o, strength) for i, o in zip(inputs, results, strict=True)]
    for each in waits:
        each.wait()
    return results


def by_cpu(job: FrameJob, inputs: list[tuple[Plane, ...]], strength: float = 0.0) -> list[tuple[Plane, ...]]:
    reference = cpu_reference(job)
    try:
        return computed(reference, inputs, strength)
    finally:
        reference.close()


def assert_close(
    job: FrameJob, got: tuple[Plane, ...], wanted: tuple[Plane, ...], *, psnr: float = 50.0
) -> None:
    """At least `psnr` dB in every plane; 2 codes at most, or what 16-bit arithmetic leaves above 10 bits."""
    pixels = job.target.pixel_format
    most = 2 * max(1, pixels.peak >> 10)
    for index, (plane, other) in enumerate(zip(got, wanted, strict=True)):
        error = np.abs((plane >> pixels.shift).astype(np.int64) - (other >> pixels.shift))
        db = 10 * np.log10(pixels.peak**2 / max(float(np.mean(error**2.0)), 1e-12))
        assert db >= psnr, f"{job}, plane {index}: {db:.1f} dB"
        assert error.max() <= most, f"{job}, plane {index}: {error.max()} codes off"


def same(one: list[tuple[Plane, ...]], other: list[tuple[Plane, ...]]) -> bool:
    return all(
        np.array_equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)
    )
