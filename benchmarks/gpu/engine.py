"""The engine cuda on your GPU: is it right, how fast is it, and against torch.compile of the same network.

    git clone … && cd paragon-stream
    pip install -e '.[cuda]'                  # and torch, with CUDA, for the comparison
    python benchmarks/gpu/engine.py           # minutes

Writes benchmarks/results/gpu_engine.json after each step. For both networks, Realtime and Stream:

- `right`: every format's frame against the frame job in fp32 on the CPU.
- `fast`: GPU events around repeated frames, planes in and out already in the GPU's memory. All kernels as one
  graph, as sessions launch them, and launched from Python one by one; and each kernel alone (`block` is all
  launches of it in a frame), on what a whole frame left in memory.
- `torch`: the network as upstream wrote it (unfolded), fp16, channels_last, max-autotune with CUDA graphs,
  RGB in and out and no colour work: it is given less to do. It takes turns with the graph.

Everything is the median of rounds that take turns; the JSON has all rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]

from common import machine, write_results  # noqa: E402

from paragon_stream.checkpoint import load_weights  # noqa: E402
from paragon_stream.device import Device, DevicePlane, Resource  # noqa: E402
from paragon_stream.device.discovery import ordinals  # noqa: E402
from paragon_stream.errors import ParagonError  # noqa: E402
from paragon_stream.frame import FrameFormat  # noqa: E402
from paragon_stream.framejob import FrameJob, allocate_planes, build_job  # noqa: E402
from paragon_stream.framejob.cuda.emit import emit_cuda  # noqa: E402
from paragon_stream.framejob.cuda.program import CudaProgram  # noqa: E402
from paragon_stream.runtimes import SessionOptions, runtime  # noqa: E402
from paragon_stream.runtimes.cuda import KernelProgram  # noqa: E402
from paragon_stream.runtimes.gpu.nvrtc import cubin  # noqa: E402
from paragon_stream.runtimes.gpu.program import DeviceFrame  # noqa: E402
from paragon_stream.runtimes.registry import cpu_reference  # noqa: E402
from paragon_stream.runtimes.self_check import synthetic_frame  # noqa: E402

FORMATS = (
    "yuv420p", "yuv420p10le", "nv12", "p010le", "yuv422p", "yuv422p10le", "yuv444p", "yuv420p16le", "gray",
    "rgb24",
)  # fmt: skip
OTHER_SCALES = (("yuv444p", 3), ("yuv420p", 4))
VARIANTS = ("realtime", "stream")
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
PARTS = ("right", "fast", "torch")
GRAPH, LAUNCHES, TORCH = "frame", "frame, kernel by kernel", "torch.compile, network alone"
SMALL = (333, 187)  # odd, and no multiple of any tile


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N")
    parser.add_argument("--variant", choices=VARIANTS, action="append", help="only this network")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; default: all")
    parser.add_argument("--size", choices=SIZES, action="append", help="only this size")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=200, help="frames in a round; of stream a quarter")
    options = parser.parse_args()
    try:
        from paragon_stream.runtimes.gpu.compilation import open_device

        device = open_device(ordinals(options.device)[0])
    except ParagonError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    parts = options.only or list(PARTS)
    if "torch" in parts and not importlib.util.find_spec("torch"):
        parts.remove("torch")
        print("torch is not installed: no comparison")
    results = Results(machine() | {"gpu": str(device.info), "driver_cuda": device.info.driver})
    print(results.head["gpu"], flush=True)
    for variant in options.variant or VARIANTS:
        if "right" in parts:
            for name, scale in (*((name, 2) for name in FORMATS), *OTHER_SCALES):
                results.add(
                    variant, "right", f"{name} x{scale}", checked(variant, name, scale, options.device)
                )
        frames = options.frames if variant == "realtime" else max(1, options.frames // 4)
        for name in options.size or SIZES:
            contestants = {}
            if "fast" in parts or "torch" in parts:
                contestants = kernel_contestants(device, make_job(variant, "yuv420p", 2, *SIZES[name]))
            if "fast" not in parts:
                contestants = {GRAPH: contestants[GRAPH]} if contestants else {}
            if "torch" in parts:
                contestants[TORCH] = partial(torch_contestant, options.device, variant, *SIZES[name])
            if contestants:
                print(f"{variant} {name}:", flush=True)
                for contestant, facts in summary(contestants, options.rounds, frames).items():
                    results.add(variant, name, contestant, facts)
    print(results.path)
    return 0 if results.all_right else 1


class Results:
    """The results so far; written to disk after each step, because the next one may end the process."""

    def __init__(self, head: dict[str, Any]) -> None:
        self.head = head
        self.path: Path | None = None
        self._found: dict[str, Any] = {}

    def add(self, variant: str, part: str, name: str, facts: Any) -> None:
        self._found.setdefault(variant, {}).setdefault(part, {})[name] = facts
        self.path = write_results("gpu_engine", self.head, self._found)

    @property
    def all_right(self) -> bool:
        """Nothing failed, and every frame was right."""
        parts = [part for found in self._found.values() for part in found.values()]
        facts = [each for part in parts for each in part.values()]
        planes = [plane for each in facts if isinstance(each, list) for plane in each]
        failed = [each for each in facts if isinstance(each, dict) and "failed" in each]
        return not failed and all(plane["right"] for plane in planes)


def reason_of(error: Exception) -> str:
    """The last line of its message, which is the reason with torch."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def checked(variant: str, name: str, scale: int, device: str) -> list[dict[str, Any]] | dict[str, str]:
    """`check`, or why it failed: the other formats' results are of use all the same."""
    try:
        return check(variant, name, scale, device)
    except Exception as error:  # a first run on a GPU may raise anything
        print(f"{variant} x{scale} {name}: failed: {error}", flush=True)
        return {"failed": reason_of(error)}


