"""Measures the cost of an interrupted render: work done twice, bytes, time. Renders are killed and resumed.

    python benchmarks/resume.py kills       # kill -9 at random moments
    python benchmarks/resume.py power       # the same, and what was not synced is lost
    python benchmarks/resume.py overhead    # a render with and without its journal
    python benchmarks/resume.py film        # how soon a film of two hours goes on

`--only TEXT` renders some combinations of encoder and container; results of the others are kept.

`kills` renders a short clip at two speeds: the machine's own, and as an engine of one frame a second would do
it. That one sleeps, and the clock runs `HASTE` times as fast for it and for the journal (whose limits are
seconds), so decoding and encoding weigh that much more than they would.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from common import RESULTS, interleaved, machine, median_ratio, write_results
from power_failure import keep_synced, lose_unsynced

import paragon_stream
from paragon_stream import RenderRequest, plan_render, run
from paragon_stream.media.safekeeping.spool import FrameSpool

HASTE = 40.0
FRAMES = 320
"""More than x264 and x265 put between two key frames."""
DEFAULT = "default options"  # stands for an encoder
COMBINATIONS = (
    ("mkv", "libx264"),
    ("mkv", "libx265"),
    ("mkv", "ffv1"),
    ("mkv", "libsvtav1"),
    ("mp4", "libx264"),
    ("mp4", "libx265"),
    ("mp4", "libsvtav1"),
    ("mov", "libx264"),
    ("mov", "prores_ks"),
    ("webm", "libvpx-vp9"),
    ("webm", "libsvtav1"),
    ("ts", "libx264"),
    ("ts", "libx265"),
    ("png", ""),
    ("mkv", DEFAULT),
    ("mp4", DEFAULT),
)
OPTIONS: dict[str, Any] = {
    "variant": "realtime",
    "precision": "fp32",
    "threads": 1,
    "engine": "onnxruntime",
}


# ------------------------------------------------------------------------------------ one render


def child(job: dict[str, Any]) -> None:
    """One render in this process, with a line in `job["log"]` for every frame computed and every frame
    encoded."""
    from paragon_stream.media.images.sequence_writer import SequenceWriter
    from paragon_stream.media.output.writer import VideoWriter
    from paragon_stream.media.safekeeping import journal
    from paragon_stream.upscaler import Upscaler

    log = Path(job["log"]).open("a", buffering=1)  # noqa: SIM115
    pause = job["seconds_per_frame"] / job["haste"]
    for limit in ("AT_RISK", "SYNC_SECONDS", "_LOOK"):
        setattr(journal, limit, getattr(journal, limit) / job["haste"])
    if job.get("synced"):
        keep_synced(Path(job["synced"]))
    run = Upscaler.run

    def computed(self: Any, *arguments: Any) -> Any:
        completion = run(self, *arguments)
        time.sleep(pause)
        print(f"computed {time.time():.3f}", file=log)
        return completion

    Upscaler.run = computed  # type: ignore[method-assign]
    for sink in (VideoWriter, SequenceWriter):
        write = sink.write

        def written(self: Any, planes: Any, timing: Any, write: Any = write) -> None:
            digest = 0
            for plane in planes:
                digest = zlib.crc32(plane.data.cast("B"), digest)
            write(self, planes, timing)
            print(f"written {timing.pts * timing.time_base} {digest:08x}", file=log)

        sink.write = written  # type: ignore[method-assign]
    report = paragon_stream.upscale(job["source"], job["out"], **job["options"])
    Path(job["log"]).with_suffix(".json").write_text(report.to_json())
    print(f"done {report.resumed_at} {report.wall_seconds:.3f} {report.cpu_seconds:.3f}", file=log)


def start(job: dict[str, Any]) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "child", json.dumps(job)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **job.get("environment", {})})


def lines(job: dict[str, Any], word: str) -> list[list[str]]:
    path = Path(job["log"])
    text = path.read_text() if path.exists() else ""
    return [line.split()[1:] for line in text.splitlines() if line.startswith(word)]


def finish(job: dict[str, Any]) -> None:
    process = start(job)
    _, errors = process.communicate(timeout=600)
    if process.returncode:
        raise SystemExit(f"{job['out']}: {errors.decode()}")


def kill_at(job: dict[str, Any], frame: int, chance: random.Random) -> bool:
    """Start it and kill it some time after `frame` frames; False if it was done before."""
    process = start(job)
    log, count = Path(job["log"]), 0
    with log.open("ab"), log.open("rb") as file:
        while process.poll() is None and count < frame:
            count += file.read().count(b"computed ")
            time.sleep(0.005)
    time.sleep(chance.random() * max(0.02, job["seconds_per_frame"] / job["haste"]))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


# ----------------------------------------------------------------------------------------- kills

_X264 = {"crf": "20", "g": "48", "preset": "fast"}


def make_source(path: Path, frames: int, size: tuple[int, int] = (176, 96), b_frames: int = 3) -> Path:
    """A moving picture with noise and cuts, and sound."""
    width, height = size
    chance = np.random.default_rng(7)
    noise = chance.integers(-6, 7, (8, height, width))
    y, x = np.mgrid[0:height, 0:width]
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=24, options={**_X264, "bf": str(b_frames)})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = file.add_stream("aac", rate=48000, layout="stereo")
        for n in range(frames):
            scene = n // 90
            wave = np.sin((x * (1 + scene) + 3 * n) / 17) * np.cos((y - n) / 13)
            luma = np.clip(120 + 30 * scene % 60 + 70 * wave + noise[n % 8], 16, 235)
            frame = av.VideoFrame.from_ndarray(
                np.concatenate([luma, np.full((height // 2, width), 110 + 10 * scene)]).astype(np.uint8),
                format="yuv420p",
            )
            frame.pts, frame.time_base = n, Fraction(1, 24)
            file.mux(video.encode(frame))
            tone = av.AudioFrame(format="fltp", layout="stereo", samples=2000)
            tone.sample_rate, tone.pts, tone.time_base = 48000, 2000 * n, Fraction(1, 48000)
            for plane in tone.planes:
                plane.update(np.sin(np.arange(2000) / 20).astype(np.float32).tobytes())
            file.mux(sound.encode(tone))
        file.mux(video.encode(None))
        file.mux(sound.encode(None))
    return path


def job_of(folder: Path, source: Path, suffix: str, codec: str, **further: Any) -> dict[str, Any]:
    options: dict[str, Any] = {} if codec == DEFAULT else dict(OPTIONS)
    if codec and codec != DEFAULT:
        options["codec"] = codec
    if codec == "prores_ks":
        options["pix_fmt"] = "yuv422p10le"
    out = folder / ("out.png.d/%05d.png" if suffix == "png" else f"out.{suffix}")
    return {
        "source": str(source),
        "out": str(out),
        "log": str(folder / "log"),
        "options": options,
        "seconds_per_frame": 0.0,
        "haste": 1.0,
        **further,
    }


def size_of(out: Path) -> int:
    files = out.parent.glob("*.png") if out.suffix == ".png" else [out]
    return sum(path.stat().st_size for path in files)


def frames_of(job: dict[str, Any]) -> dict[str, str]:
    return {time: digest for time, digest in lines(job, "written")}  # noqa: C416


def interrupted(
    folder: Path, source: Path, suffix: str, codec: str, speed: str, seed: int, power: bool
) -> dict[str, Any]:
    """One render that is killed and gone on with, beside one that is not."""
    chance = random.Random(seed)
    slow: dict[str, Any] = {"seconds_per_frame": 1.0, "haste": HASTE} if speed == "1 fps" else {}
    whole = job_of(folder / f"whole-{suffix}-{codec}", source, suffix, codec)
    here = folder / f"{suffix}-{codec}-{seed}"
    here.mkdir(parents=True)
    if power:
        (here / "synced").mkdir()
        slow["synced"] = str(here / "synced")
    first = job_of(here, source, suffix, codec, **slow)
    at = chance.randrange(3, FRAMES + 1)
    if not kill_at(first, at, chance):
        return {"case": f"{codec} {suffix}", "seed": seed, "killed_at": None}
    if power:
        lose_unsynced(here, here / "synced", chance)
    before, begun = len(lines(first, "computed")), time.time()
    left = {path.name: path.stat().st_size for path in here.rglob("*") if path.is_file()}
    first.pop("synced", None)
    again = {**first, "options": {**first["options"], "resume": True}}
    finish(again)
    computed = lines(again, "computed")
    expected, found = frames_of(whole), frames_of(again)
    after = round(float(computed[before][0]) - begun, 2) if len(computed) > before else None
    out, other = Path(again["out"]), Path(whole["out"])
    findings: list[str] = []
    if suffix != "png":
        plan = Path(again["log"]).with_suffix(".json")
        findings = [str(finding) for finding in paragon_stream.verify(source, out, plan=plan).findings]
    repeated = len(computed) - FRAMES
    if not (out.exists() or suffix == "png"):
        raise SystemExit(f"{out} is not there")
    # At full speed a frame takes what it took in the render that was not interrupted.
    per_frame = 1.0 if speed == "1 fps" else float(lines(whole, "done")[-1][1]) / FRAMES
    return {
        "case": f"{codec or 'png'} {suffix}",
        "speed": speed,
        "seed": seed,
        "killed_at": before,
        "resumed_at": int(lines(again, "done")[-1][0]),
        "computed_twice": repeated,
        "work_repeated_seconds": round(repeated * per_frame, 2),
        "first_frame_after_seconds": after,
        "same_frames": found == expected,
        "size_ratio": round(size_of(out) / size_of(other), 4),
        "left_bytes": sum(left.values()),
        "findings": findings,
    }


def kills(what: str, repeats: int, only: str) -> dict[str, Any]:
    power = what == "power"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make_source(folder / "in.mkv", FRAMES)
        combinations = [each for each in COMBINATIONS if only in f"{each[1]} {each[0]}"]
        for suffix, codec in combinations:
            (folder / f"whole-{suffix}-{codec}").mkdir()
            finish(job_of(folder / f"whole-{suffix}-{codec}", source, suffix, codec))
        jobs = []
        for speed in ("1 fps", "full speed"):
            for repeat in range(repeats):
                for suffix, codec in combinations:
                    index = COMBINATIONS.index((suffix, codec))
                    seed = index + 100 * repeat + (5000 if speed == "1 fps" else 0) + 50_000 * power
                    jobs.append((suffix, codec, speed, seed))
        rows = []
        with ThreadPoolExecutor(2) as pool:
            for row in pool.map(lambda job: interrupted(folder, source, *job, power), jobs):
                print(json.dumps(row), flush=True)
                rows.append(row)
    done = {row["case"] for row in rows}
    rows = [row for row in stored().get(what, {}).get("rows", []) if row["case"] not in done] + rows
    kept = [row for row in rows if row["killed_at"]]
    return {
        "haste": HASTE,
        "kills": len(kept),
        "all_frames_equal": all(row["same_frames"] for row in kept),
        "findings": sum(len(row["findings"]) for row in kept),
        "most_work_repeated_seconds": max(row["work_repeated_seconds"] for row in kept),
        "largest_size_ratio": max(row["size_ratio"] for row in kept),
        "rows": rows,
    }


def stored() -> dict[str, Any]:
    """The results of earlier calls."""
    path = RESULTS / "resume.json"
    return json.loads(path.read_text()) if path.exists() else {}


# -------------------------------------------------------------------------------- overhead, film


def overhead(repeats: int) -> dict[str, Any]:
    """Full speed, with and without a journal; and what it costs to spool one frame of 2160p."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make_source(folder / "in.mkv", 120, (640, 360))

        def render(journal: bool) -> None:
            out = folder / f"{journal}.mkv"
            plan = plan_render(RenderRequest(source, out, overwrite=True, variant="realtime"))
            if not journal:
                plan = replace(plan, output=replace(plan.output, identity={}))
            run(plan)

        render(True)
        costs = interleaved({"with": lambda: render(True), "without": lambda: render(False)}, repeats)
        planes = tuple(np.zeros(shape, np.uint8) for shape in ((2160, 3840), (1080, 1920), (1080, 1920)))
        spool = FrameSpool(folder)
        begin = time.perf_counter()
        for number in range(20):
            spool.put(number, Fraction(number), planes)
        spooling = (time.perf_counter() - begin) / 20
        return {
            "render": "640x360 to 1280x720, realtime, x264, 120 frames with sound",
            "wall_ratio": round(median_ratio(costs["with"], costs["without"], "wall"), 4),
            "cpu_ratio": round(median_ratio(costs["with"], costs["without"], "cpu"), 4),
            "seconds_to_spool_a_2160p_frame": round(spooling, 4),
            "bytes_with": (folder / "True.mkv").stat().st_size,
            "bytes_without": (folder / "False.mkv").stat().st_size,
            "costs": costs,
        }


