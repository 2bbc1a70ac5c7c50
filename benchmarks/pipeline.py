"""Measures the cost of the pipeline compared with its parts, and its gain over a simple chain of steps.

    scripts/python --dev benchmarks/pipeline.py [--repeats 3] [parts | naive | memory | start]...

On examples/sample.mkv, realtime ×2; results go to benchmarks/results/pipeline_<what>.json.

- parts: a whole render of 672 frames against decoding alone, the engine alone and encoding alone: its CPU
  time against their sum, and its wall time against the least that is possible: the slowest of the three, or
  their CPU time divided by the cores.
- naive: the same render as decode → rgb24 → float32 → ONNX Runtime on the unfolded network → clip and round →
  encode, one after the other.
- memory: peak resident memory of 300 and of 3,000 frames, each in a process of its own.
- start: from starting the command to its first progress line, which says that a frame is finished.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
from common import REPOSITORY, SAMPLE, Cost, interleaved, machine, median_ratio, write_results

from paragon_stream import upscale
from paragon_stream.checkpoint import load_weights
from paragon_stream.frame import Timing
from paragon_stream.framejob import allocate_planes
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.output.plan import OutputOptions, OutputPlan, plan_output
from paragon_stream.media.sink import open_sink
from paragon_stream.pipeline.slot import Completion
from paragon_stream.runtimes import Flavour
from paragon_stream.upscaler import Upscaler, UpscalerOptions

type Planes = tuple[np.ndarray, ...]

SCALE = 2
CODEC, CODEC_OPTIONS = "libx264", {"crf": "17", "preset": "medium"}


@dataclass
class Parts:
    """The three stages on their own, each on what the one before made."""

    source: Path
    info: MediaInfo
    plan: OutputPlan
    threads: int | None
    sources: list[tuple[Planes, Timing]]
    results: list[tuple[Planes, Timing]]

    @classmethod
    def of(cls, source: Path, out: Path, threads: int | None) -> Parts:
        info = probe(source)
        plan = plan_output(info, out, SCALE, OutputOptions(overwrite=True))
        parts = cls(source, info, plan, threads, [], [])
        parts.decode(keep=True)
        parts.compute(keep=True)
        return parts

    def decode(self, *, keep: bool = False) -> None:
        with VideoReader(probe(self.source)) as reader:
            planes = allocate_planes(self.info.video.format)
            while (timing := reader.read_into(planes)) is not None:
                if keep:
                    self.sources.append((tuple(plane.copy() for plane in planes), timing))

    def compute(self, *, keep: bool = False) -> None:
        options = UpscalerOptions(variant="realtime", scale=SCALE, threads=self.threads)
        with Upscaler.for_format(self.info.video.format, options, flavour=Flavour.THROUGHPUT) as upscaler:
            in_flight = upscaler.session.in_flight
            outputs = [allocate_planes(upscaler.target) for _ in range(in_flight)]
            pending: deque[tuple[Completion, Planes, Timing]] = deque()

            def wait() -> None:
                completion, planes, timing = pending.popleft()
                completion.wait()
                if keep:
                    self.results.append((tuple(plane.copy() for plane in planes), timing))

            for number, (planes, timing) in enumerate(self.sources):
                if len(pending) == in_flight:
                    wait()
                output = outputs[number % in_flight]
                pending.append((upscaler.run(planes, output), output, timing))
            while pending:
                wait()

    def encode(self) -> None:
        with open_sink(self.plan, self.info) as sink:
            for planes, timing in self.results:
                sink.write(planes, timing)
            sink.finish()

    def whole(self) -> None:
        assert self.plan.destination is not None
        upscale(self.source, self.plan.destination, threads=self.threads, overwrite=True)


def bench_parts(repeats: int, folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    video = probe(SAMPLE).video.format
    make_clip(folder / "in.mkv", 672, (video.width, video.height))
    for label, threads in (("all_threads", None), ("one_engine_thread", 1)):
        parts = Parts.of(folder / "in.mkv", folder / "out.mkv", threads)
        costs = interleaved(
            {"whole": parts.whole, "decode": parts.decode, "engine": parts.compute, "encode": parts.encode},
            repeats,
        )
        separate = [
            Cost(wall=max(each.wall for each in stages), cpu=sum(each.cpu for each in stages))
            for stages in zip(costs["decode"], costs["engine"], costs["encode"], strict=True)
        ]
        least = [Cost(wall=max(each.wall, each.cpu / cpus()), cpu=each.cpu) for each in separate]
        result[label] = {
            "frames": len(parts.sources),
            "cpu_whole_over_sum_of_parts": round(median_ratio(costs["whole"], separate, "cpu"), 3),
            "wall_whole_over_slowest_part": round(median_ratio(costs["whole"], separate, "wall"), 3),
            "least_wall_over_whole": round(median_ratio(least, costs["whole"], "wall"), 3),
            "costs": costs,
        }
    return result


class NaiveChain:
    """A simple program with PyAV and ONNX Runtime: every frame as RGB, one step after another."""

    def __init__(self, out: Path) -> None:
        import onnxruntime

        from paragon_stream.framejob.onnx.network import emit_network

        video = probe(SAMPLE).video
        weights = load_weights(None, variant="realtime", scale=SCALE)
        model = emit_network(weights, size=(video.format.width, video.format.height))
        self.out = out
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )

    def __call__(self) -> None:
        with av.open(str(SAMPLE)) as source, av.open(str(self.out), "w") as target:
            video = source.streams.video[0]
            video.thread_type = "AUTO"
            stream = target.add_stream(CODEC, rate=video.average_rate, options=CODEC_OPTIONS)
            stream.width, stream.height = video.width * SCALE, video.height * SCALE
            stream.pix_fmt = "yuv420p"
            for frame in source.decode(video):
                rgb = frame.to_ndarray(format="rgb24").astype(np.float32) / 255
                (result,) = self.session.run(None, {"input": rgb.transpose(2, 0, 1)[None]})
                pixels = np.round(np.clip(result[0], 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
                upscaled = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                upscaled.pts, upscaled.time_base = frame.pts, frame.time_base
                target.mux(stream.encode(upscaled))
            target.mux(stream.encode(None))


def bench_naive(repeats: int, folder: Path) -> dict[str, Any]:
    chain = NaiveChain(folder / "naive.mkv")
    out = folder / "out.mkv"
    costs = interleaved({"naive": chain, "tool": lambda: upscale(SAMPLE, out, overwrite=True)}, repeats)
    return {
        "times_faster": round(median_ratio(costs["naive"], costs["tool"], "wall"), 2),
        "times_less_cpu": round(median_ratio(costs["naive"], costs["tool"], "cpu"), 2),
        "costs": costs,
    }


def make_clip(path: Path, frames: int, size: tuple[int, int] = (256, 144)) -> None:
    """The sample's pictures, small, over and over."""
    with av.open(str(SAMPLE)) as source:
        pictures = [frame.reformat(*size, "yuv420p") for frame in source.decode(video=0)]
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=Fraction(25), options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            picture = pictures[number % len(pictures)]
            picture.pts, picture.time_base = number, Fraction(1, 25)
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))


