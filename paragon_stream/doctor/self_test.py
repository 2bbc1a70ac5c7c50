"""The tests of `doctor`: the samples that every engine computes here, and the speed of this machine.

The reference samples (`self_test.json`) were computed in fp32 from weights that are random, but the same
everywhere. `reference()` makes them; a test compares them with the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paragon_stream.checkpoint import Weights
from paragon_stream.checkpoint.spec import published
from paragon_stream.checkpoint.untrained import UNTRAINED, untrained
from paragon_stream.errors import ParagonError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.planes import Plane
from paragon_stream.geometry import enlarged
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.runtimes.self_check import synthetic_frame
from paragon_stream.upscaler import Upscaler

REFERENCE = Path(__file__).with_suffix(".json")
VARIANTS = ("realtime", "stream")
_SIZE = (64, 48)
_SAMPLES = 64
"""Number of samples of each plane that are compared."""
_LARGEST, _MEAN = 3.0, 0.75
"""Largest accepted difference of a sample, and of the mean, in codes: 16-bit arithmetic stays below."""


@dataclass(frozen=True, kw_only=True)
class EngineTest:
    """The test of one engine. `error` is a sentence about a failure; "" without one."""

    engine: str
    device: str = ""
    precision: str = ""
    largest: float = 0.0
    """The largest error over all samples, 8-bit codes."""
    error: str = ""


def reference(engine: str = "auto") -> dict[str, list[list[int]]]:
    """Some samples of each plane of the result, by variant, computed in fp32. Raises EngineError."""
    return {variant: _samples(_upscaled(variant, engine, "fp32")[0]) for variant in VARIANTS}


def check_engine(engine: str) -> EngineTest:
    """Compare an engine, as it is used by default, with the reference. Never raises."""
    stored = json.loads(REFERENCE.read_text(encoding="utf-8"))
    largest, device, precision = 0.0, "", ""
    for variant in VARIANTS:
        try:
            planes, device, precision = _upscaled(variant, engine, "auto")
        except (ParagonError, ImportError, OSError) as error:
            return EngineTest(engine=engine, error=str(error))
        for got, wanted in zip(_samples(planes), stored[variant], strict=True):
            errors = np.abs(np.array(got) - np.array(wanted))
            largest = max(largest, float(errors.max()))
            if errors.max() > _LARGEST or errors.mean() > _MEAN:
                wrong = f"{variant} is up to {errors.max():.0f} codes off, {errors.mean():.2f} on average"
                return EngineTest(
                    engine=engine, device=device, precision=precision, largest=largest, error=wrong
                )
    return EngineTest(engine=engine, device=device, precision=precision, largest=largest)


def _upscaled(variant: str, engine: str, precision: str) -> tuple[tuple[Plane, ...], str, str]:
    tensors, metadata = untrained(published(variant, 2))
    weights = Weights.from_tensors(tensors, metadata=metadata, name=UNTRAINED)
    width, height = _SIZE
    source = FrameFormat.of("yuv420p", width, height)
    options = UpscalerOptions(engine=engine, precision=precision)
    network = weights, enlarged(source, 2)
    with Upscaler.for_format(source, options, network=network) as upscaler:
        inputs, outputs = synthetic_frame(upscaler.source), upscaler.allocate()[1]
        upscaler.run(inputs, outputs).wait()
        found = tuple(plane.copy() for plane in outputs)
        return found, upscaler.session.device, str(upscaler.session.precision)


def _samples(planes: tuple[Plane, ...]) -> list[list[int]]:
    places = [np.linspace(0, plane.size - 1, _SAMPLES, dtype=int) for plane in planes]
    return [plane.reshape(-1)[place].tolist() for plane, place in zip(planes, places, strict=True)]
