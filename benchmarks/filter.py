"""The filter: against the engine alone, in vspipe and mpv; against vs-mlrt; seeks and drops in mpv.

    python benchmarks/filter.py [--mlrt FOLDER] [--rounds 5] [--frames 40] [speed | seeks | real_time]…

Needs `vapoursynth` and `vapoursynth-bestsource`; an mpv from `scripts/build_mpv build/mpv`, else mpv is left
out; and, for the comparison, vs-mlrt in a folder of its own (it brings an OpenVINO that cannot live in one
process with the Python package): `pip install --no-deps --target FOLDER vapoursynth-mlrt-ov
vapoursynth-mlrt-ort`. Every contestant renders the same H.264 clip to nowhere, once short and once long: the
difference is the cost of frames alone, without starting and compiling. Contestants take turns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import psutil
import vapoursynth as vs
from common import REPOSITORY, Cost, machine, write_results

from paragon_stream.checkpoint import load_weights
from paragon_stream.datafiles import data_folder
from paragon_stream.frame import (
    ChromaLocation,
    ColorRange,
    ColorSpec,
    FrameFormat,
    Matrix,
    pixel_format,
)
from paragon_stream.framejob import allocate_planes, build_job
from paragon_stream.framejob.onnx.network import emit_network
from paragon_stream.runtimes import Flavour, SessionOptions, runtime

WIDTH, HEIGHT, FPS = 960, 540, 24
FAST, SIZES = 60, ((320, 180), (480, 270), (640, 360), (854, 480))
SHORT = 8
VSPIPE = Path(vs.__file__).with_name("vspipe")
MPV = REPOSITORY / "build" / "mpv" / "bin" / "mpv"
SCRIPT_PATH = data_folder("filters") / "paragon.vpy"

OURS = """
import vapoursynth as vs
import paragon_stream.vapoursynth as paragon
clip = vs.core.bs.VideoSource(source, cachemode=0)
paragon.upscale(clip).set_output()
"""

THEIRS = """
import vapoursynth as vs
core = vs.core
core.std.LoadPlugin(plugin)
clip = core.bs.VideoSource(source, cachemode=0)
clip = clip.resize.Bicubic(format=vs.RGBS, matrix_in_s="170m")
clip = core.{namespace}.Model(clip, network, {arguments})
clip.resize.Bicubic(format=vs.YUV420P8, matrix_s="170m").set_output()
"""

RESIZE = """
width, height = video_in.width * 2, video_in.height * 2
video_in.resize.Bicubic(width=width, height=height).set_output()
"""


def make_clip(path: Path, width: int, height: int, frames: int, fps: int = FPS) -> None:
    """Moving gradients and noise, H.264 4:2:0, a key frame a second."""
    rng = np.random.default_rng(1)
    grain = rng.integers(0, 24, (height * 3 // 2, width), np.uint8)
    y, x = np.mgrid[0 : height * 3 // 2, 0:width]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "g": str(fps)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for n in range(frames):
            picture = (96 + 64 * np.sin((x + 3 * n) / 37) * np.cos((y - 2 * n) / 23)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture + np.roll(grain, n, 1), format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def child(command: Sequence[object]) -> Cost:
    """Run a command and take its time; the CPU seconds are those of its whole life."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    complaints = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command[0]} failed: {complaints}")
    return Cost(wall=time.perf_counter() - start, cpu=usage.ru_utime + usage.ru_stime)


def engine_alone(width: int, height: int) -> Callable[[int], Cost]:
    """The session itself, with as many frames in flight as it takes, on planes that lie ready."""
    color = ColorSpec(matrix=Matrix.SMPTE170M, range=ColorRange.LIMITED, chroma_location=ChromaLocation.LEFT)
    source = FrameFormat(width=width, height=height, pixel_format=pixel_format("yuv420p"), color=color)
    job = build_job(load_weights(variant="realtime", scale=2), source)
    session = runtime("auto").compile(job, SessionOptions(flavour=Flavour.THROUGHPUT))
    slots = [(allocate_planes(job.source), allocate_planes(job.target)) for _ in range(session.in_flight)]

    def run(frames: int) -> Cost:
        wall, cpu = time.perf_counter(), time.process_time()
        pending: list[Any] = []
        for n in range(frames):
            if len(pending) == session.in_flight:
                pending.pop(0).wait()
            pending.append(session.run(*slots[n % session.in_flight]))
        for completion in pending:
            completion.wait()
        return Cost(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)

    return run


