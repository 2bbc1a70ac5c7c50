"""Measures an engine on a folder of pictures: time and quality, picture by picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

import numpy as np

from paragon_stream import resource_usage
from paragon_stream.bench.video_memory import VideoMemory
from paragon_stream.errors import UsageError, install_command
from paragon_stream.frame import FrameFormat, pixel_format
from paragon_stream.media.facts.image_kinds import SRGB
from paragon_stream.upscaler import Upscaler, UpscalerOptions, selected_weights


@dataclass(frozen=True, kw_only=True)
class StillsResult:
    """Times of one picture after another; compiling for a new size is not counted."""

    engine: str
    precision: str
    device: str
    variant: str
    scale: int
    weights: str
    pictures: int
    megapixels: float
    """Mean size of the source pictures."""
    latency_ms: float
    """Median latency."""
    latency_mean_ms: float
    latency_p95_ms: float
    fps: float
    cpu_ms_per_frame: float
    peak_rss_bytes: int
    peak_vram_bytes: int | None
    psnr_y: float
    ssim_y: float


def bench_stills(
    options: UpscalerOptions,
    folder: Path,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> StillsResult:
    """Shrink every picture of `folder` by the scale (bicubic, as the literature does), upscale it, and
    compare the result with the picture: PSNR and SSIM of luma, without `scale` pixels of border.

    Raises UsageError without Pillow, InputError for a folder without usable pictures, and what `Upscaler`
    raises.
    """
    try:  # here, because the other benchmarks need no Pillow
        from paragon_stream.train.data.resample import shrink, to_codes
        from paragon_stream.train.measure.evaluate import pictures_of, read_picture
        from paragon_stream.train.measure.metrics import psnr_y, ssim_y
    except ModuleNotFoundError as error:
        if error.name != "PIL":
            raise
        raise UsageError(f"pictures need Pillow: {install_command('pillow')}") from error
    paths = pictures_of(folder)
    weights = selected_weights(options, None, rgb=True)
    scale = weights.spec.scale
    options = replace(options, weights=weights.path or options.weights)
    seconds, cpu, scores, sizes = [], [], [], []
    with VideoMemory.of(options.engine, options.device) as memory:
        for done, path in enumerate(paths, 1):
            truth = read_picture(path)
            truth = truth[: truth.shape[0] // scale * scale, : truth.shape[1] // scale * scale]
            low = to_codes(shrink(truth.astype(np.float32), scale, "bicubic"))
            height, width = low.shape[:2]
            source = FrameFormat(width=width, height=height, pixel_format=pixel_format("rgb24"), color=SRGB)
            with Upscaler.for_format(source, options) as up:
                up(low)  # the first run includes lazy initialisation
                begin, begin_cpu = time.perf_counter(), resource_usage.cpu_seconds()
                result = up(low)
                seconds.append(time.perf_counter() - begin)
                cpu.append(resource_usage.cpu_seconds() - begin_cpu)
                memory.sample()
                session = up.session
            assert isinstance(result, np.ndarray)
            scores.append((psnr_y(result, truth, scale), ssim_y(result, truth, scale)))
            sizes.append(height * width)
            on_progress(done, len(paths))
    return StillsResult(
        engine=session.engine,
        precision=str(session.precision),
        device=session.device,
        variant=weights.spec.variant,
        scale=scale,
        weights=weights.name,
        pictures=len(paths),
        megapixels=mean(sizes) / 1e6,
        latency_ms=1000 * median(seconds),
        latency_mean_ms=1000 * mean(seconds),
        latency_p95_ms=1000 * float(np.percentile(seconds, 95)),
        fps=1 / mean(seconds),
        cpu_ms_per_frame=1000 * mean(cpu),
        peak_rss_bytes=resource_usage.peak_rss(),
        peak_vram_bytes=memory.taken,
        psnr_y=mean(each[0] for each in scores),
        ssim_y=mean(each[1] for each in scores),
    )
