"""Engine against engine: the frame job (planes in, planes out) and the unfolded graph (fp32 RGB in and out).

    python benchmarks/engine.py [--repeats 15] [--threads 1]

Every contender runs once per round, in turn, so that a busy machine slows all of them alike; ratios are
medians over the rounds. CPU time is the process's, wall time is there for comparison. The unfolded graph
gets its input for free: what a tool that uses it needs before and after (YUV → RGB, /255, clip, round,
RGB → YUV) is not counted. The frame job of the same network at one fixed strength, without the input that
says it, shows what following the stream costs.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnxruntime
from common import interleaved, machine, median_ratio, write_results

from paragon_stream.checkpoint import Weights, load_weights
from paragon_stream.checkpoint.export import at_strength
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.conv import Conv
from paragon_stream.framejob.onnx.network import emit_network
from paragon_stream.runtimes import Flavour, Precision, SessionOptions, runtime
from paragon_stream.runtimes.quiet_openvino import ov

OURS = "frame job, OpenVINO"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="960x540")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variants", default="realtime,stream")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    head, results = machine(), {}
    for variant in options.variants.split(","):
        repeats = options.repeats if variant == "realtime" else max(3, options.repeats // 3)
        results[variant] = compare(variant, width, height, options.threads, repeats)
        print_table(variant, results[variant])
    facts = {"size": options.size, "threads": options.threads, "results": results}
    print(f"written to {write_results('engine', head, facts)}")


def compare(variant: str, width: int, height: int, threads: int, repeats: int) -> dict[str, Any]:
    """Every contender `repeats` times, in turn."""
    weights = load_weights(variant=variant, scale=2)
    plain = at_strength(weights, 0.5)
    source = FrameFormat.of("yuv420p", width, height)
    job = build_job(weights, source)
    precision, frame_job = run_frame_job(job, threads)
    contenders = {
        OURS: frame_job,
        "… of one fixed strength": run_frame_job(build_job(plain, source), threads)[1],
        "unfolded, OpenVINO": run_unfolded(plain, width, height, threads, precision),
        "unfolded, ONNX Runtime": run_onnxruntime(plain, width, height, threads),
    }
    for run in contenders.values():
        run()
    costs = interleaved(contenders, repeats)
    theirs = [name for name in contenders if name != OURS]
    return {
        "weights": f"{weights.name} {weights.sha256[:12]}",
        "precision": precision,
        "macs_per_padded_pixel": macs(job),
        "gmacs_per_frame": macs(job) * job.padded[0] * job.padded[1] / 1e9,
        "cpu_ms": {name: milliseconds(cost.cpu for cost in each) for name, each in costs.items()},
        "wall_ms": {name: milliseconds(cost.wall for cost in each) for name, each in costs.items()},
        "times_faster_cpu": {name: median_ratio(costs[name], costs[OURS], "cpu") for name in theirs},
        "times_faster_wall": {name: median_ratio(costs[name], costs[OURS], "wall") for name in theirs},
        "raw": costs,
    }


def run_frame_job(job: FrameJob, threads: int) -> tuple[str, Callable[[], object]]:
    options = SessionOptions(precision=Precision.AUTO, threads=threads, flavour=Flavour.LATENCY)
    session = runtime("openvino").compile(job, options)
    inputs, outputs = allocate_planes(job.source), allocate_planes(job.target)
    rng = np.random.default_rng(0)
    for plane in inputs:
        plane[:] = rng.integers(16, 236, plane.shape)
    return str(session.precision), lambda: session.run(inputs, outputs).wait()


def run_unfolded(
    weights: Weights, width: int, height: int, threads: int, precision: str
) -> Callable[[], object]:
    core = ov.Core()
    model = core.read_model(emit_network(weights, size=(width, height)).SerializeToString())
    config = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == Precision.BF16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    request = core.compile_model(model, "CPU", config).create_infer_request()
    image = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    output = np.empty((1, 3, weights.spec.scale * height, weights.spec.scale * width), np.float32)
    request.set_input_tensor(ov.Tensor(image, shared_memory=True))
    request.set_output_tensor(ov.Tensor(output, shared_memory=True))

    def run(keep: tuple[Any, ...] = (image, output)) -> None:  # the request only points at their memory
        request.infer()

    return run


def run_onnxruntime(weights: Weights, width: int, height: int, threads: int) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = emit_network(weights, size=(width, height)).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    image = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    return lambda: session.run(None, {"input": image})


def macs(job: FrameJob) -> int:
    """Multiplications of the network per position of the padded grid, chroma and base path left out."""
    convolutions = [job.first, job.mid, job.tail(8).conv]
    for block in job.blocks:
        for part in vars(block).values():
            convolutions += part if isinstance(part, tuple) else (part,)
    return sum(conv.macs for conv in convolutions if isinstance(conv, Conv))


def milliseconds(seconds: Iterable[float]) -> dict[str, float]:
    values = [1e3 * value for value in seconds]
    return {"median": round(statistics.median(values), 1), "minimum": round(min(values), 1)}


def print_table(variant: str, result: dict[str, Any]) -> None:
    print(f"\n{variant} ×2, {result['precision']}, weights {result['weights']}")
    print(f"{'':26}{'CPU ms':>10}{'wall ms':>10}{'× ours':>8}")
    for name, cpu in result["cpu_ms"].items():
        times = result["times_faster_cpu"].get(name, 1.0)
        print(f"{name:26}{cpu['median']:10.1f}{result['wall_ms'][name]['median']:10.1f}{times:8.2f}")


if __name__ == "__main__":
    main()
