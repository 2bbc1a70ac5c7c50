"""A process that is stopped and continued, a clock that is set back, a second process on the same output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from clips import make_clip, read_frames

import paragon_stream
from paragon_stream.errors import OutputError
from paragon_stream.media.encode.workdir import work_folder

FRAMES = 120

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]

RENDER = """
    import sys, time
    import paragon_stream
    from paragon_stream.media.output.writer import VideoWriter
    written, write, now = [], VideoWriter.write, time.time
    def counting(self, planes, timing):
        written.append(timing)
        if len(written) == 60:
            time.time = lambda: now() - 86_400  # somebody sets the clock back by a day
        print(len(written), flush=True)
        time.sleep(0.02)
        write(self, planes, timing)
    VideoWriter.write = counting
    report = paragon_stream.upscale(*sys.argv[1:], variant="realtime", threads=1)
    print("warnings", report.warnings)
"""


def test_stopped_and_continued(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", width=64, height=48, frames=FRAMES, audio="aac")
    out = tmp_path / "out.mkv"
    command = [sys.executable, "-c", textwrap.dedent(RENDER), str(source), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "30":
                break
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        assert work_folder(out).exists() and not out.exists()
        for choice in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(OutputError, match="another run is writing"):
                paragon_stream.upscale(source, out, **choice)
        process.send_signal(signal.SIGCONT)
        rest, _ = process.communicate(timeout=200)
    assert process.returncode == 0 and rest.strip().endswith("warnings ()")
    assert len(read_frames(out)) == FRAMES
    assert paragon_stream.verify(source, out).findings == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mkv"]
