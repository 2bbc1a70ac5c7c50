"""Measures the age of pictures that a live session delivers, and the frames that it drops.

    scripts/python --dev benchmarks/live.py [--seconds 10] [--rounds 3]

Needs an X server of its own (Xvfb). The whole screen becomes another grey fifteen times a second; a session
captures it, upscales it with realtime ×2 and sends raw frames through the loopback to a reader in this
process. Two ages are measured: `latency`, from the session's report (captured → delivered), and
`on_screen`, from drawing a grey to reading it at the other end. Results go to benchmarks/results/live.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import av
import numpy as np
from common import REPOSITORY, machine, write_results

sys.path.insert(0, str(REPOSITORY / "tests" / "support"))
from live_screen import Screen

from paragon_stream import live

RATE = 15
GREYS, STEP = 20, 12
"""So many greys, this far apart, one after another: more than the oldest picture can be behind."""
AT_ONCE = {"probesize": "32", "analyzeduration": "0"}
"""FFmpeg's reader else keeps the first second for itself, to look at."""
CASES = {
    "160x96 at 15 fps": ("160x96", 15),
    "320x180 at 10 fps": ("320x180", 10),
    "320x180 at 30 fps": ("320x180", 30),
    "640x360 at 30 fps": ("640x360", 30),
}


class Drawing:
    """Draws greys in turn and remembers when it drew each last."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.drawn = [0.0] * GREYS
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw)
        self._thread.start()

    def _draw(self) -> None:
        number = 0
        while not self._over.wait(1 / RATE):
            self.drawn[number] = time.perf_counter()
            self.screen.pixels[:, :, :3] = 8 + STEP * number
            number = (number + 1) % GREYS

    def close(self) -> None:
        self._over.set()
        self._thread.join()


def read(listener: socket.socket, drawing: Drawing, ages: list[float]) -> None:
    """Take the frames that come, and note how long ago each one's grey was drawn."""
    connection, _ = listener.accept()
    with (
        connection,
        connection.makefile("rb") as file,
        av.open(file, format="nut", options=AT_ONCE) as container,
        contextlib.suppress(av.error.FFmpegError),
    ):
        for frame in container.decode(video=0):
            now = time.perf_counter()
            plane = frame.planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            number = round((int(rows[frame.height // 2, frame.width * 2]) - 8) / STEP)
            if 0 <= number < GREYS and drawing.drawn[number]:
                ages.append(now - drawing.drawn[number])


def measure(drawing: Drawing, region: str, fps: int, seconds: float) -> dict[str, Any]:
    ages: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = threading.Thread(target=read, args=(listener, drawing, ages))
        reader.start()
        report = live(
            drawing.screen.display,
            "tcp://{}:{}".format(*listener.getsockname()),
            format="nut",
            variant="realtime",
            scale=2,
            region=region,
            fps=fps,
            cursor=False,
            duration=seconds,
        )
        reader.join()
    ages = ages[1:]  # the first one had to wait for the beginning
    engine = report.stages["engine"].busy / report.frames_out
    return {
        "fps_in": round(report.fps_in, 2),
        "fps_out": round(report.fps_out, 2),
        "frames_in": report.frames_in,
        "frames_out": report.frames_out,
        "dropped_before_engine": report.dropped_before_engine,
        "dropped_before_output": report.dropped_before_output,
        "latency_ms": {
            "median": round(1000 * report.latency.median),
            "percentile_95": round(1000 * report.latency.percentile_95),
            "maximum": round(1000 * report.latency.maximum),
        },
        "on_screen_ms": {
            "median": round(1000 * median(ages)),
            "percentile_95": round(1000 * quantiles(ages, n=20)[-1]),
            "maximum": round(1000 * max(ages)),
        },
        "engine_ms_a_frame": round(engine * 1000, 1),
        "median_latency_over_engine": round(report.latency.median / engine, 2),
        "percentile_95_over_engine": round(report.latency.percentile_95 / engine, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    head = machine()
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        screen = Screen(Path(folder), 640, 360)
        drawing = Drawing(screen)
        try:
            for _ in range(options.rounds):
                for name, (region, fps) in CASES.items():
                    results[name].append(measure(drawing, region, fps, options.seconds))
                    print(name, json.dumps(results[name][-1]))
        finally:
            drawing.close()
            screen.close()
    print(write_results("live", head, {"network": "realtime x2", "cases": results}).relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