def contestants(folder: Path, clip: Path, mlrt: Path | None) -> dict[str, Callable[[int], Cost]]:
    """Name → a function that renders a number of frames of `clip` and returns the cost."""

    def vspipe(script: Path, **names: object) -> Callable[[int], Cost]:
        options = [word for name, value in names.items() for word in ("-a", f"{name}={value}")]
        return lambda frames: child([VSPIPE, "-e", frames - 1, *options, script, "."])

    ours = folder / "ours.vpy"
    ours.write_text(OURS)
    racers = {"engine": engine_alone(WIDTH, HEIGHT), "vspipe": vspipe(ours, source=clip)}
    if MPV.exists():
        racers["mpv"] = lambda frames: child(
            [MPV, "--no-config", "--untimed", "--vo=null", "--ao=null", "--term-status-msg=",
             f"--frames={frames}", f'--vf=vapoursynth={SCRIPT_PATH}:user-data="wait=1"', clip]
        )  # fmt: skip
    if mlrt is not None:
        network = folder / "upstream.onnx"
        weights = load_weights(variant="realtime", scale=2)
        network.write_bytes(emit_network(weights, size=(WIDTH, HEIGHT)).SerializeToString())
        plugins = mlrt / "vapoursynth" / "plugins"
        for namespace, library, provider in (
            ("ov", plugins / "ov" / "libvsov.so", 'device="CPU"'),
            ("ort", plugins / "ort" / "libvsort.so", 'provider="CPU"'),
        ):
            for streams in (1, 2):
                script = folder / f"{namespace}-{streams}.vpy"
                arguments = f"{provider}, num_streams={streams}"
                script.write_text(THEIRS.format(namespace=namespace, arguments=arguments))
                racers[f"vs-mlrt-{namespace}, {streams} streams"] = vspipe(
                    script, source=clip, plugin=library, network=network
                )
    return racers


def per_frame(run: Callable[[int], Cost], frames: int) -> Cost:
    short, long = run(SHORT), run(SHORT + frames)
    return Cost(wall=(long.wall - short.wall) / frames, cpu=(long.cpu - short.cpu) / frames)


def race(racers: dict[str, Callable[[int], Cost]], frames: int, rounds: int) -> dict[str, Any]:
    costs: dict[str, list[Cost]] = {name: [] for name in racers}
    for number in range(rounds):
        for name, run in racers.items():
            costs[name].append(per_frame(run, frames))
            print(f"round {number + 1}: {name}: {costs[name][-1]}", flush=True)
    summary: dict[str, Any] = {}
    for name, mine in costs.items():
        summary[name] = {
            "fps": round(1 / median(cost.wall for cost in mine), 3),
            "cpu_ms_per_frame": round(1000 * median(cost.cpu for cost in mine), 1),
            "rounds": mine,
        }
    for name in ("vspipe", "mpv"):
        if name in costs:
            pairs = list(zip(costs["engine"], costs[name], strict=True))
            summary[name]["fps_over_engine"] = round(median(e.wall / f.wall for e, f in pairs), 3)
            summary[name]["engine_cpu_over_own"] = round(median(e.cpu / f.cpu for e, f in pairs), 3)
    for namespace in ("ov", "ort"):
        rivals = [name for name in costs if name.startswith(f"vs-mlrt-{namespace},")]
        if rivals:
            best = min(rivals, key=lambda name: median(cost.wall for cost in costs[name]))
            pairs = list(zip(costs[best], costs["vspipe"], strict=True))
            summary[f"ours over vs-mlrt-{namespace}"] = {
                "its best": best,
                "wall": round(median(theirs.wall / mine.wall for theirs, mine in pairs), 3),
                "cpu": round(median(theirs.cpu / mine.cpu for theirs, mine in pairs), 3),
            }
    return summary


def bytes_between_stages() -> dict[str, Any]:
    """Frames that lie in memory between stages, per source frame: each is written once and read once."""
    pixels, scale = WIDTH * HEIGHT, 4
    ours = {
        "4:2:0 source": pixels * 3 // 2,
        "its copy without row padding": pixels * 3 // 2,
        "4:2:0 result": scale * pixels * 3 // 2,
    }
    theirs = {
        "4:2:0 source": pixels * 3 // 2,
        "RGBS": pixels * 12,
        "RGBS result": scale * pixels * 12,
        "4:2:0 result": scale * pixels * 3 // 2,
    }
    return {
        "paragon": {**ours, "sum": sum(ours.values())},
        "vs-mlrt": {**theirs, "sum": sum(theirs.values())},
        "ratio": round(sum(theirs.values()) / sum(ours.values()), 2),
    }


