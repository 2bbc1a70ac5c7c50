"""Frame jobs of the native kernels, and frames of noise."""

from __future__ import annotations

import numpy as np
from network_reference import random_spec, random_weights
from numpy.typing import NDArray

from paragon_stream.frame import ColorSpec, FrameFormat, pixel_format, resolve_color
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.geometry import Fit, fill


def make_job(
    variant: str, scale: int, pixels: str, size: tuple[int, int], box: tuple[int, int] | None = None
) -> FrameJob:
    """With `box`, the picture is fitted into that size, with bars."""
    layout = pixel_format(pixels)
    color = resolve_color(ColorSpec(), format=layout, width=size[0], height=size[1])
    source = FrameFormat(width=size[0], height=size[1], pixel_format=layout, color=color)
    placement = fill(source, box, Fit.PAD, grain=2) if box else None
    return build_job(random_weights(random_spec(variant, scale)), source, placement=placement)


def noise(job: FrameJob) -> tuple[NDArray, ...]:
    rng = np.random.default_rng(3)
    planes = allocate_planes(job.source)
    for plane in planes:
        plane[...] = rng.integers(0, job.source.pixel_format.peak + 1, plane.shape)
    return planes