def make_job(variant: str, name: str, scale: int, width: int, height: int) -> FrameJob:
    source = FrameFormat.of(name, width, height)
    return build_job(load_weights(None, variant=variant, scale=scale), source)


def check(variant: str, name: str, scale: int, device: str) -> list[dict[str, Any]]:
    """By plane: dB and largest difference from the CPU's fp32, on noise of all code values: the hardest.

    Stream's trained products leave every range on such noise, in fp32 as well: it gets the picture of the
    engine's own check.
    """
    job = make_job(variant, name, scale, *SMALL)
    pixels = job.source.pixel_format
    got, wanted = allocate_planes(job.target), allocate_planes(job.target)
    inputs = synthetic_frame(job.source)
    rng = np.random.default_rng(0)
    for plane in inputs if variant == "realtime" else ():
        plane[:] = rng.integers(0, pixels.peak + 1, plane.shape) << pixels.shift
    for compile_it, planes in (
        (lambda: runtime("cuda").compile(job, SessionOptions(device=device)), got),
        (lambda: cpu_reference(job), wanted),
    ):
        session = compile_it()
        try:
            session.run(inputs, planes).wait()
        finally:
            session.close()
    rows = []
    for plane, other in zip(got, wanted, strict=True):
        difference = np.abs((plane >> pixels.shift).astype(int) - (other >> pixels.shift).astype(int))
        db = 10 * np.log10(pixels.peak**2 / max(float(np.mean(difference**2.0)), 1e-12))
        right = bool(db >= 50 and difference.max() <= 2 * max(1, pixels.peak >> 10))
        rows.append({"db": round(float(db), 1), "largest": int(difference.max()), "right": right})
    print(f"{variant} x{scale} {name}: {rows}", flush=True)
    return rows


type Contestant = Callable[[int], float]
"""Runs that many frames, and returns the seconds that they took on the GPU."""


def kernel_contestants(device: Device, job: FrameJob) -> dict[str, Callable[[], Contestant]]:
    """By name, what makes them: the frame as a graph and kernel by kernel, and each kernel alone."""
    program = emit_cuda(job, multiprocessors=device.info.multiprocessors)
    kernels = dict.fromkeys(launch.kernel for launch in program.launches)

    def make(*, only: str | None = None, as_graph: bool = False) -> Contestant:
        with device.current():
            return kernel_contestant(device, program, only=only, as_graph=as_graph)

    return {
        GRAPH: partial(make, as_graph=True),
        LAUNCHES: make,
        **{kernel: partial(make, only=kernel) for kernel in kernels},
    }


