"""The engine cuda on your GPU: is it right, how fast is it, and against torch.compile of the same network.

    git clone … && cd paragon-stream
    pip install -e '.[cuda]'                  # and torch, with CUDA, for the comparison
    python benchmarks/gpu/engine.py           # minutes; writes benchmarks/results/gpu_engine.json

For both networks, Realtime and Stream. Right: every format's frame against the frame job in fp32 on the CPU.
Fast: GPU events around repeated frames, each kernel alone and all together, planes in and out already in the
GPU's memory; `block` is all launches of it in a frame. torch: the network as upstream wrote it (unfolded),
fp16, channels_last, max-autotune with CUDA graphs, RGB in and out and no colour work: it is given less to do.
Everything is the median of rounds that take turns; the JSON has all rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
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
from paragon_stream.frame import ColorSpec, FrameFormat, pixel_format, resolve_color  # noqa: E402
from paragon_stream.framejob import FrameJob, allocate_planes, build_job  # noqa: E402
from paragon_stream.framejob.cuda.emit import emit_cuda  # noqa: E402
from paragon_stream.framejob.cuda.program import CudaProgram  # noqa: E402
from paragon_stream.runtimes import Precision, SessionOptions, runtime  # noqa: E402
from paragon_stream.runtimes.cuda import KernelProgram  # noqa: E402
from paragon_stream.runtimes.gpu.nvrtc import cubin  # noqa: E402
from paragon_stream.runtimes.gpu.program import DeviceFrame  # noqa: E402
from paragon_stream.runtimes.self_check import synthetic_frame  # noqa: E402

FORMATS = (
    "yuv420p", "yuv420p10le", "nv12", "p010le", "yuv422p", "yuv422p10le", "yuv444p", "yuv420p16le", "gray",
    "rgb24",
)  # fmt: skip
OTHER_SCALES = (("yuv444p", 3), ("yuv420p", 4))
VARIANTS = ("realtime", "stream")
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
TORCH = "torch.compile, network alone"
SMALL = (333, 187)  # odd, and no multiple of any tile


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N")
    parser.add_argument("--variant", choices=VARIANTS, action="append", help="only this network")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=200, help="frames in a round; of stream a quarter")
    parser.add_argument("--no-torch", action="store_true")
    options = parser.parse_args()
    try:
        from paragon_stream.runtimes.gpu.engine import open_device

        device = open_device(ordinals(options.device)[0])
    except ParagonError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    head = machine() | {"gpu": str(device.info), "driver_cuda": device.info.driver}
    print(head["gpu"])
    results: dict[str, Any] = {}
    for variant in options.variant or VARIANTS:
        found: dict[str, Any] = {"right": {}}
        for name, scale in (*((name, 2) for name in FORMATS), *OTHER_SCALES):
            found["right"][f"{name} x{scale}"] = check(variant, name, scale, options.device)
        frames = options.frames if variant == "realtime" else max(1, options.frames // 4)
        for name, (width, height) in SIZES.items():
            job = make_job(variant, "yuv420p", 2, width, height)
            with device.current():
                contestants = kernel_contestants(device, job)
            if not options.no_torch and importlib.util.find_spec("torch"):
                contestants[TORCH] = torch_contestant(options.device, variant, width, height)
            print(f"{variant} {name}:")
            found[name] = summary(contestants, options.rounds, frames)
        results[variant] = found
    print(write_results("gpu_engine", head, results))
    checks = [plane for found in results.values() for planes in found["right"].values() for plane in planes]
    return 0 if all(plane["right"] for plane in checks) else 1


def make_job(variant: str, name: str, scale: int, width: int, height: int) -> FrameJob:
    layout = pixel_format(name)
    color = resolve_color(ColorSpec(), format=layout, width=width, height=height)
    source = FrameFormat(width=width, height=height, pixel_format=layout, color=color)
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
    for engine, planes, precision in (("cuda", got, Precision.AUTO), ("openvino", wanted, Precision.FP32)):
        where = device if engine == "cuda" else None
        session = runtime(engine).compile(job, SessionOptions(precision=precision, device=where))
        session.run(inputs, planes).wait()
        session.close()
    rows = []
    for plane, other in zip(got, wanted, strict=True):
        difference = np.abs((plane >> pixels.shift).astype(int) - (other >> pixels.shift).astype(int))
        db = 10 * np.log10(pixels.peak**2 / max(float(np.mean(difference**2.0)), 1e-12))
        right = bool(db >= 50 and difference.max() <= 2 * max(1, pixels.peak >> 10))
        rows.append({"db": round(float(db), 1), "largest": int(difference.max()), "right": right})
    print(f"{variant} x{scale} {name}: {rows}")
    return rows


type Contestant = Callable[[int], float]
"""Runs that many frames, and tells the seconds that they took on the GPU."""


def kernel_contestants(device: Device, job: FrameJob) -> dict[str, Contestant]:
    """The frame, and each kernel alone, on memory that is allocated once. Call inside `device.current()`."""
    program = emit_cuda(job, multiprocessors=device.info.multiprocessors)
    code = cubin(program, f"sm_{device.info.sm}").code

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

    def contestant(only: str | None) -> Contestant:
        chosen = tuple(each for each in program.launches if only in (None, each.kernel))
        part = CudaProgram(**{**vars(program), "launches": chosen})
        runner = KernelProgram(part, code, device, hold)
        start, end = device.event(timed=True), device.event(timed=True)

        def run(frames: int) -> float:
            with device.current():
                device.record(start, stream)
                for _ in range(frames):
                    runner.enqueue(frame, stream)
                device.record(end, stream)
                device.synchronize(end)
                return device.elapsed(start, end)

        return run

    names = dict.fromkeys(launch.kernel for launch in program.launches)
    return {"frame": contestant(None)} | {name: contestant(name) for name in names}


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


def summary(contestants: dict[str, Contestant], rounds: int, frames: int) -> dict[str, Any]:
    """Microseconds a frame: median and all rounds. A first one of each, which compiles, does not count."""
    for run in contestants.values():
        run(3)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            times[name].append(1e6 * run(frames) / frames)
    found: dict[str, Any] = {
        name: {
            "us": round(median(all_), 1),
            "fps": round(1e6 / median(all_)),
            "rounds_us": [round(t, 1) for t in all_],
        }
        for name, all_ in times.items()
    }
    for name, facts in found.items():
        print(f"{name}: {facts['us']} us, {facts['fps']} fps")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
