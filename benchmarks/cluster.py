"""Measures the cost of a render in chunks compared with one process's render, and models many machines.

    scripts/python --dev benchmarks/cluster.py [size_x264 | size_x265 | efficiency | efficiency_2min | parts
        | model]...

The source is examples/sample.mkv at 320x180, played there and back for one or two minutes; the network is
realtime ×2. Results go to benchmarks/results/cluster_<what>.json. CPU times count all threads, with Ray those
of all processes of its nodes.

- size_x264, size_x265: the file of chunks of 30 s, for x264 also of 8 s, against one encoder's, at default
  settings; x265, which is slow, on a minute and a half.
- efficiency, efficiency_2min: two Ray nodes of one CPU each against one process with two engine threads, on
  one minute and on two.
- parts: a chunk's cost as a line over its frames; the start of a session, of Ray and of a worker; the plan;
  the join.
- model: the time of a two-hour film on 1 to 256 nodes, computed from `parts` and what is assumed of nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import psutil
from common import RESULTS, SAMPLE, machine, write_results

from paragon_stream import Report, upscale
from paragon_stream.chunks.join import join_chunks
from paragon_stream.chunks.plan import begin, plan_chunks
from paragon_stream.chunks.render import ChunkRenderer, Here
from paragon_stream.media.frame_times import frame_times
from paragon_stream.render.request import RenderRequest

SECONDS = 120
SURE: dict[str, Any] = {"precision": "fp32"}


def make_source(path: Path, seconds: float = SECONDS) -> Path:
    """The sample there and back, again and again: motion without a cut."""
    with av.open(str(SAMPLE)) as source:
        frames = [f.reformat(320, 180, "yuv420p") for f in source.decode(video=0)]
        rate = source.streams.video[0].average_rate
    turn = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "fast"})
        video.width, video.height, video.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for number in range(round(seconds * rate)):
            frame = frames[turn[number % len(turn)]]
            frame.pts, frame.time_base = number, 1 / rate
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def in_chunks(source: Path, out: Path, seconds: float, **options: Any) -> Report:
    """All chunks by one session of this process."""
    request = RenderRequest(source=source, destination=out, **options)
    plan, folder = begin(plan_chunks(request, seconds=seconds)[0])
    with tempfile.TemporaryDirectory() as scratch, ChunkRenderer(plan, Path(scratch), Here(threads=2)) as r:
        for chunk in plan.chunks:
            folder.take(*r.render(chunk.number))
    return join_chunks(plan, folder)


def size(folder: Path, codec: str, seconds: float, lengths: Sequence[float]) -> dict[str, Any]:
    source = make_source(folder / "source.mkv", seconds)
    one = upscale(source, folder / "one.mkv", codec=codec, **SURE)
    found: dict[str, Any] = {"frames": one.frames_out, "one encoder, bytes": one.bytes_out}
    for length in lengths:
        report = in_chunks(source, folder / f"{length:g}.mkv", length, codec=codec, **SURE)
        more = report.bytes_out / one.bytes_out - 1
        found |= {
            f"chunks of {length:g} s": len(report.chunks),
            f"chunks of {length:g} s, larger by": round(more, 5),
        }
    return found


@contextmanager
def nodes(count: int) -> Iterator[str]:
    """A Ray cluster of `count` nodes of one CPU each, beside a head without any."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    store = 80 << 20
    cluster: Any = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": store, "include_dashboard": False},
    )
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=1, object_store_memory=store)
        yield cluster.address
    finally:
        if ray.is_initialized():
            ray.shutdown()
        cluster.shutdown()


