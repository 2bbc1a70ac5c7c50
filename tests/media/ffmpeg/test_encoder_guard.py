"""What SVT-AV1 does to the process that opens it: it makes threads real-time (only root's are, so without
root nothing is shown), and writes its settings to standard error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clips import make_clip

from paragon_stream import upscale
from paragon_stream.media.encode.abilities import encodes
from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest

ROUND_TRIP = """
import numpy as np
from paragon_stream.media.measure.roundtrip import Encoding, round_trip
planes = tuple(np.full(side, 100, np.uint8) for side in ((64, 64), (32, 32), (32, 32)))
assert len(round_trip([planes] * 3, Encoding(encoder="libsvtav1", options={"preset": "12"}))) == 3
"""


def real_time_threads() -> list[str]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        try:
            if os.sched_getscheduler(int(task.name)) in (os.SCHED_FIFO, os.SCHED_RR):
                found.append((task / "comm").read_text().strip())
        except OSError:  # it has ended
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="SVT-AV1 does so on Linux")
@pytest.mark.skipif(sys.platform == "linux" and os.geteuid() != 0, reason="needs root")
def test_svt_av1_makes_no_thread_real_time(tmp_path: Path) -> None:
    """After each of the places that open an encoder: a real-time engine would starve the machine."""
    clip = make_clip(tmp_path / "in.mkv", width=64, height=64, frames=3)
    assert encodes("libsvtav1")
    assert real_time_threads() == []
    request = RenderRequest(source=clip, destination=tmp_path / "out.mkv", codec="libsvtav1")
    assert plan_render(request).output.job is not None
    assert real_time_threads() == []
    during: list[list[str]] = []
    upscale(
        clip,
        tmp_path / "out.mkv",
        engine="null",
        codec="libsvtav1",
        on_progress=lambda progress: during.append(real_time_threads()),
    )
    assert during and not any(during)
    assert real_time_threads() == []


def test_a_round_trip_through_svt_av1_writes_nothing() -> None:
    """Neither training nor `eval` shows the encoder's settings for each clip."""
    environment = {key: value for key, value in os.environ.items() if key != "SVT_LOG"}
    run = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP], env=environment, capture_output=True, text=True, check=True
    )
    assert (run.stdout, run.stderr) == ("", "")
