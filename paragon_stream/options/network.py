"""Which network runs, and on what. These are the defaults of every face of the project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paragon_stream.options.option import option


@dataclass(frozen=True, kw_only=True)
class UpscalerOptions:
    """Which network runs, how large the result is, and what computes it.

    `variant` and `scale` None are those of a weights file, realtime and 2 among the shipped sets. Without
    `scale`, the smallest shipped network that is enough for `to` runs. `weights` None is the default set:
    `video`, but `fidelity` for RGB, unless `strength` is a number.
    """

    variant: str | None = option(
        None, "Network: realtime (default), stream, photo or pro; of a file, its name.", metavar="NAME"
    )
    scale: int | None = option(None, "Factor of the network (default 2).", metavar="N")
    to: str | float | None = option(
        None, "Size of the result: 1080p, 1920x1080, or a factor such as 1.5.", metavar="SIZE"
    )
    fit: str | None = option(None, "Into a size: inside (default), crop, pad or stretch.", metavar="HOW")
    weights: str | Path | None = option(None, "A shipped set or a checkpoint file.", metavar="NAME|FILE")
    alpha: float | None = option(
        None, "Sharpening of the base path, 0 to 1, where the file lacks it.", metavar="A"
    )
    window_size: int | None = option(
        None,
        "Window of attention of photo and pro, source pixels, where the file lacks it (else 16).",
        metavar="N",
    )
    generation: str | None = option(
        None, "Generation of the network, where the tensors of several are alike: p2r3 or p2v2.", metavar="G"
    )
    strength: str | float | None = option(
        None,
        "How hard the source was compressed: auto (default) reads it off the stream; or 0 (clean) to 1.",
        metavar="S",
    )
    engine: str = option(
        "auto",
        "auto (default), native, openvino, onnxruntime, torch, cuda, tensorrt, tensorrt-rtx, webgpu or null.",
        metavar="NAME",
    )
    precision: str = option("auto", "auto (default), fp32, bf16 or fp16.", metavar="P")
    threads: int | None = option(None, "Engine threads (default: all cores).", metavar="N")
    device: str | None = option(
        None,
        "cpu, cuda:N, several as cuda:0,cuda:1, cuda:all, or gpu:N for webgpu (default: the engine's own).",
        metavar="D",
    )