class Player:
    """A headless mpv under remote control."""

    numbers = itertools.count()

    def __init__(self, folder: Path, clip: Path, *options: str) -> None:
        path = folder / f"mpv-{next(self.numbers)}.sock"
        self.process = subprocess.Popen(
            [str(MPV), "--no-config", "--vo=null", "--ao=null", "--really-quiet", "--keep-open=yes",
             "--hr-seek=yes", f"--input-ipc-server={path}", *options, str(clip)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        self.socket = socket.socket(socket.AF_UNIX)
        for _ in range(400):
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                time.sleep(0.05)
        self.socket.settimeout(60)
        self.lines = self.socket.makefile("r")

    def send(self, *words: Any) -> None:
        self.socket.sendall(json.dumps({"command": words}).encode() + b"\n")

    def ask(self, *words: Any) -> Any:
        self.send(*words)
        while "error" not in (reply := json.loads(self.lines.readline())):
            pass
        return reply.get("data")

    def event(self, name: str) -> None:
        while json.loads(self.lines.readline()).get("event") != name:
            pass

    def wait_for_picture(self) -> None:
        """Its event may have come before the connection."""
        while self.ask("get_property", "time-pos") is None:
            time.sleep(0.05)

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def close(self) -> None:
        self.send("quit")
        self.process.wait(60)
        self.lines.close()
        self.socket.close()


def seeks_and_drops(folder: Path, size: tuple[int, int], seeks: int) -> dict[str, Any]:
    """Seconds from the command to the first frame shown; and drops while playing at the clip's own rate."""
    clip = folder / "play.mkv"
    make_clip(clip, *size, frames=10 * FPS)
    resize = folder / "resize.vpy"
    resize.write_text(RESIZE)
    filters = {
        "no filter": [],
        "VapourSynth's resize": [f"--vf=vapoursynth={resize}"],
        "paragon": [f"--vf=vapoursynth={SCRIPT_PATH}"],
    }
    results: dict[str, Any] = {"size": f"{size[0]}x{size[1]}", "fps": FPS}
    players = {name: Player(folder, clip, "--pause", *options) for name, options in filters.items()}
    for player in players.values():
        player.wait_for_picture()
    time.sleep(5)  # the engine is compiled meanwhile
    # Arrow keys seek to key frames. Exactly, mpv filters every frame since the key frame and drops it again.
    for how in ("keyframes", "exact"):
        latencies: dict[str, list[float]] = {name: [] for name in filters}
        cpu = {name: -player.cpu_seconds() for name, player in players.items()}
        for n in range(seeks):
            for name, player in players.items():
                player.ask("get_property", "pid")
                start = time.perf_counter()
                player.send("seek", 1 + (n * 37 % 80) / 10, f"absolute+{how}")
                player.event("playback-restart")
                latencies[name].append(time.perf_counter() - start)
                time.sleep(0.3)  # mpv goes on filtering a few frames ahead
        results[f"seek to {how}, ms"] = {
            name: {
                "median": round(1000 * median(mine), 1),
                "worst": round(1000 * max(mine), 1),
                "cpu": round(1000 * (cpu[name] + players[name].cpu_seconds()) / seeks, 1),
            }
            for name, mine in latencies.items()
        }
    for player in players.values():
        player.close()
    for name, options in filters.items():
        results[f"playing, {name}"] = playing(folder, clip, options)
    return results


def playing(folder: Path, clip: Path, options: Sequence[str]) -> dict[str, Any]:
    """The frames that mpv drops in nine seconds."""
    player = Player(folder, clip, *options)
    player.wait_for_picture()
    time.sleep(9)
    found = {
        "dropped": player.ask("get_property", "frame-drop-count"),
        "late": player.ask("get_property", "vo-delayed-frame-count"),
        "position after 9 s": round(player.ask("get_property", "time-pos"), 2),
    }
    player.close()
    return found


def real_time(folder: Path) -> dict[str, Any]:
    """Frames a second of the engine alone, and what mpv drops of a clip of that size at `FAST` a second."""
    found: dict[str, Any] = {"fps": FAST}
    for width, height in SIZES:
        clip = folder / f"{width}.mkv"
        make_clip(clip, width, height, frames=10 * FAST, fps=FAST)
        run = engine_alone(width, height)
        run(8)
        found[f"{width}x{height}"] = {
            "engine alone, fps": round(FAST / run(FAST).wall, 1),
            **playing(folder, clip, [f'--vf=vapoursynth={SCRIPT_PATH}:user-data="wait=1"']),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--mlrt", type=Path, help="folder that vs-mlrt was installed into")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--seeks", type=int, default=20)
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CONFIG_HOME"] = str(folder)  # where vspipe looks for its Python
        config = [sys.executable, "-m", "vapoursynth", "config"]
        subprocess.run(config, check=True, stdout=subprocess.DEVNULL)
        for part in chosen.parts or PARTS:
            head = machine()
            results = PARTS[part](folder, chosen)
            print(part, json.dumps(results, default=str), flush=True)
            print(f"written to {write_results(f'filter_{part}', head, results)}")


def speed(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    clip = folder / "clip.mkv"
    make_clip(clip, WIDTH, HEIGHT, SHORT + chosen.frames + 8)
    return {
        "job": f"realtime x2, {WIDTH}x{HEIGHT} yuv420p",
        "speed": race(contestants(folder, clip, chosen.mlrt), chosen.frames, chosen.rounds),
        "bytes_between_stages": bytes_between_stages(),
    }


PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "speed": speed,
    "seeks": lambda folder, chosen: seeks_and_drops(folder, (192, 108), chosen.seeks),
    "real_time": lambda folder, _: real_time(folder),
}


if __name__ == "__main__":
    main()