def make_film(path: Path, folder: Path) -> Path:
    """Two hours at 24 frames a second: a short clip's packets, over and over."""
    clip = make_source(folder / "clip.mkv", 240, (96, 64), b_frames=0)
    with av.open(str(clip)) as file, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(file.streams.video[0])
        packets = [packet for packet in file.demux(video=0) if packet.size]
        for turn in range(2 * 3600 // 10):
            for packet in packets:
                assert packet.pts is not None
                moved = av.Packet(bytes(packet))
                moved.pts = moved.dts = packet.pts + round(turn * 10 / packet.time_base)
                moved.time_base, moved.duration = packet.time_base, packet.duration
                moved.is_keyframe, moved.stream = packet.is_keyframe, stream
                out.mux_one(moved)
    return path


def film(folder: Path) -> dict[str, Any]:
    """Kill a film's render near its end (once: what is left stays in `folder`), and go on with it."""
    folder.mkdir(exist_ok=True)
    source = folder / "film.mkv"
    job = job_of(folder, source, "mkv", "libx264")
    job["options"] = {"engine": "null", "codec": "libx264", "preset": "ultrafast"}
    if not source.exists():
        make_film(source, folder)
        kill_at(job, 165_000, random.Random(1))
    before, begun = len(lines(job, "computed")), time.time()
    written = len(lines(job, "written"))
    process = start({**job, "options": {**job["options"], "resume": True}})
    while len(lines(job, "written")) <= written and process.poll() is None:
        time.sleep(0.3)
    process.kill()
    process.wait()
    first = float(lines(job, "computed")[before][0])
    return {
        "computed_before": before,
        "seconds_to_the_first_new_frame": round(first - begun, 2),
        "seconds_until_it_is_encoded": round(time.time() - begun, 2),
    }


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        child(json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["kills", "power", "overhead", "film"])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", default="", help="combinations that hold this text")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "paragon-film")
    options = parser.parse_args()
    head = machine()
    if options.what == "overhead":
        found = overhead(options.repeats)
    elif options.what == "film":
        found = film(options.folder)
    else:
        found = kills(options.what, options.repeats, options.only)
    print(json.dumps({key: value for key, value in found.items() if key not in ("rows", "costs")}))
    before = {name: value for name, value in stored().items() if name not in ("date", "machine")}
    print(write_results("resume", head, {**before, options.what: found}))


if __name__ == "__main__":
    main()
