"""Compiled things that are kept on disk: TensorRT engines built beforehand, and a look at all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.device.discovery import find_gpus, ordinals
from paragon_stream.errors import EngineError, UsageError
from paragon_stream.frame import (
    ColorSpec,
    FrameFormat,
    pixel_format,
    requested_pixel_format,
    resolve_color,
)
from paragon_stream.framejob import build_job
from paragon_stream.framejob.onnx.dynamic import SizeRange
from paragon_stream.runtimes import Precision, runtime
from paragon_stream.runtimes.disk_cache import DiskCache, Entry
from paragon_stream.runtimes.gpu.nvrtc import cubin_cache
from paragon_stream.runtimes.gpu.tensorrt_builder import ENGINES, TIMINGS, Target, tensorrt_engine
from paragon_stream.runtimes.gpu.tensorrt_program import COMPILED
from paragon_stream.runtimes.gpu.tensorrt_runtime import TensorRtRuntime
from paragon_stream.upscaler import UpscalerOptions, choose_network


@dataclass(frozen=True, kw_only=True)
class BuiltEngine:
    """Where an engine lies, the facts it is kept under, and whether it was there before."""

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
    """Build the TensorRT engine for frames of one size, before it is needed.

    With `sizes` it is one for all of them; `width` and `height` then are the best. What `color` leaves open
    is guessed from the size, as for streams that do not say: an engine has one matrix, range and chroma
    location inside. The result has the source's pixel format unless `output_pixel_format_name` is another.
    `sm` is a GPU's compute capability without its dot, for engines that shall run elsewhere; the default is
    the GPU that `options.device` names. Raises UsageError for engines other than TensorRT's, and EngineError.
    """
    chosen = runtime(options.engine)
    if not isinstance(chosen, TensorRtRuntime):
        raise UsageError(
            f"the engine {options.engine} is not built beforehand; choose tensorrt or tensorrt-rtx"
        )
    if sm is not None and chosen.name != "tensorrt-rtx":
        raise UsageError("tensorrt builds for the GPU that is here; only tensorrt-rtx builds for others")
    layout = pixel_format(pixel_format_name)
    resolved = resolve_color(
        color or ColorSpec(),
        format=layout,
        width=width,
        height=height,
        full_range_name=pixel_format_name.startswith("yuvj"),
    )
    source = FrameFormat(width=width, height=height, pixel_format=layout, color=resolved)
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
    """Everything that was compiled and kept, the latest last."""
    return sorted((entry for cache in _caches() for entry in cache.entries()), key=lambda entry: entry.made)


def clear() -> int:
    """Remove all of it; returns how many entries there were."""
    return sum(cache.clear() for cache in _caches())


def _caches() -> tuple[DiskCache, ...]:
    return ENGINES, TIMINGS, COMPILED, cubin_cache()


def _here(options: UpscalerOptions) -> Target:
    gpus, reason = find_gpus()
    number, *others = ordinals(options.device)
    if others:
        raise UsageError(f"engines are built for one GPU after another: name one of {options.device}")
    if number >= len(gpus):
        why = reason or f"this machine has {len(gpus)}"
        raise EngineError(f"there is no GPU cuda:{number} to build for ({why}); --sm N names a kind of GPU")
    return Target(sm=gpus[number].sm, device=gpus[number])
