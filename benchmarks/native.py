"""The engine native against OpenVINO: CPU time of a frame on one thread, and how exact it is.

    python benchmarks/native.py [--size 960x540] [--repeats 9] [--variants realtime,stream] [--name LABEL]

Contenders take turns, so that a busy machine slows all alike; ratios are medians over the rounds, each form's
to OpenVINO in the same precision. "of the peak" counts the network's multiply-adds of the frame alone,
against what the same instructions do in registers (`Form.peak`). "stages" are the network's parts (of
Realtime by leaving out blocks). "others" are other formats and sizes, in the precision that `auto` takes.
"threads" is the CPU time of two threads against one.
Accuracy: PSNR of luma, and the largest difference in codes, of every form to OpenVINO's fp32, on a frame of
examples/sample.mkv, on noise of all codes, and on ramps. Results are kept per processor, in
benchmarks/results/native_<processor>.json.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import av
import numpy as np
from common import SAMPLE, interleaved, machine, median_ratio, write_results

from paragon_stream.checkpoint import load_weights
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.conv import Conv
from paragon_stream.framejob.native.tail import plane_tail
from paragon_stream.framejob.planes import Plane
from paragon_stream.geometry import parse_size, place
from paragon_stream.native.library import Kernels, kernels
from paragon_stream.runtimes import Flavour, Precision, Session, SessionOptions, runtime
from paragon_stream.runtimes.native.session import NativeSession

type Planes = tuple[Plane, ...]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="960x540")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--variants", default="realtime,stream")
    parser.add_argument("--name", help="of the result file (default: the processor's)")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    head = machine()
    peaks = {each.form.name: peak(each) for each in kernels()}
    results = {}
    for variant in options.variants.split(","):
        job = make_job(variant, "yuv420p", width, height)
        repeats = options.repeats if variant == "realtime" else max(3, options.repeats // 3)
        results[variant] = {
            **compare(job, repeats, peaks),
            "stages": {each.form.name: stages(job, each, peaks[each.form.name]) for each in kernels()},
            "others": others(variant, width, height, repeats),
            "threads": threads(job, repeats),
            "accuracy": accuracy(variant),
        }
        show(variant, results[variant])
    slug = options.name or re.sub(r"\W+", "_", str(head["cpu"])).strip("_").lower()
    facts = {"size": options.size, "peak_gmacs": peaks, "results": results}
    print(f"written to {write_results(f'native_{slug}', head, facts)}")


def make_job(variant: str, pixels: str, width: int, height: int, to: str | None = None) -> FrameJob:
    """The job of a shipped set at ×2; `to` is a size as `--to` takes it."""
    source = FrameFormat.of(pixels, width, height)
    size = parse_size(to)
    placement = place(source, size, grain=2) if size else None
    return build_job(load_weights(variant=variant, scale=2), source, placement=placement)


def macs(job: FrameJob) -> float:
    """Multiply-adds of the network per source pixel, as the kernels compute it."""
    return job.first.weight.size + sum(map(block_macs, job.blocks)) + last_macs(job)


def block_macs(block: object) -> float:
    parts = [each for part in vars(block).values() for each in (part if isinstance(part, tuple) else (part,))]
    return float(sum(each.weight.size for each in parts if isinstance(each, Conv)))


def last_macs(job: FrameJob) -> float:
    """Multiply-adds of conv_mid and the tail per source pixel."""
    tails = (
        plane_tail(weight, bias, plane.down)
        for weight, bias, plane in zip(job.tail_weight, job.tail_bias, job.outputs, strict=True)
        if weight.any()
    )
    return job.mid.weight.size + sum(tail.weight.size / (tail.step[0] * tail.step[1]) for tail in tails)


def peak(each: Kernels) -> float:
    """G multiply-adds a second of one core."""
    rounds, best = 1 << 20, 0.0
    for _ in range(5):
        start = time.process_time()
        done = each.entry.peak(rounds)
        best = max(best, done / (time.process_time() - start) / 1e9)
    return round(best, 1)


def precisions() -> list[Precision]:
    """The precisions that OpenVINO uses on this CPU."""
    job = make_job("realtime", "yuv420p", 32, 32)
    found = str(runtime("openvino").compile(job, SessionOptions(threads=1)).precision)
    return [Precision.FP32] + ([Precision.BF16] if found == Precision.BF16 else [])


def compare(job: FrameJob, repeats: int, peaks: dict[str, float]) -> dict[str, Any]:
    own = {each.form.name: NativeSession(job, each, 1, Flavour.LATENCY) for each in kernels()}
    theirs: dict[str, Session] = {
        f"openvino {precision}": runtime("openvino").compile(
            job, SessionOptions(precision=precision, threads=1)
        )
        for precision in precisions()
    }
    run = {name: once(session, frame_of(job)) for name, session in {**own, **theirs}.items()}
    for work in run.values():
        work()
    costs = interleaved(run, repeats)
    pixels = job.source.width * job.source.height
    gmacs = macs(job) * pixels / 1e9
    found: dict[str, Any] = {"gmacs_per_frame": round(gmacs, 2), "raw": costs, "cpu_ms": {}, "times": {}}
    for name, each in costs.items():
        found["cpu_ms"][name] = round(1e3 * statistics.median(cost.cpu for cost in each), 1)
    for name, session in own.items():
        against = f"openvino {session.precision}"
        if against in costs:
            found["times"][name] = round(median_ratio(costs[against], costs[name], "cpu"), 2)
    found["of_the_peak"] = {
        name: round(gmacs / (found["cpu_ms"][name] / 1e3) / peaks[name], 2) for name in own
    }
    for session in (*own.values(), *theirs.values()):
        session.close()
    return found


def stages(job: FrameJob, form: Kernels, peak_gmacs: float) -> dict[str, dict[str, float]]:
    """CPU time of the network's parts, ms, and the share of the peak that each reaches."""
    session = NativeSession(job, form, 1, Flavour.LATENCY)
    if job.spec.variant == "stream":
        passes = [0.0] * (len(job.blocks) + 2)
        for _ in range(3):
            parts = session.stages(frame_of(job), allocate_planes(job.target), 0.0)
            for number, stage in enumerate(parts):
                start = time.process_time()
                for part in stage:
                    part()
                spent = time.process_time() - start
                passes[number] = min(passes[number] or spent, spent)
        cost = {
            "conv_in": passes[0],
            "a block": statistics.median(passes[1:-1]),
            "conv_mid, tail": passes[-1],
        }
    else:
        few = NativeSession(replace(job, blocks=job.blocks[:1]), form, 1, Flavour.LATENCY)
        costs = interleaved({"few": once(few, frame_of(job)), "all": once(session, frame_of(job))}, 5)
        least, most = (min(each.cpu for each in costs[name]) for name in ("few", "all"))
        block = (most - least) / (len(job.blocks) - 1)
        cost = {"a block": block, "conv_in, conv_mid, tail": least - block}
        few.close()
    session.close()
    first, last = float(job.first.weight.size), last_macs(job)
    work = {
        "conv_in": first,
        "a block": block_macs(job.blocks[0]),
        "conv_mid, tail": last,
        "conv_in, conv_mid, tail": first + last,
    }
    pixels = job.source.width * job.source.height
    return {
        name: {
            "ms": round(1e3 * seconds, 1),
            "of_the_peak": round(work[name] * pixels / 1e9 / seconds / peak_gmacs, 2),
        }
        for name, seconds in cost.items()
    }


