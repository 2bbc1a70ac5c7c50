"""The options of `export_onnx`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paragon_stream.options.option import option


@dataclass(frozen=True, kw_only=True)
class OnnxOptions:
    """Options of an ONNX file. The defaults: RGB pictures of every size, in fp32."""

    strength: float | None = option(
        None,
        "Strength of the source's compression, 0 to 1, for conditioned weights (default: 0).",
        metavar="S",
    )
    size: str | None = option(
        None, "Accept only pictures of this size: 960x540 (default: every size).", metavar="WxH"
    )
    dynamic: bool = option(
        False,
        "Accept pictures of every size (the default); with --frame-job, of every even size (with attention: "
        "of whole windows).",
    )
    precision: str = option(
        "fp32",
        "Arithmetic of the network: fp32 (default), fp16, or int8 for the layers that tolerate it.",
        metavar="P",
    )
    video: bool = option(False, "Upstream's video mode: the inputs input and prev_feat, and feature_map out.")
    frame_job: str | None = option(
        None,
        "Input and output are planes of this pixel format, not RGB: yuv420p. Needs --size.",
        metavar="FORMAT",
    )
    calibrate: str | Path | None = option(
        None,
        "Folder of pictures for calibrating int8 (default: generated pictures).",
        metavar="FOLDER",
    )
    check: bool = option(
        True,
        "Compare the file with torch at three sizes, if torch and ONNX Runtime are installed.",
        none=("--no-check", "Write the file without comparing it with torch."),
    )
    overwrite: bool = option(False, "Replace OUT.onnx if it exists.")
