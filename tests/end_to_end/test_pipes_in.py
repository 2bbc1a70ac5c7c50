"""Videos from pipes: every frame of them, at its own time; what a pipe cannot give is said."""

from __future__ import annotations

import os
import signal
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
from paragon_stream.errors import InputError, UsageError
from paragon_stream.media.source.pipes import pipe_at
from paragon_stream.render import run as render_run
from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest
from paragon_stream.render.run import run

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
    """y4m as `vspipe -c y4m` and `ffmpeg -f yuv4mpegpipe` write it."""
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


def test_no_picture_of_y4m_is_kept_to_look_for_film(tmp_path: Path) -> None:
    y4m, fifo = tmp_path / "in.y4m", tmp_path / "fifo"
    paragon_stream.upscale(make_clip(tmp_path / "in.mkv", frames=40, rate=30), y4m, engine="null")
    os.mkfifo(fifo)
    feeder = threading.Thread(target=lambda: fifo.write_bytes(y4m.read_bytes()), daemon=True)
    feeder.start()
    plan = plan_render(RenderRequest(source=fifo, destination=tmp_path / "out.mkv", engine="null"))
    pipe = pipe_at(fifo)
    assert pipe is not None and pipe.kept < y4m.stat().st_size / 2
    assert run(plan).frames_in == 40


def test_y4m_that_ends_within_a_frame_is_announced(clip: Path, tmp_path: Path) -> None:
    y4m = tmp_path / "in.y4m"
    paragon_stream.upscale(clip, y4m, engine="null", scale=2)
    command = [sys.executable, "-m", "paragon_stream", "-", "out.mkv", "--engine", "null", "--codec", "ffv1"]
    done = subprocess.run(
        command,
        input=y4m.read_bytes()[:-700],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert b"the file is cut off" in done.stderr
    assert len(pts(tmp_path / "out.mkv")) == len(pts(clip)) - 1


def packets(path: Path) -> list[tuple[int, int | None, int | None, bytes]]:
    """All of what is not the video."""
    with av.open(str(path)) as file:
        others = [stream for stream in file.streams if stream.type != "video"]
        return sorted((p.stream.index, p.pts, p.dts, bytes(p)) for p in file.demux(others) if p.size)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4", "avi"])
def test_what_goes_with_the_video(tmp_path: Path, suffix: str) -> None:
    """An index at the end of the file (mp4, avi) is waited for."""
    audio = {"avi": "libmp3lame"}.get(suffix, "aac")
    clip = make_clip(tmp_path / f"in.{suffix}", frames=40, audio=audio)
    paragon_stream.upscale(clip, tmp_path / "file.mkv", engine="null", strict=True)
    piped(clip, tmp_path, strict=True)
    assert packets(tmp_path / "out.mkv")
    assert packets(tmp_path / "out.mkv") == packets(tmp_path / "file.mkv")
    assert pts(tmp_path / "out.mkv") == pts(tmp_path / "file.mkv")


def test_a_part_of_it(clip: Path, tmp_path: Path) -> None:
    assert piped(clip, tmp_path, start=0.4, duration=0.4).frames_in == 10


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("ts", {"probesize": 20_000}),
        ("mkv", {}),
        ("mp4", {}),
        ("mp4", {"start": 2}),
    ],
)
def test_the_render_begins_before_the_pipe_ends(
    tmp_path: Path, suffix: str, options: dict[str, object]
) -> None:
    """Matroska has the index of its pictures at the end; that of MP4 with fast start is at the beginning."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    clip = make_clip(
        tmp_path / f"in.{suffix}",
        frames=400,
        audio="mp2",
        width=320,
        height=180,
        container_options={"movflags": "faststart"} if suffix == "mp4" else {},
    )
    data = clip.read_bytes()
    begun = threading.Event()
    whole = []

    def feed() -> None:
        with fifo.open("wb") as pipe:
            pipe.write(data[: len(data) * 3 // 4])
            whole.append(begun.wait(60))
            pipe.write(data[len(data) * 3 // 4 :])

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    report = paragon_stream.upscale(
        fifo,
        tmp_path / "out.mkv",
        engine="null",
        on_plan=lambda plan: begun.set(),
        **options,  # type: ignore[arg-type]
    )
    feeder.join(10)
    assert whole == [True]
    assert report.frames_in == 400 - 25 * options.get("start", 0)  # type: ignore[operator]
    assert report.warnings == ()


def test_a_pipe_is_read_once(clip: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    feeder = threading.Thread(target=lambda: fifo.write_bytes(clip.read_bytes()), daemon=True)
    feeder.start()
    plan = plan_render(RenderRequest(source=fifo, destination=tmp_path / "out.mkv", engine="null"))
    assert run(plan).frames_in == 40
    with pytest.raises(InputError, match="a pipe can be read only once"):
        run(plan)


@pytest.mark.parametrize("callback", ["on_plan", "on_warning"])
def test_a_callback_that_raises_leaves_no_pipe_open(
    callback: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next render of that name would get the video of the first."""

    def refuse(_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(render_run, "space_warnings", lambda plan: ["the output may not fit"])
    with pytest.raises(ValueError, match="no"):
        piped(clip, tmp_path, **{callback: refuse})
    assert pipe_at(tmp_path / "fifo") is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": 1}, "--start needs a file"),
        ({"duration": 1}, "--duration needs a file"),
        ({"fps": 5}, "--fps"),
        ({"resume": True}, "--resume needs a file"),
    ],
)
def test_what_needs_a_file(clip: Path, tmp_path: Path, options: dict[str, object], said: str) -> None:
    y4m = tmp_path / "in.y4m"
    paragon_stream.upscale(clip, y4m, engine="null", scale=2)
    with pytest.raises(UsageError, match=said):
        piped(y4m, tmp_path, **options)


def test_a_pipe_without_a_video(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no video\n" * 50)
    with pytest.raises(InputError, match="text file"):
        piped(tmp_path / "text", tmp_path)


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after the shell's <&-
    with pytest.raises(InputError, match=r"^standard input is closed$"):
        paragon_stream.upscale("-", tmp_path / "out.mkv", engine="null")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("suffix", ["y4m", "ts"])
def test_a_render_ends_on_request_while_its_pipe_is_silent(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / "in.ts", frames=50, width=320, height=180)
    if suffix == "y4m":
        paragon_stream.upscale(clip, tmp_path / "in.y4m", engine="null")
    data = (tmp_path / f"in.{suffix}").read_bytes()
    command = [sys.executable, "-m", "paragon_stream", "-", str(tmp_path / "out.mkv"), "--engine", "null"]
    with subprocess.Popen(
        [*command, "--probesize", "20k"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin is not None and running.stderr is not None
        running.stdin.write(data[: len(data) * 3 // 4])
        running.stdin.flush()
        assert b"frame" in running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 130  # the pipe is still open
        assert b"interrupted" in running.stderr.read()
