"""Measures the cost of concealing damage: decoding in one thread, against threads that share slices.

    python benchmarks/decode_threads.py

Decodes the sample, enlarged to 1080p and encoded once with one slice per frame and once with four, as
`media/decode/threads.py` decides now (one thread while quantisers are read) and as slice threads do.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import av
from common import SAMPLE, interleaved, machine, median_ratio, write_results

from paragon_stream.media.quantisers.exported import EXPORT_QUANTISERS

REPEATS = 7


def decode(path: Path, kind: str, threads: int) -> None:
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        context = stream.codec_context
        context.thread_type, context.thread_count = kind, threads
        context.options = EXPORT_QUANTISERS
        for _ in source.decode(stream):
            pass


def main() -> None:
    head, results = machine(), {}
    with tempfile.TemporaryDirectory() as folder:
        for slices in (1, 4):
            path = Path(folder) / f"{slices}.mkv"
            encode = ["-vf", "scale=1920:1080", "-frames:v", "60", "-c:v", "libx264", "-preset", "veryfast"]
            encode += ["-crf", "20", "-x264-params", f"slices={slices}", "-an"]
            subprocess.run(["ffmpeg", "-v", "error", "-i", str(SAMPLE), *encode, str(path)], check=True)
            with av.open(str(path)) as source:
                frames = sum(1 for packet in source.demux(video=0) if packet.size)
            costs = interleaved(
                {
                    "one thread": lambda path=path: decode(path, "NONE", 1),
                    "two slice threads": lambda path=path: decode(path, "SLICE", 2),
                },
                REPEATS,
            )
            results[f"h264 1080p, {slices} slices"] = {
                "frames": frames,
                "cpu_one_over_slices": round(
                    median_ratio(costs["one thread"], costs["two slice threads"], "cpu"), 3
                ),
                "wall_one_over_slices": round(
                    median_ratio(costs["one thread"], costs["two slice threads"], "wall"), 3
                ),
                "costs": costs,
            }
    print(write_results("decode_threads", head, results))


if __name__ == "__main__":
    main()
