"""Measures the speed of an engine on synthetic frames, for `paragon-stream bench`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, median

import numpy as np

from paragon_stream import resource_usage
from paragon_stream.bench.video_memory import VideoMemory
from paragon_stream.errors import UsageError
from paragon_stream.frame import FrameFormat
from paragon_stream.pipeline.slot import Completion
from paragon_stream.runtimes import Plane
from paragon_stream.upscaler import Upscaler, UpscalerOptions

SPARE_SLOTS = 2
"""Slots in addition to those in flight in the engine, so that the engine never waits for a slot."""


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """The figures: `fps` with several frames in flight, `latency_ms` (median) with one frame in flight."""

    engine: str
    precision: str
    device: str
    variant: str
    scale: int
    weights: str
    source: str
    target: str
    frames: int
    fps: float
    cpu_ms_per_frame: float
    latency_ms: float
    latency_mean_ms: float
    latency_p95_ms: float
    compile_seconds: float
    peak_rss_bytes: int
    """Peak memory of the whole process so far."""
    peak_vram_bytes: int | None
    """Peak GPU memory; None if the engine runs on the CPU."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """The speed of an engine in frames per second, and its name. `target` is the format of its results."""

    fps: float
    engine: str
    target: str


def rate(options: UpscalerOptions, *, width: int, height: int, seconds: float) -> Rate:
    """Run frames of noise through an engine for about `seconds`, after one that is not counted.

    Raises what `Upscaler` raises.
    """
    with Upscaler.for_format(FrameFormat.of("yuv420p", width, height), options) as up:
        slots = [up.allocate() for _ in range(up.session.in_flight + SPARE_SLOTS)]
        for seed, (inputs, _) in enumerate(slots):
            _paint(inputs, up.source.pixel_format.peak, seed)
        up.run(*slots[0]).wait()
        pending: deque[Completion] = deque()
        frames, start = 0, time.perf_counter()
        while time.perf_counter() < start + seconds:
            if len(pending) == len(slots):
                pending.popleft().wait()
            pending.append(up.run(*slots[frames % len(slots)]))
            frames += 1
        while pending:
            pending.popleft().wait()
        fps = frames / (time.perf_counter() - start)
        return Rate(fps=fps, engine=up.session.engine, target=str(up.target))


def bench(
    options: UpscalerOptions,
    *,
    width: int,
    height: int,
    pixel_format_name: str = "yuv420p",
    frames: int = 100,
    on_progress: Callable[[int], None] | None = None,
) -> BenchResult:
    """Run `frames` frames of noise and gradients through an engine; nothing is decoded or encoded.

    Raises UsageError for sizes below 16 or no frames, and what `Upscaler` raises.
    """
    if min(width, height) < 16 or frames < 1:
        raise UsageError("bench needs at least one frame, of at least 16x16 pixels")
    source = FrameFormat.of(pixel_format_name, width, height)
    begin = time.perf_counter()
    memory = VideoMemory.of(options.engine, options.device)
    with memory, Upscaler.for_format(source, options) as up:
        compiled = time.perf_counter() - begin
        slots = [up.allocate() for _ in range(up.session.in_flight + SPARE_SLOTS)]
        for seed, (inputs, outputs) in enumerate(slots):
            _paint(inputs, source.pixel_format.peak, seed)
            up.run(inputs, outputs).wait()  # the first runs include lazy initialisation
        latencies = []
        for _ in range(min(frames, 10)):
            start = time.perf_counter()
            up.run(*slots[0]).wait()
            latencies.append(time.perf_counter() - start)
            memory.sample()
        start, start_cpu = time.perf_counter(), resource_usage.cpu_seconds()
        pending: deque[Completion] = deque()
        for n in range(frames):
            if len(pending) == len(slots):
                pending.popleft().wait()
                if on_progress is not None:
                    on_progress(n)
            pending.append(up.run(*slots[n % len(slots)]))
        while pending:
            pending.popleft().wait()
        wall, cpu = time.perf_counter() - start, resource_usage.cpu_seconds() - start_cpu
        memory.sample()
        return BenchResult(
            engine=up.session.engine,
            precision=up.session.precision,
            device=up.session.device,
            variant=up.weights.spec.variant,
            scale=up.weights.spec.scale,
            weights=up.weights.name,
            source=str(up.source),
            target=str(up.target),
            frames=frames,
            fps=frames / wall,
            cpu_ms_per_frame=1000 * cpu / frames,
            latency_ms=1000 * median(latencies),
            latency_mean_ms=1000 * mean(latencies),
            latency_p95_ms=1000 * float(np.percentile(latencies, 95)),
            compile_seconds=compiled,
            peak_rss_bytes=resource_usage.peak_rss(),
            peak_vram_bytes=memory.taken,
        )


def _paint(planes: tuple[Plane, ...], peak: int, seed: int) -> None:
    """Half gradient, half noise, so that no engine gains from special values."""
    rng = np.random.default_rng(seed)
    for plane in planes:
        rows = np.linspace(0, peak / 2, plane.shape[0])
        noise = rng.integers(0, peak // 2 + 1, plane.shape)
        plane[...] = (noise + rows.reshape(-1, *[1] * (plane.ndim - 1))).astype(plane.dtype)