class TreeTime:
    """CPU seconds of this process and all its descendants, those that end on the way included."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], float] = {}
        self.look()
        self._before = sum(self._seen.values())

    def look(self, *_: object) -> float:
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            try:
                times = process.cpu_times()
                self._seen[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:
                continue
        return sum(self._seen.values())

    @property
    def seconds(self) -> float:
        return self.look() - self._before


def efficiency(folder: Path, *, seconds: float, repeats: int) -> dict[str, Any]:
    source = make_source(folder / "source.mkv", seconds)
    rounds: list[dict[str, float]] = []
    with nodes(2) as address:
        for number in range(repeats):
            time_one = TreeTime()
            one = upscale(source, folder / f"one{number}.mkv", threads=2, **SURE)
            cpu_one = time_one.seconds
            time_two = TreeTime()
            two = upscale(
                source,
                folder / f"two{number}.mkv",
                threads=1,
                cluster=address,
                on_progress=time_two.look,
                **SURE,
            )
            rounds.append(
                {
                    "one process, CPU s": round(cpu_one, 2),
                    "two nodes, CPU s of all processes": round(time_two.seconds, 2),
                    "two nodes, CPU s of rendering": round(two.cpu_seconds, 2),
                    "one process, wall s": round(one.wall_seconds, 2),
                    "two nodes, wall s": round(two.wall_seconds, 2),
                    "chunks": len(two.chunks),
                    "frames": two.frames_out,
                }
            )
    every = [r["one process, CPU s"] / r["two nodes, CPU s of all processes"] for r in rounds]
    render = [r["one process, CPU s"] / r["two nodes, CPU s of rendering"] for r in rounds]
    return {
        "rounds": rounds,
        "efficiency, all processes": round(median(every), 4),
        "efficiency, rendering": round(median(render), 4),
    }


def parts(folder: Path) -> dict[str, Any]:
    source = make_source(folder / "source.mkv", SECONDS / 2)
    request = RenderRequest(source=source, destination=folder / "out.mkv", **SURE)
    begun = time.process_time()
    plan, whole = plan_chunks(request, seconds=4)
    planning = time.process_time() - begun
    begun = time.process_time()
    times = frame_times(whole.source)
    reading = time.process_time() - begun
    cpu: dict[float, list[tuple[int, float]]] = {}
    opening = []
    for seconds in (2.0, 8.0, 32.0):
        out = folder / f"out{seconds:g}.mkv"
        report_plan, chunks = begin(
            plan_chunks(RenderRequest(source=source, destination=out, **SURE), seconds=seconds)[0]
        )
        with (
            tempfile.TemporaryDirectory() as scratch,
            ChunkRenderer(report_plan, Path(scratch), Here(threads=1)) as renderer,
        ):
            for chunk in report_plan.chunks[: max(3, round(48 / seconds))]:
                record, file = renderer.render(chunk.number)
                chunks.take(record, file)
                cpu.setdefault(seconds, []).append((record.frames, record.cpu_seconds))
                opening += [record.opening_seconds] if record.opening_seconds else []
    points = np.array([point for each in cpu.values() for point in each])
    per_frame, per_chunk = np.polyfit(points[:, 0], points[:, 1], 1)
    joined = folder / "joined.mkv"
    to_join, chunks = begin(
        plan_chunks(RenderRequest(source=source, destination=joined, **SURE), seconds=30)[0]
    )
    with tempfile.TemporaryDirectory() as scratch, ChunkRenderer(to_join, Path(scratch)) as renderer:
        for chunk in to_join.chunks:
            chunks.take(*renderer.render(chunk.number))
    begun = time.process_time()
    report = join_chunks(to_join, chunks)
    join = time.process_time() - begun
    begun = time.perf_counter()
    with nodes(1) as address:
        ray_up = time.perf_counter() - begun
        begun = time.perf_counter()
        small = make_source(folder / "small.mkv", 2)
        upscale(small, folder / "small-out.mkv", threads=1, cluster=address, **SURE)
        first = time.perf_counter() - begun
    return {
        "frames": len(times.shown),
        "chunk, CPU s": round(float(per_chunk), 4),
        "frame, CPU s": round(float(per_frame), 6),
        "chunks measured, frames and CPU s": {str(k): v for k, v in cpu.items()},
        "session, wall s": round(median(opening), 3),
        "plan, CPU s": round(planning, 3),
        "plan, CPU s per 1000 frames": round(reading / len(times.shown) * 1000, 4),
        "join, CPU s per 1000 frames": round(join / report.frames_out * 1000, 4),
        "join, frames": report.frames_out,
        "two Ray nodes up, wall s": round(ray_up, 2),
        "whole render of 2 s on a running cluster, wall s": round(first, 2),
        "chunks planned": len(plan.chunks),
    }


FILM = {"seconds": 7200, "rate": 24, "source bytes": 8e9, "result bytes": 20e9}
ASSUMED = {
    "frames per second of a node": 20.0,
    "nodes differ by": 0.1,
    "network of the driver, bytes per second": 117e6,
    "disk of the driver, bytes per second": 500e6,
    "start of a worker, s": 10.0,
    "a frame's join, of the benchmark's": 2.0,
}


def model(folder: Path) -> dict[str, Any]:
    """See docs/cluster.md for the terms."""
    measured = json.loads((RESULTS / "cluster_parts.json").read_text())
    frames = FILM["seconds"] * FILM["rate"]
    rate = ASSUMED["frames per second of a node"]
    overhead = measured["chunk, CPU s"] / measured["frame, CPU s"]  # in frames
    network = ASSUMED["network of the driver, bytes per second"]
    disk = ASSUMED["disk of the driver, bytes per second"]
    rows = []
    for count in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        seconds = min(30.0, max(8.0, FILM["seconds"] / (4 * count)))
        chunks = FILM["seconds"] / seconds
        begin_ = (
            measured["plan, CPU s per 1000 frames"] * frames / 1000
            + FILM["source bytes"] / disk
            + ASSUMED["start of a worker, s"]
        )
        render = (frames + chunks * overhead) / (count * rate)
        last = seconds / 4 * FILM["rate"] / rate * (1 + ASSUMED["nodes differ by"])
        join = (
            ASSUMED["a frame's join, of the benchmark's"]
            * measured["join, CPU s per 1000 frames"]
            * frames
            / 1000
        )
        join += 2 * FILM["result bytes"] / disk
        shared = begin_ + render + last + join
        reads = FILM["source bytes"] * count / network
        apart = max(render, reads) + begin_ + last + join
        rows.append(
            {
                "nodes": count,
                "chunk, s": round(seconds, 1),
                "hours on a shared folder": round(shared / 3600, 3),
                "efficiency": round(frames / rate / shared / count, 3),
                "hours without one": round(apart / 3600, 3),
                "efficiency without one": round(frames / rate / apart / count, 3),
            }
        )
    return {"film": FILM, "assumed": ASSUMED, "rows": rows}


def main() -> None:
    tasks: dict[str, Callable[[Path], dict[str, Any]]] = {
        "size_x264": partial(size, codec="libx264", seconds=SECONDS, lengths=(30.0, 8.0)),
        "size_x265": partial(size, codec="libx265", seconds=0.75 * SECONDS, lengths=(30.0,)),
        "efficiency": partial(efficiency, seconds=SECONDS / 2, repeats=2),
        "efficiency_2min": partial(efficiency, seconds=SECONDS, repeats=1),
        "parts": parts,
        "model": model,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", choices=[[], *tasks], default=[])
    for name in parser.parse_args().what or tasks:
        head = machine()
        with tempfile.TemporaryDirectory() as folder:
            results = tasks[name](Path(folder))
        print(write_results(f"cluster_{name}", head, results))
        print(json.dumps({key: value for key, value in results.items() if key != "rounds"}, indent=1)[:3000])


if __name__ == "__main__":
    main()
