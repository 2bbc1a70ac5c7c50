"""The options of the network and the engine, with the defaults for the command line, Python and the
filter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paragon_stream.options.option import option


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """The network and the size of the result."""

    variant: str | None = option(
        None,
        "Network: realtime (default), stream, photo, pro, or the name in a weights file.",
        metavar="NAME",
    )
    scale: int | None = option(None, "Factor of the network (default: 2).", metavar="N")
    to: str | float | None = option(
        None, "Size of the result: 1080p, 1920x1080, or a factor such as 1.5.", metavar="SIZE"
    )
    fit: str | None = option(
        None, "How the picture fills the size: inside (default), crop, pad or stretch.", metavar="HOW"
    )
    weights: str | Path | None = option(
        None, "Name of a shipped set, or a checkpoint file.", metavar="NAME|FILE"
    )
    alpha: float | None = option(
        None, "Sharpening of the base path, 0 to 1, if the file does not state it.", metavar="A"
    )
    window_size: int | None = option(
        None,
        "Attention window of photo and pro in source pixels, if the file does not state it (default: 16).",
        metavar="N",
    )
    generation: str | None = option(
        None, "Generation of the network, if the tensors fit several: p2r3 or p2v2.", metavar="G"
    )
    strength: str | float | None = option(
        None,
        "Strength of the source's compression: auto (default, measured from the stream), or 0 (clean) to 1.",
        metavar="S",
    )
    temporal: str = option(
        "off",
        "Blend with the frame before: off (default), upstream (a fifth), adaptive (where nothing moves).",
        metavar="HOW",
    )


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """The engine that computes the network, and its device."""

    engine: str = option(
        "auto",
        "Engine that computes the network: auto (default), native, openvino, onnxruntime, torch, cuda, "
        "tensorrt, tensorrt-rtx, webgpu, or null: black pictures, for tests.",
        metavar="NAME",
    )
    precision: str = option(
        "auto", "Arithmetic of the engine: auto (default), fp32, bf16, fp16 or int8.", metavar="P"
    )
    threads: int | None = option(None, "Threads of the engine (default: all cores).", metavar="N")
    device: str | None = option(
        None,
        "Device of the engine: cpu, cuda:N, gpu:N (webgpu), or several: cuda:0,cuda:1, cuda:all, gpu:all "
        "(default: the engine's own).",
        metavar="D",
    )


@dataclass(frozen=True, kw_only=True)
class UpscalerOptions(EngineOptions, NetworkOptions):
    """The network, the size of the result, and the engine.

    With None, `variant` and `scale` are taken from a weights file; for shipped sets they are realtime and 2.
    Without `scale`, the smallest shipped network that suffices for `to` runs. `weights` None is the default
    set: `fidelity` for RGB unless `strength` is a number, else `video`.
    """
