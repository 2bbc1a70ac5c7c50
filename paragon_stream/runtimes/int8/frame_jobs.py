"""Frame jobs in INT8, for engines that take QuantizeLinear and DequantizeLinear.

Which convolutions are INT8, and with which ranges, is measured once for a network and a pixel format, with
the arithmetic of the engine that will run it (CPUs without VNNI may saturate), and kept on disk.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from paragon_stream.errors import EngineError
from paragon_stream.framejob.color import color_map
from paragon_stream.framejob.components import ALPHA, CURRENT
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.onnx.emit import STRENGTH_INPUT, input_names, output_names, tensor_shapes
from paragon_stream.framejob.onnx.quantise import Calibration, convolutions, quantised
from paragon_stream.runtimes.disk_cache import DiskCache, default_cache_folder
from paragon_stream.runtimes.int8.calibration import (
    LEAST_DB,
    SIDE,
    Arrays,
    Compute,
    calibrate,
    drawn_pictures,
)

logger = logging.getLogger(__name__)

CALIBRATIONS = DiskCache(default_cache_folder("int8"), ".json")


def in_int8(
    job: FrameJob, emit: Callable[[FrameJob], onnx.ModelProto], compute: Compute, *, library: str, cpu: str
) -> onnx.ModelProto:
    """`emit(job)` with as many convolutions in INT8 as the budget of noise allows (`calibration.LEAST_DB`).

    `compute` runs graphs on the engine; `library` (with its version) and `cpu` are what its arithmetic
    depends on. Raises EngineError where no convolution fits the budget, and what `compute` raises.
    """
    small = _unrounded(job)
    model = emit(small)
    facts = {
        "library": library,
        "architecture": cpu or platform.processor() or platform.machine(),
        "job": f"{job.source.pixel_format.name} → {job.target.pixel_format.name}, {job.spec}",
        "weights": job.weights_name,
        "precision": f"int8, {LEAST_DB:g} dB",
        "graph": hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest(),
    }

    def make() -> bytes:
        count = len(convolutions(model))
        what = (
            "calibrating int8 for %s: %d layers are tested one by one; the result is kept for the next time"
        )
        logger.warning(what, job.spec, count)
        names = list(output_names(small.target))
        peak = float(job.target.pixel_format.peak)
        return _as_json(calibrate(model, frames(small), names, compute, peak=peak))

    content, _ = CALIBRATIONS.get_or_make(facts, make)
    found = _from_json(content)
    if not found.chosen:
        raise EngineError(
            f"int8 changes the pictures of {job.spec} too much with every single layer: "
            "leave --precision int8 out"
        )
    logger.info("int8: %d of %d convolutions", len(found.chosen), len(found.ranges))
    whole = emit(job)
    if len(convolutions(whole)) != len(found.ranges):
        raise EngineError(
            f"the graph of {job} has other convolutions than the calibrated one: please report it"
        )
    return quantised(whole, found, found.chosen)


def frames(job: FrameJob) -> list[Arrays]:
    """`calibration.drawn_pictures` as inputs of the graph of `job`, whose frames have SIDE × SIDE samples.

    Conditioned networks get another strength with each.
    """
    pictures = drawn_pictures()
    found: list[Arrays] = []
    for number, picture in enumerate(pictures):
        planes: dict[str, NDArray[Any]] = dict(_planes(job, picture))
        if job.spec.conditioned:
            planes[STRENGTH_INPUT] = np.array([number / len(pictures)], np.float32)
        found.append(planes)
    return found


def _planes(job: FrameJob, picture: NDArray[np.float32]) -> Mapping[str, NDArray[Any]]:
    """An RGB picture [3, SIDE, SIDE] in 0…1 as the arrays of `job.source`; chroma by leaving samples out."""
    source, colors = job.source, color_map(job.source)
    pixels = source.pixel_format
    codes = np.tensordot(colors.from_rgb, picture, 1) + colors.code_of_black[:, None, None]
    codes = np.clip(np.rint(codes), 0, pixels.peak)
    arrays = zip(input_names(source), source.plane_shapes, tensor_shapes(source), pixels.stored, strict=True)
    planes = {}
    for name, (rows, columns, *_), shape, stored in arrays:
        full = np.full((rows, columns), pixels.peak)
        parts = [
            full
            if component < 0 or component == ALPHA
            else codes[component % CURRENT][:: SIDE // rows, :: SIDE // columns]
            for component in stored
        ]
        array = np.stack(parts, -1).astype(pixels.sample_type) << pixels.shift
        planes[name] = np.ascontiguousarray(array.reshape(shape))
    return planes


def _unrounded(job: FrameJob) -> FrameJob:
    """The job of one drawn picture, with results that are not rounded: rounding would hide small noise and
    enlarge noise near half a code."""
    small = job.resized(SIDE, SIDE)
    pixels = replace(small.target.pixel_format, floating=True, shift=0)
    return replace(small, target=replace(small.target, pixel_format=pixels))


def _as_json(found: Calibration) -> bytes:
    return json.dumps({"ranges": found.ranges, "chosen": sorted(found.chosen)}).encode()


def _from_json(content: bytes) -> Calibration:
    held = json.loads(content)
    return Calibration(
        ranges=tuple((low, high) for low, high in held["ranges"]), chosen=frozenset(held["chosen"])
    )
