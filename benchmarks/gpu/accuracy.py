"""Measures the error of the engine `cuda` against fp32; its kernels' source runs on a CPU. Needs no GPU.

    scripts/python benchmarks/gpu/accuracy.py

The start-up check's picture (gradients, hard edges, noise) at strength 0.5 through every set of weights that
ships and has kernels, at 8 and 10 bits: once through the emulator of the tests (fp16 rounded at every
step as the kernels do it), once through engine `openvino` in fp32. Written to
`benchmarks/results/gpu_accuracy.json`, by plane: PSNR in dB of the peak, the worst sample in codes, and how
many samples in a thousand differ. What a real tensor core adds is the order of its sums.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks"), str(REPOSITORY / "tests" / "support")]

from common import cost_of, machine, write_results  # noqa: E402
from emulator import Run, run_program  # noqa: E402

from paragon_stream.checkpoint import ShippedSet, list_shipped, load_weights  # noqa: E402
from paragon_stream.frame import FrameFormat, pixel_format  # noqa: E402
from paragon_stream.framejob import allocate_planes, build_job  # noqa: E402
from paragon_stream.framejob.cuda.emit import emit_cuda  # noqa: E402
from paragon_stream.framejob.cuda.source import FEATURES  # noqa: E402
from paragon_stream.runtimes import Precision, SessionOptions, runtime  # noqa: E402
from paragon_stream.runtimes.self_check import synthetic_frame  # noqa: E402

WIDTH, HEIGHT = 96, 54
"""Several tiles of `head` and strips of `block`; a frame takes the emulator 1 to 20 seconds."""
STRENGTH = 0.5
FORMATS = {2: ("yuv420p", "yuv420p10le"), 3: ("yuv444p", "yuv444p10le"), 4: ("yuv420p", "yuv420p10le")}
"""By scale. At ×3 there are no kernels for subsampled chroma."""


def main() -> None:
    head = machine()
    found: dict[str, dict[str, Any]] = {}
    for shipped in list_shipped():
        if shipped.variant not in FEATURES:
            continue
        label = f"{shipped.variant} x{shipped.scale} {shipped.name}"
        found[label] = {name: compare(shipped, name) for name in FORMATS[shipped.scale]}
        for name, measures in found[label].items():
            print(
                label, name, {plane: facts["psnr"] for plane, facts in measures["planes"].items()}, flush=True
            )
    results = {"size": [WIDTH, HEIGHT], "strength": STRENGTH, "sets": found, "worst": worst(found)}
    print(write_results("gpu_accuracy", head, results))


def compare(shipped: ShippedSet, name: str) -> dict[str, Any]:
    """One set, one format."""
    job = build_job(load_weights(shipped.path), FrameFormat.of(name, WIDTH, HEIGHT))
    inputs, expected = synthetic_frame(job.source), allocate_planes(job.target)
    session = runtime("openvino").compile(job, SessionOptions(precision=Precision.FP32))
    try:
        session.run(inputs, expected, STRENGTH).wait()
    finally:
        session.close()
    runs: list[Run] = []
    program = emit_cuda(job)
    cost = cost_of(lambda: runs.append(run_program(program, inputs, STRENGTH)))
    assert runs[0].status == 0, "the kernels computed a sample that is no number"
    peak = job.target.pixel_format.peak
    return {
        "planes": {
            plane: deviation(got, wanted, peak)
            for plane, got, wanted in zip("YUV", runs[0].outputs, expected, strict=True)
        },
        "emulation": cost,
    }


def deviation(got: NDArray[Any], wanted: NDArray[Any], peak: int) -> dict[str, float | None]:
    """`psnr` is None where all samples are the same."""
    error = np.abs(got.astype(np.int64) - wanted)
    power = float(np.mean(error**2))
    return {
        "psnr": round(10 * math.log10(peak**2 / power), 2) if power else None,
        "codes": int(error.max()),
        "differing_per_mille": round(1000 * float(np.mean(error > 0)), 1),
    }


def worst(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Over all sets, by bits and kind of plane: the least PSNR (None if all samples are the same) and the
    most codes."""
    summary: dict[str, dict[str, Any]] = {}
    for formats in found.values():
        for name, measures in formats.items():
            for plane, facts in measures["planes"].items():
                bits, kind = pixel_format(name).depth, "luma" if plane == "Y" else "chroma"
                entry = summary.setdefault(f"{bits} bits, {kind}", {"psnr": None, "codes": 0})
                entry["psnr"] = min(filter(None, (entry["psnr"], facts["psnr"])), default=None)
                entry["codes"] = max(entry["codes"], facts["codes"])
    return summary


if __name__ == "__main__":
    main()
