"""`export_onnx()`: a network as an ONNX file, compared with torch before it gets its name."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from paragon_stream.checkpoint import Weights, at_strength, load_weights
from paragon_stream.checkpoint.inspection import alpha_doubts
from paragon_stream.errors import EngineError, InputError, UsageError, install_command
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import build_job
from paragon_stream.framejob.onnx.dynamic import SizeRange, emit_dynamic_onnx
from paragon_stream.framejob.onnx.emit import GraphTypes, emit_onnx
from paragon_stream.framejob.onnx.network import INPUT, OUTPUT, PREVIOUS_INPUT, VIDEO_WEIGHT, emit_network
from paragon_stream.framejob.onnx.quantise import quantised
from paragon_stream.framejob.products import warn_of_missing_limit
from paragon_stream.media.images.rgb import read_calibration_picture
from paragon_stream.options.export import OnnxOptions
from paragon_stream.options.option import called_with, described, option, part
from paragon_stream.runtimes.int8.calibration import SIDE, Arrays, calibrate, drawn_pictures, left_wide
from paragon_stream.wholefile import check_writable, whole_file

logger = logging.getLogger(__name__)

PRECISIONS = ("fp32", "fp16", "int8")

CHECKED_SIZES = ((45, 37), (61, 50), (83, 29))
"""Width and height of the pictures that files for every size are compared with torch on: no whole windows."""

_TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
"""Largest difference from torch, as a part of the largest value."""

_MOST_PICTURES = 16
WIDE_LAYERS = "fp32_layers"
"""Name of the metadata of INT8 files that lists the convolutions which are not INT8."""


@dataclass(frozen=True, kw_only=True)
class OnnxExportCall(OnnxOptions):
    """The arguments of `export_onnx`."""

    destination: str | Path = field(kw_only=False, metadata=described("The file to write."))
    variant: str | None = option(None, "See `UpscalerOptions`.")
    scale: int | None = option(None, "Likewise.")
    weights: str | Path | None = option(None, "Likewise.")
    alpha: float | None = option(None, "Likewise.")
    window_size: int | None = option(None, "Likewise.")
    generation: str | None = option(None, "Likewise.")
    on_progress: Callable[[int, int], None] | None = option(
        None, "Hears how many layers of how many have been tried in int8."
    )


@dataclass(frozen=True, kw_only=True)
class OnnxExport:
    """The result of an export. `difference` is the largest difference from torch, as a fraction of the
    largest value. It is None if nothing was compared; `unchecked` is then the reason."""

    path: Path
    network: str
    bytes: int
    difference: float | None = None
    unchecked: str = ""
    wide_layers: tuple[str, ...] = ()
    """Names of the convolutions that are computed in fp32 in an int8 export."""


@called_with(OnnxExportCall)
def export_onnx(call: OnnxExportCall) -> OnnxExport:
    """Write a network as an ONNX file (opset 20) that other programs run.

    `input` is RGB in 0…1, fp32 [1, 3, H, W], `output` the same `scale` times as large, not clamped, with
    upstream's zero padding. `--weights FILE.onnx` takes the file again.

    Raises UsageError for options that do not go together and networks without a graph, CheckpointError for
    bad weights, EngineError where the file does not compute what torch computes, OutputError.
    """
    path = Path(call.destination)
    if path.suffix.lower() != ".onnx":
        raise UsageError(f"{path}: the name of an ONNX file must end in .onnx")
    if call.precision not in PRECISIONS:
        raise UsageError(f"an ONNX file is written in {', '.join(PRECISIONS)}, not in {call.precision}")
    if call.calibrate is not None and call.precision != "int8":
        raise UsageError(f"--calibrate is for --precision int8, not for {call.precision}")
    check_writable(path, overwrite=call.overwrite)
    size = _size(call)
    network = part(call, _Network)
    weights = load_weights(**{name: getattr(network, name) for name in _Network.__dataclass_fields__})
    warn_of_missing_limit(weights)
    for doubt in () if call.alpha is None else alpha_doubts(weights.spec):
        logger.warning("weights %s: %s", weights.name, doubt)
    if call.strength and not weights.spec.conditioned:
        raise UsageError(f"the weights {weights.name} are not conditioned on strength: leave --strength out")
    if weights.spec.conditioned and (call.frame_job is None or call.strength is not None):
        weights = at_strength(weights, call.strength or 0.0)
    wide: tuple[str, ...] = ()
    if call.frame_job is not None:
        model, unchecked = _frame_job(weights, call, size), "a frame job is what the engines run already"
    else:
        model = emit_network(weights, size=size, half=call.precision == "fp16", video=call.video)
        unchecked = _why_unchecked(call)
    difference = None
    if call.precision == "int8":
        model, wide = _in_int8(weights, model, call)
    elif not unchecked:
        difference = _compare(model, weights, call, size)
    data = model.SerializeToString()
    with whole_file(path, overwrite=call.overwrite) as file:
        file.write(data)
    return OnnxExport(
        path=path,
        network=str(weights.spec),
        bytes=len(data),
        difference=difference,
        unchecked=unchecked,
        wide_layers=wide,
    )


@dataclass(frozen=True, kw_only=True)
class _Network:
    """The arguments that choose the weights."""

    variant: str | None = None
    scale: int | None = None
    weights: str | Path | None = None
    alpha: float | None = None
    window_size: int | None = None
    generation: str | None = None


def _size(call: OnnxExportCall) -> tuple[int, int] | None:
    if call.size is None:
        if call.frame_job is not None and not call.dynamic:
            raise UsageError("--frame-job needs --size, or --dynamic")
        return None
    if call.dynamic:
        raise UsageError("--dynamic and --size exclude each other")
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", call.size)
    if match is None or not (int(match[1]) and int(match[2])):
        raise UsageError(f"--size {call.size} is not a size such as 960x540")
    return int(match[1]), int(match[2])


def _why_unchecked(call: OnnxExportCall) -> str:
    if not call.check:
        return "--no-check"
    if call.precision == "int8":
        return "int8 is compared with fp32 while it is calibrated"
    missing = [name for name in ("torch", "onnxruntime") if importlib.util.find_spec(name) is None]
    return f"not installed: {' and '.join(missing)}" if missing else ""


def _frame_job(weights: Weights, call: OnnxExportCall, size: tuple[int, int] | None) -> onnx.ModelProto:
    if call.precision == "int8" or call.video:
        raise UsageError("--frame-job goes with --precision fp32 or fp16, and not with --video")
    source = FrameFormat.of(call.frame_job or "", *(size or (960, 540)))
    job, types = build_job(weights, source), GraphTypes(half=call.precision == "fp16")
    if size is not None:
        return emit_onnx(job, types=types)
    return emit_dynamic_onnx(job, SizeRange.usual(job), types)


def _in_int8(
    weights: Weights, model: onnx.ModelProto, call: OnnxExportCall
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    if importlib.util.find_spec("onnxruntime") is None:
        raise UsageError(f"int8 is calibrated with ONNX Runtime: {install_command('onnxruntime')}")
    from paragon_stream.runtimes.onnxruntime import run_model

    if call.video:
        raise UsageError("--precision int8 does not go with --video")
    pictures = drawn_pictures() if call.calibrate is None else _pictures(Path(call.calibrate))
    feeds: list[Arrays] = [{INPUT: picture[None]} for picture in pictures]
    small = emit_network(weights, size=(SIDE, SIDE))
    found = calibrate(small, feeds, [OUTPUT], run_model, peak=1.0, on_progress=call.on_progress)
    wide = tuple(left_wide(model, found))
    int8 = quantised(model, found, found.chosen)
    for key, value in ((WIDE_LAYERS, " ".join(wide)), ("precision", "int8")):
        int8.metadata_props.add(key=key, value=value)
    return int8, wide


def _pictures(folder: Path) -> list[NDArray[np.float32]]:
    """The middle of the first pictures in `folder`, [3, SIDE, SIDE] in 0…1."""
    if not folder.exists():
        raise InputError(f"--calibrate {folder} does not exist")
    found: list[NDArray[np.float32]] = []
    for path in sorted(folder.iterdir() if folder.is_dir() else [folder]):
        try:
            pixels = read_calibration_picture(path)
        except InputError:
            continue
        top, left = (max(0, (side - SIDE) // 2) for side in pixels.shape[:2])
        part = pixels[top : top + SIDE, left : left + SIDE]
        if part.shape == (SIDE, SIDE, 3):
            found.append((part.transpose(2, 0, 1) / 255).astype(np.float32))
        if len(found) == _MOST_PICTURES:
            break
    if not found:
        raise InputError(f"{folder} holds no picture of at least {SIDE}x{SIDE} pixels to calibrate int8 on")
    return found


def _compare(
    model: onnx.ModelProto, weights: Weights, call: OnnxExportCall, size: tuple[int, int] | None
) -> float:
    """The largest difference from torch. Raises EngineError if it is larger than rounding errors."""
    from paragon_stream.models.answer import answers
    from paragon_stream.runtimes.onnxruntime import run_model

    answer = answers(weights)
    worst = 0.0
    for width, height in [size] if size else CHECKED_SIZES:
        rng = np.random.default_rng(width)
        given = {INPUT: rng.random((1, 3, height, width), np.float32)}
        before = None
        if call.video:
            before = rng.standard_normal((1, weights.spec.features, height, width)).astype(np.float32)
            given[PREVIOUS_INPUT] = before
        expected = answer(given[INPUT], before, VIDEO_WEIGHT)
        found = run_model(model, [given], [OUTPUT])[0][0]
        worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
    if not worst <= _TOLERANCE[call.precision]:
        raise EngineError(
            f"the exported graph of {weights.spec} differs from torch by {worst:.2g} of the largest value: "
            "please report it; nothing was written"
        )
    return worst
