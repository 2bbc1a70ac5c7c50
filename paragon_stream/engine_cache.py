"""The disk cache of compiled code: TensorRT engines built in advance, and the list of all entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.device.discovery import find_gpus, ordinals
from paragon_stream.errors import EngineError, UsageError
from paragon_stream.frame import (
    ColorSpec,
    FrameFormat,
    requested_pixel_format,
)
from paragon_stream.framejob import build_job
from paragon_stream.framejob.onnx.dynamic import SizeRange
from paragon_stream.runtimes import Precision, runtime
from paragon_stream.runtimes.disk_cache import DiskCache, Entry
from paragon_stream.runtimes.gpu.nvrtc import cubin_cache
from paragon_stream.runtimes.gpu.tensorrt_builder import ENGINES, TIMINGS, Target, tensorrt_engine
from paragon_stream.runtimes.gpu.tensorrt_program import COMPILED
from paragon_stream.runtimes.gpu.tensorrt_runtime import TensorRtRuntime
from paragon_stream.runtimes.int8.frame_jobs import CALIBRATIONS
from paragon_stream.upscaler import UpscalerOptions, choose_network


@dataclass(frozen=True, kw_only=True)
class BuiltEngine:
    """The path of an engine, the facts that are its key, and whether it existed before."""

    path: Path
    facts: Mapping[str, str]
    found: bool


def build_engine(
    options: UpscalerOptions,
    *,
    width: int,
    height: int,
    pixel_format_name: str = "yuv420p",
    output_pixel_format_name: str | None = None,
    color: ColorSpec | None = None,
    sm: int | None = None,
    sizes: SizeRange | None = None,
    on_progress: Callable[[str, float], None] | None = None,
) -> BuiltEngine:
    """Build the TensorRT engine for frames of one size in advance.

    With `sizes`, one engine serves a range of sizes, and `width` and `height` are the optimal one. An engine
    contains one matrix, range and chroma location; unspecified fields of `color` are guessed from the size,
    as for untagged streams. The result has the source's pixel format unless `output_pixel_format_name` is
    given. `sm` is a GPU's compute capability without the dot, for engines that run on another machine; the
    default is that of the GPU `options.device`.

    Raises UsageError for engines other than TensorRT's, and EngineError.
    """
    chosen = runtime(options.engine)
    if not isinstance(chosen, TensorRtRuntime):
        raise UsageError(f"the engine {options.engine} needs no build; choose tensorrt or tensorrt-rtx")
    if sm is not None and chosen.name != "tensorrt-rtx":
        raise UsageError(
            "tensorrt builds engines for this machine's GPU only; tensorrt-rtx also builds for others"
        )
    source = FrameFormat.of(pixel_format_name, width, height, color)
    weights, placement = choose_network(source, options)
    target = requested_pixel_format(output_pixel_format_name)
    job = build_job(weights, source, pixel_format=target, placement=placement)
    gpu = Target(sm=sm) if sm is not None else _here(options)
    phases: list[str] = []

    def listen(phase: str, part: float) -> None:
        phases.append(phase)
        if on_progress is not None:
            on_progress(phase, part)

    _, facts = tensorrt_engine(chosen.trt, job, Precision(options.precision), gpu, listen, sizes=sizes)
    return BuiltEngine(path=ENGINES.path(facts), facts=facts, found=not phases)


def cached() -> list[Entry]:
    """All entries of the disk caches, oldest first."""
    return sorted((entry for cache in _caches() for entry in cache.entries()), key=lambda entry: entry.made)


def clear() -> int:
    """Remove all entries; returns their number."""
    return sum(cache.clear() for cache in _caches())


def _caches() -> tuple[DiskCache, ...]:
    return ENGINES, TIMINGS, COMPILED, cubin_cache(), CALIBRATIONS


def _here(options: UpscalerOptions) -> Target:
    gpus, reason = find_gpus()
    number, *others = ordinals(options.device)
    if others:
        raise UsageError(f"engines are built for one GPU at a time: give one of {options.device}")
    if number >= len(gpus):
        why = reason or f"this machine has {len(gpus)}"
        raise EngineError(
            f"there is no GPU cuda:{number} to build for ({why}); --sm N selects a compute capability"
        )
    return Target(sm=gpus[number].sm, device=gpus[number])