def kernel_contestant(
    device: Device, program: CudaProgram, *, only: str | None, as_graph: bool
) -> Contestant:
    """On memory of its own, which a whole frame was computed in first."""
    code = cubin(program, device.info.sm).code

    def hold[R: Resource](resource: R) -> R:
        return resource  # given back when the process ends

    def planes(layouts: Any) -> tuple[DevicePlane, ...]:
        return tuple(
            DevicePlane(
                pointer=device.allocate(each.pitch * each.shape[0]).handle,
                pitch=each.pitch,
                row_bytes=each.pitch,
                rows=each.shape[0],
            )
            for each in layouts
        )

    frame = DeviceFrame(
        inputs=planes(program.inputs),
        outputs=planes(program.outputs),
        strength=device.allocate(4).handle,
        status=device.allocate(4).handle,
    )
    stream = device.stream("benchmark")
    pinned = device.allocate_host(max(plane.pitch * plane.rows for plane in frame.inputs))
    pinned.array[:] = np.random.default_rng(0).integers(16, 236, pinned.array.size)
    for plane in frame.inputs:
        device.upload(pinned.array[: plane.pitch * plane.rows].reshape(plane.rows, -1), plane, stream)
    device.clear(frame.strength, 1, stream)
    device.clear(frame.status, 1, stream)
    runner = KernelProgram(program, code, device, hold)
    runner.enqueue(frame, stream)
    start, end = device.event(timed=True), device.event(timed=True)
    graph = None
    if as_graph:
        device.record(end, stream)
        device.synchronize(end)  # kernels are loaded at their first launch, which cannot be captured
        device.begin_capture(stream)
        runner.enqueue(frame, stream)
        graph = device.end_capture(stream)

    def run(frames: int) -> float:
        with device.current():
            device.record(start, stream)
            for _ in range(frames):
                if graph is None:
                    runner.enqueue(frame, stream, only)
                else:
                    device.launch_graph(graph, stream)
            device.record(end, stream)
            device.synchronize(end)
            return device.elapsed(start, end)

    return run


def torch_contestant(device: str, variant: str, width: int, height: int) -> Contestant:
    import torch

    from paragon_stream.models import load

    net = load("fidelity", variant=variant, scale=2).to(device, torch.half)
    compiled = torch.compile(net.to(memory_format=torch.channels_last), mode="max-autotune")
    image = torch.rand(1, 3, height, width, device=device, dtype=torch.half)
    image = image.to(memory_format=torch.channels_last)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def run(frames: int) -> float:
        with torch.inference_mode():
            start.record()
            for _ in range(frames):
                compiled(image)
            end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000

    return run


def summary(
    contestants: dict[str, Callable[[], Contestant]], rounds: int, frames: int
) -> dict[str, dict[str, Any]]:
    """Microseconds a frame: median and all rounds. A first one of each, which compiles, does not count.

    A contestant that fails leaves the round, with its reason, and the others go on.
    """
    found: dict[str, dict[str, Any]] = {}
    running: dict[str, Contestant] = {}
    times: dict[str, list[float]] = {}

    def attempt(name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # torch raises anything; so may a GPU that is used for the first time
            running.pop(name, None)
            found[name] = {"failed": reason_of(error)}
            print(f"{name}: failed: {error}", flush=True)

    def begin(name: str) -> None:
        running[name] = contestants[name]()
        running[name](3)

    def measure(name: str) -> None:
        times.setdefault(name, []).append(1e6 * running[name](frames) / frames)

    for name in contestants:
        attempt(name, partial(begin, name))
    for _ in range(rounds):
        for name in tuple(running):
            attempt(name, partial(measure, name))
    for name in running:
        middle = median(times[name])
        found[name] = {
            "us": round(middle, 1),
            "fps": round(1e6 / middle),
            "rounds_us": [round(t, 1) for t in times[name]],
        }
        print(f"{name}: {found[name]['us']} us, {found[name]['fps']} fps", flush=True)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
