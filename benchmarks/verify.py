"""Measures the cost of `verify` compared with decoding both files, and its memory for a long film.

    python benchmarks/verify.py time [--repeats 5]
    python benchmarks/verify.py memory

`time` renders the sample clip and an enlargement of it to 1080p, and makes films that repeat the packets of
clip and render. It then verifies each film, and decodes both files with PyAV alone, in turns. `verify` also
encodes pieces of the film to compare the PSNR; their time is measured apart and is not part of the ratio.

`memory` verifies films of one minute and of one hour, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import av
from av.video.reformatter import Interpolation
from common import RESULTS, SAMPLE, Cost, cost_of, machine, write_results
from resume import make_source

import paragon_stream
from paragon_stream.resource_usage import peak_rss
from paragon_stream.verification.quality import QualitySample

LARGE = 1920, 1080
LARGE_FRAMES = 72
CLIP_SECONDS = 10
MINUTES = 1, 60


def enlarged(path: Path) -> Path:
    """The sample clip at 1080p, with no more detail than it has."""
    with av.open(str(SAMPLE)) as file, av.open(str(path), "w") as out:
        options = {"crf": "18", "preset": "veryfast"}
        stream = out.add_stream("libx264", rate=Fraction(24000, 1001), options=options)
        stream.width, stream.height, stream.pix_fmt = *LARGE, "yuv420p"
        for number, frame in enumerate(file.decode(video=0)):
            if number == LARGE_FRAMES:
                break
            large = frame.reformat(*LARGE, interpolation=Interpolation.LANCZOS)
            large.pts, large.time_base = number, Fraction(1001, 24000)
            out.mux(stream.encode(large))
        out.mux(stream.encode(None))
    return path


def decode(path: Path) -> int:
    """Decode the pictures of a file, with the threads that FFmpeg chooses; returns their number."""
    with av.open(str(path)) as file:
        file.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in file.decode(file.streams.video[0]))


@contextmanager
def quality_measured() -> Iterator[list[Cost]]:
    """The cost of the comparison with encoded pieces, for each verification."""
    costs: list[Cost] = []
    result = QualitySample.result

    def measured(self: QualitySample) -> Any:
        found: list[Any] = []
        costs.append(cost_of(lambda: found.append(result(self))))
        return found[0]

    QualitySample.result = measured  # type: ignore[method-assign]
    try:
        yield costs
    finally:
        QualitySample.result = result  # type: ignore[method-assign]


def repeated(clip: Path, film: Path, times: int) -> Path:
    """A film that repeats the picture and sound of `clip`, packet by packet."""
    with av.open(str(clip)) as file, av.open(str(film), "w") as out:
        chosen = [file.streams.video[0], *file.streams.audio]
        streams = {stream.index: out.add_stream_from_template(stream) for stream in chosen}
        packets = [packet for packet in file.demux(chosen) if packet.size]
        pictures = [packet for packet in packets if packet.stream.type == "video"]
        begin, last = (choose(p.pts * p.time_base for p in pictures) for choose in (min, max))  # type: ignore[operator]
        length = (last - begin) * Fraction(len(pictures), len(pictures) - 1)
        delay = round(5 * length / len(pictures) / pictures[0].time_base)  # type: ignore[operator]
        for packet, shown in zip(pictures, sorted(p.pts for p in pictures), strict=True):  # type: ignore[type-var]
            packet.dts = shown - delay  # type: ignore[operator]
        for turn in range(times):
            for packet in packets:
                assert packet.pts is not None and packet.dts is not None and packet.time_base is not None
                if not begin <= packet.pts * packet.time_base < begin + length:
                    continue  # sound before the first picture or behind the last one
                moved = av.Packet(bytes(packet))
                shift = round(turn * length / packet.time_base)
                moved.pts, moved.dts = packet.pts + shift, packet.dts + shift
                moved.time_base, moved.duration = packet.time_base, packet.duration
                moved.is_keyframe, moved.stream = packet.is_keyframe, streams[packet.stream.index]
                out.mux_one(moved)
    return film


def costs_of(folder: Path, clip: Path, times: int, repeats: int) -> dict[str, Any]:
    """Render a clip, repeat clip and render; then verify and decode in turns."""
    render = folder / "render.mkv"
    paragon_stream.upscale(clip, render, variant="realtime", preset="veryfast", overwrite=True)
    source, output = (repeated(path, folder / f"film-{path.name}", times) for path in (clip, render))
    results: list[paragon_stream.Verification] = []
    rounds: list[dict[str, Cost]] = []
    for _ in range(repeats):
        with quality_measured() as quality:
            whole = cost_of(lambda: results.append(paragon_stream.verify(source, output)))
        decoding = cost_of(lambda: (decode(source), decode(output)))
        pieces = quality[0]
        verifying = Cost(wall=whole.wall - pieces.wall, cpu=whole.cpu - pieces.cpu)
        rounds.append({"verify": verifying, "encoded pieces": pieces, "decode": decoding})

    def ratio(what: str) -> float:
        return round(median(getattr(r["verify"], what) / getattr(r["decode"], what) for r in rounds), 3)

    return {
        "frames": results[-1].frames,
        "cpu_ratio": ratio("cpu"),
        "wall_ratio": ratio("wall"),
        "findings": [str(finding) for finding in results[-1].findings],
        "rounds": rounds,
    }


def timed(repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = enlarged(folder / "large.mkv")
        return {
            "270p to 540p, with sound": costs_of(folder, SAMPLE, 12, repeats),
            "1080p to 2160p": costs_of(folder, large, 4, repeats),
        }


def memory() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_source(folder / "clip.mkv", 24 * CLIP_SECONDS, (96, 64), b_frames=0)
        render = folder / "render.mkv"
        x264: dict[str, Any] = {"preset": "veryfast", "encoder_options": {"bf": "0"}}
        paragon_stream.upscale(clip, render, variant="realtime", **x264)
        rows = []
        for minutes in MINUTES:
            times = 60 * minutes // CLIP_SECONDS
            source = repeated(clip, folder / "film.mkv", times)
            output = repeated(render, folder / "large.mkv", times)
            command = [sys.executable, __file__, "child", str(source), str(output)]
            rows.append(json.loads(subprocess.check_output(command)))
            rows[-1] = {"minutes": minutes, **rows[-1]}
        return {"rows": rows}


def child(source: str, output: str) -> None:
    begin = time.perf_counter()
    result = paragon_stream.verify(source, output)
    found = {
        "frames": result.frames,
        "findings": [str(finding) for finding in result.findings],
        "seconds": round(time.perf_counter() - begin, 1),
        "peak_memory_mib": round(peak_rss() / 2**20),
    }
    print(json.dumps(found))


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:4])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["time", "memory"])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    head = machine()
    found = timed(options.repeats) if options.what == "time" else memory()
    path = RESULTS / "verify.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    kept = {name: value for name, value in before.items() if name not in ("date", "machine", options.what)}
    print(write_results("verify", head, {**kept, options.what: found}))


if __name__ == "__main__":
    main()