def cpus() -> int:
    return len(os.sched_getaffinity(0))


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "paragon_stream", *map(str, arguments)]


def bench_memory(repeats: int, folder: Path) -> dict[str, Any]:
    peaks: dict[str, list[int]] = {"300": [], "3000": []}
    for frames in peaks:
        make_clip(folder / f"{frames}.mkv", int(frames))
    for _ in range(repeats):
        for frames, seen in peaks.items():
            report = folder / "report.json"
            arguments = (
                folder / f"{frames}.mkv",
                folder / "out.mkv",
                "--overwrite",
                "--quiet",
                "--report",
                report,
            )
            subprocess.run(command(*arguments), check=True, cwd=REPOSITORY)
            facts = json.loads(report.read_text())
            assert facts["frames_out"] == int(frames)
            seen.append(facts["peak_rss_bytes"])
    ratio = median(peaks["3000"]) / median(peaks["300"])
    return {"size": "256x144", "peak_3000_over_300": round(ratio, 4), "peak_rss_bytes": peaks}


def bench_start(repeats: int, folder: Path) -> dict[str, Any]:
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        with subprocess.Popen(
            command(SAMPLE, folder / "out.mkv", "--overwrite"),
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        ) as process:
            assert process.stderr is not None
            line = next(line for line in process.stderr if line.startswith("frame "))
            seconds.append(round(time.perf_counter() - begin, 3))
            process.kill()
            process.stderr.read()
        assert int(line.split()[1].split("/")[0]) >= 1, line
    return {"seconds_to_first_frame": seconds, "median": median(seconds)}


BENCHMARKS: dict[str, Callable[[int, Path], dict[str, Any]]] = {
    "parts": bench_parts,
    "naive": bench_naive,
    "memory": bench_memory,
    "start": bench_start,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="*", choices=list(BENCHMARKS), default=list(BENCHMARKS))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for what in options.what:
        head = machine()
        with tempfile.TemporaryDirectory() as folder:
            result = BENCHMARKS[what](options.repeats, Path(folder))
        path = write_results(f"pipeline_{what}", head, result)
        print(f"{path.relative_to(REPOSITORY)}: {json.dumps(result, default=lambda cost: vars(cost))}")


if __name__ == "__main__":
    main()
