"""What is asked of a network that is written as an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paragon_stream.options.option import option


@dataclass(frozen=True, kw_only=True)
class OnnxOptions:
    """Pictures in RGB of every size, in fp32, unless something else is asked for."""

    strength: float | None = option(
        None,
        "How hard the source was compressed, 0 to 1, for weights that follow it (default 0).",
        metavar="S",
    )
    size: str | None = option(
        None, "For pictures of this size alone: 960x540 (default: every size).", metavar="WxH"
    )
    dynamic: bool = option(False, "For every size (the default); with --frame-job, even ones.")
    precision: str = option(
        "fp32", "Of the network: fp32 (default), fp16, or int8 for the layers that bear it.", metavar="P"
    )
    video: bool = option(False, "Upstream's video mode: the inputs input and prev_feat, and feature_map out.")
    frame_job: str | None = option(
        None,
        "Planes of this pixel format in and out instead of RGB, colours included: yuv420p. Needs --size.",
        metavar="FORMAT",
    )
    calibrate: str | Path | None = option(
        None,
        "Folder of pictures that int8 is calibrated on (default: pictures that are drawn).",
        metavar="FOLDER",
    )
    check: bool = option(
        True,
        "Compare the file with torch at three sizes, where torch and ONNX Runtime are installed.",
        none=("--no-check", "Write the file without comparing it with torch."),
    )
    overwrite: bool = option(False, "Replace OUT.onnx if it exists.")
