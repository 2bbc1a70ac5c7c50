"""Clips whose every frame is different, and what an engine makes of them without VapourSynth in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from paragon_stream.checkpoint import load_weights
from paragon_stream.frame import Family, FrameFormat
from paragon_stream.framejob import allocate_planes, build_job
from paragon_stream.runtimes import SessionOptions, runtime

type Planes = tuple[NDArray[Any], ...]
"""Planes in VapourSynth's order: Y, U, V or R, G, B."""


def content(n: int, format: vs.VideoFormat, width: int, height: int) -> Planes:
    """Planes of frame `n`: soft shapes that move, with every code value in reach."""
    peak = (1 << format.bits_per_sample) - 1
    planes = []
    for index in range(format.num_planes):
        sx, sy = (format.subsampling_w, format.subsampling_h) if index else (0, 0)
        y, x = np.mgrid[0 : height >> sy, 0 : width >> sx].astype(np.float64)
        wave = np.sin((x * (1 << sx) + 3 * n) / 5 + index) * np.cos((y * (1 << sy) - 2 * n) / 7)
        noise = np.random.default_rng([n, index]).uniform(-0.1, 0.1, wave.shape)
        planes.append(np.clip((0.5 + 0.45 * wave + noise) * peak, 0, peak))
    dtype = np.uint8 if format.bytes_per_sample == 1 else np.uint16
    return tuple(np.rint(plane).astype(dtype) for plane in planes)


def make_clip(
    format: vs.PresetVideoFormat | int,
    width: int = 64,
    height: int = 48,
    length: int = 8,
    props: Callable[[int], Mapping[str, Any]] = lambda n: {},
) -> vs.VideoNode:
    """A clip of `content`, whose frame n has the properties `props(n)`."""
    blank = vs.core.std.BlankClip(
        width=width, height=height, format=format, length=length, fpsnum=24000, fpsden=1001, keep=True
    )

    def paint(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for index, plane in enumerate(content(n, f.format, f.width, f.height)):
            np.copyto(np.asarray(frame[index]), plane)
        for name, value in props(n).items():
            frame.props[name] = value
        return frame

    return blank.std.ModifyFrame(blank, paint)


def planes_of(clip: vs.VideoNode, n: int) -> Planes:
    with clip.get_frame(n) as frame:
        return tuple(np.array(frame[index]) for index in range(frame.format.num_planes))


class Engine:
    """A session of one format, without VapourSynth."""

    def __init__(self, source: FrameFormat, weights: str | Path | None = None) -> None:
        rgb = source.pixel_format.family is Family.RGB
        job = build_job(load_weights(weights, variant="realtime", scale=2, rgb=rgb), source)
        self.job = job
        self.session = runtime().compile(job, SessionOptions())

    def __call__(self, planes: Planes, strength: float = 0.0) -> Planes:
        order = self.job.source.pixel_format.order
        inputs = tuple(np.ascontiguousarray(planes[component]) for component in order)
        outputs = allocate_planes(self.job.target)
        self.session.run(inputs, outputs, strength).wait()
        return tuple(outputs[order.index(component)] for component in range(len(order)))


def assert_same(got: Planes, wanted: Planes) -> None:
    assert len(got) == len(wanted)
    for index, (a, b) in enumerate(zip(got, wanted, strict=True)):
        np.testing.assert_array_equal(a, b, err_msg=f"plane {index}")
