"""Measures `--precision int8`: the loss of quality and the gain in time of renders, against fp32 and 16 bits.

    python benchmarks/int8.py --eval FOLDER [--weights FILE ...]    # Set5 and Set14 in FOLDER; some minutes

Writes benchmarks/results/int8.json. Quality: `paragon-stream eval`, PSNR of luma. Times: CPU time of one
thread, medians of runs that take turns, frames of 480×270 yuv420p. Measured: the shipped `fidelity` sets, and
what `--weights` names.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import Any

from common import interleaved, machine, write_results

from paragon_stream.checkpoint import Weights, load_weights
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import allocate_planes, build_job
from paragon_stream.runtimes import Precision, SessionOptions, runtime
from paragon_stream.runtimes.self_check import synthetic_frame
from paragon_stream.train.measure.evaluate import evaluate

WIDTH, HEIGHT, ROUNDS = 480, 270, 7
ENGINES = {"openvino": ("fp32", "auto", "int8"), "onnxruntime": ("fp32", "int8")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--weights", type=Path, action="append", default=[])
    given = parser.parse_args()
    head, rows = machine(), list[dict[str, Any]]()
    for variant in ("realtime", "stream"):
        rows += measured(given.eval, {"weights": "fidelity", "variant": variant, "scale": 2})
    for path in given.weights:
        rows += measured(given.eval, {"weights": path})
    write_results("int8", head, {"rows": rows})


def measured(folder: Path, network: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each engine and precision."""
    weights = load_weights(**network)
    times = cpu_ms(weights)
    rows = []
    for engine, precisions in ENGINES.items():
        for precision in precisions:
            row = {"weights": str(network["weights"]), "engine": engine, "asked": precision}
            row |= {"variant": network.get("variant", ""), **times[engine, precision]}
            for name in ("Set5", "Set14"):
                found = evaluate(weights, folder / name, engine=engine, precision=precision)
                row[name] = found.means()["model"]["psnr_y"]
            rows.append(row)
            print(row, flush=True)
    return rows


def cpu_ms(weights: Weights) -> dict[tuple[str, str], dict[str, Any]]:
    job = build_job(weights, FrameFormat.of("yuv420p", WIDTH, HEIGHT))
    inputs, outputs = synthetic_frame(job.source), allocate_planes(job.target)
    sessions = {
        (engine, precision): runtime(engine).compile(
            job, SessionOptions(precision=Precision(precision), threads=1)
        )
        for engine, precisions in ENGINES.items()
        for precision in precisions
    }

    def run(key: tuple[str, str]) -> None:
        sessions[key].run(inputs, outputs).wait()

    contestants = {" ".join(key): (lambda key=key: run(key)) for key in sessions}
    costs = interleaved(contestants, ROUNDS + 1)
    found = {}
    for key, session in sessions.items():
        taken = median(each.cpu for each in costs[" ".join(key)][1:])
        found[key] = {"computed_in": str(session.precision), "cpu_ms": 1000 * taken}
        session.close()
    return found


if __name__ == "__main__":
    main()
