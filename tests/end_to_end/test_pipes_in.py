"""Videos from pipes: every frame of them, at its own time; what a pipe cannot give is said."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import make_clip
from places import PYTHONPATH

import paragon_stream
from paragon_stream.errors import InputError, LossError, UsageError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes are not files on Windows")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", frames=40, width=64, height=48)


def piped(source: Path, tmp_path: Path, **options: object) -> paragon_stream.Report:
    """Render `source` out of a named pipe, into out.mkv."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    data = source.read_bytes()

    def feed() -> None:
        try:
            with fifo.open("wb") as pipe:
                pipe.write(data)
        except BrokenPipeError:
            pass

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        return paragon_stream.upscale(fifo, tmp_path / "out.mkv", engine="null", **options)  # type: ignore[arg-type]
    finally:
        if feeder.is_alive():  # nobody has opened it
            with fifo.open("rb"):
                pass
        feeder.join(10)


def pts(path: Path) -> list[Fraction]:
    with av.open(str(path)) as file:
        return [frame.pts * Fraction(frame.time_base) for frame in file.decode(video=0)]


def test_every_frame_comes_at_its_time(clip: Path, tmp_path: Path) -> None:
    report = piped(clip, tmp_path)
    assert report.frames_in == report.frames_out == 40
    assert pts(tmp_path / "out.mkv") == pts(clip)


def test_standard_input_as_y4m(clip: Path, tmp_path: Path) -> None:
    """As `vspipe -c y4m` and `ffmpeg -f yuv4mpegpipe` write it."""
    y4m = tmp_path / "in.y4m"
    paragon_stream.upscale(clip, y4m, engine="null", scale=2)
    command = [sys.executable, "-m", "paragon_stream", "-", "out.mkv", "--engine", "null", "--codec", "ffv1"]
    with y4m.open("rb") as pipe:
        done = subprocess.run(
            ["sh", "-c", "cat | " + " ".join(command)],
            stdin=pipe,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": PYTHONPATH},
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert pts(tmp_path / "out.mkv") == pts(clip)


def test_sound_is_announced_as_lost(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=20, audio="libopus")
    with pytest.raises(LossError, match="the source can be read only once"):
        piped(clip, tmp_path, strict=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": 1}, "--start needs a file"),
        ({"duration": 1}, "--duration needs a file"),
        ({"fps": 5}, "--fps"),
    ],
)
def test_what_needs_a_file(tmp_path: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        paragon_stream.upscale("-", tmp_path / "out.mkv", **options)  # type: ignore[arg-type]


def test_a_pipe_without_a_video(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no video\n" * 50)
    with pytest.raises(InputError, match="cannot be opened"):
        piped(tmp_path / "text", tmp_path)