def others(variant: str, width: int, height: int, repeats: int) -> dict[str, Any]:
    """CPU time of other formats and sizes in this engine and in OpenVINO, both with their own precision."""
    cases = {
        "yuv420p": ("yuv420p", None),
        "nv12": ("nv12", None),
        "gbrp": ("gbrp", None),
        "bgr0": ("bgr0", None),
        "yuv420p, 1.5 times the size": ("yuv420p", "1.5"),
    }
    found: dict[str, Any] = {}
    for name, (pixels, to) in cases.items():
        job = make_job(variant, pixels, width, height, to)
        both = {
            each: runtime(each).compile(job, SessionOptions(threads=1)) for each in ("native", "openvino")
        }
        run = {each: once(session, frame_of(job)) for each, session in both.items()}
        for work in run.values():
            work()
        costs = interleaved(run, max(3, repeats // 2))
        ms = {each: round(1e3 * statistics.median(cost.cpu for cost in costs[each]), 1) for each in costs}
        found[name] = {**ms, "times": round(median_ratio(costs["openvino"], costs["native"], "cpu"), 2)}
        for session in both.values():
            session.close()
    return found


def threads(job: FrameJob, repeats: int) -> dict[str, Any]:
    """Two threads on one frame, and on two, against one; wall time matters on idle machines only."""
    options = {
        "1": SessionOptions(threads=1),
        "2, one frame": SessionOptions(threads=2),
        "2, two frames": SessionOptions(threads=2, flavour=Flavour.THROUGHPUT),
    }
    found: dict[str, Any] = {}
    sessions = {name: runtime("native").compile(job, each) for name, each in options.items()}
    work = {name: pair(session, frame_of(job)) for name, session in sessions.items()}
    for each in work.values():
        each()
    costs = interleaved(work, max(3, repeats // 2))
    for name in list(costs)[1:]:
        found[name] = {
            "cpu": round(1 / median_ratio(costs["1"], costs[name], "cpu"), 3),
            "times_faster": round(median_ratio(costs["1"], costs[name], "wall"), 2),
        }
    for session in sessions.values():
        session.close()
    return found


def accuracy(variant: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (pixels, frame) in pictures().items():
        job = make_job(variant, pixels, frame[0].shape[1], frame[0].shape[0])
        reference = answer(runtime("openvino").compile(job, SessionOptions(precision=Precision.FP32)), frame)
        contenders: dict[str, Session] = {
            each.form.name: NativeSession(job, each, 1, Flavour.LATENCY) for each in kernels()
        }
        for precision in precisions()[1:]:
            options = SessionOptions(precision=precision)
            contenders[f"openvino {precision}"] = runtime("openvino").compile(job, options)
        for contender, session in contenders.items():
            made = answer(session, frame)
            power = float(np.mean((made[0].astype(np.float64) - reference[0]) ** 2))
            decibels = 10 * np.log10(job.target.pixel_format.peak**2 / power) if power else None
            found.setdefault(contender, {})[name] = {
                "psnr_y": decibels and round(float(decibels), 1),
                "codes": max(
                    int(np.abs(a.astype(int) - b).max()) for a, b in zip(made, reference, strict=True)
                ),
            }
    return found


def pictures() -> dict[str, tuple[str, Planes]]:
    with av.open(str(SAMPLE)) as container:
        picture = next(container.decode(video=0)).reformat(format="yuv420p")
        planes = tuple(
            np.ascontiguousarray(
                np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            )
            for plane in picture.planes
        )
    rng = np.random.default_rng(0)
    found: dict[str, tuple[str, Planes]] = {"picture": ("yuv420p", planes)}
    for name, peak_ in (("yuv420p", 255), ("yuv420p10le", 1023)):
        depth = peak_.bit_length()
        empty = allocate_planes(make_job("realtime", name, 256, 64).source)
        for plane in empty:
            plane[:] = rng.integers(0, peak_ + 1, plane.shape)
        found[f"noise, {depth} bits"] = (name, empty)
        ramp = allocate_planes(make_job("realtime", name, 256, 64).source)
        for plane in ramp:
            plane[:] = np.linspace(0, peak_, plane.shape[1]).round()
        found[f"ramp, {depth} bits"] = (name, ramp)
    return found


def frame_of(job: FrameJob) -> Planes:
    planes = allocate_planes(job.source)
    rng = np.random.default_rng(0)
    for plane in planes:
        plane[:] = rng.integers(16, 236, plane.shape)
    return planes


def once(session: Session, frame: Planes) -> Callable[[], object]:
    outputs = allocate_planes(session.job.target)
    return lambda: session.run(frame, outputs).wait()


def pair(session: Session, frame: Planes) -> Callable[[], object]:
    """Four frames, as many at once as the session takes."""
    outputs = [allocate_planes(session.job.target) for _ in range(4)]

    def run() -> None:
        for pending in [session.run(frame, each) for each in outputs]:
            pending.wait()

    return run


def answer(session: Session, frame: Planes) -> Planes:
    outputs = allocate_planes(session.job.target)
    session.run(frame, outputs, 0.5).wait()
    session.close()
    return outputs


def show(variant: str, result: dict[str, Any]) -> None:
    print(f"\n{variant}: {result['gmacs_per_frame']} G multiply-adds a frame")
    for name, ms in result["cpu_ms"].items():
        times, share = result["times"].get(name, ""), result["of_the_peak"].get(name, "")
        print(f"{name:16}{ms:10.1f} ms {times!s:>6} {share!s:>6}")
    for name in ("stages", "others", "threads"):
        print(name, result[name])
    for name, each in result["accuracy"].items():
        print(name, {picture: tuple(values.values()) for picture, values in each.items()})


if __name__ == "__main__":
    main()
