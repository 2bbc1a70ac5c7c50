"""Upscale a live source for some seconds, and say how old its frames were when they had been written.

python examples/live.py [SOURCE] [OUTPUT] [SECONDS]     # default: the sample, played as it should be
"""

from __future__ import annotations

import sys
from pathlib import Path

import paragon_stream

SAMPLE = Path(__file__).parent / "sample.mkv"


def main(source: str = str(SAMPLE), output: str = "live.mkv", seconds: str = "3") -> None:
    report = paragon_stream.live(
        source,
        output,
        duration=seconds,
        overwrite=True,
        on_progress=lambda now: print(f"{now.fps_in:.0f} frames a second come, {now.fps_out:.0f} leave"),
        on_event=print,
    )
    latency = report.latency
    print(
        f"{report.destination}: {report.frames_out} of {report.frames_in} frames, "
        f"{1000 * latency.median:.0f} ms old, 95 % below {1000 * latency.percentile_95:.0f} ms;",
        report.ended,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
