"""The ready-made script in a real mpv, headless: it plays, seeks, and writes what the file path writes.

PYTHON=.venv/bin/python scripts/build_mpv build/mpv && scripts/test -m slow tests/filter
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_clip
from numpy.typing import NDArray
from places import REPOSITORY

import paragon_stream
from paragon_stream.datafiles import data_folder

MPV = REPOSITORY / "build" / "mpv" / "bin" / "mpv"
SCRIPT_PATH = data_folder("filters") / "paragon.vpy"
PLAYED = 0.4
"""The strength of compression that the script takes in mpv: docs/mpv.md."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not MPV.exists(), reason=f"no mpv in {MPV}: build it with scripts/build_mpv"),
]

BAD_WORDS = re.compile(r"failed|error|exception|traceback|disabling filter|out of range", re.IGNORECASE)


def arguments(*more: object, user_data: str = "") -> list[str]:
    quoted = f':user-data="{user_data}"' if user_data else ""
    return [
        str(MPV), "--no-config", "--ao=null", "--term-status-msg=",
        f"--vf=vapoursynth={SCRIPT_PATH}{quoted}", *map(str, more),
        *([] if any(str(argument).startswith("--o=") for argument in more) else ["--vo=null"]),
    ]  # fmt: skip


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def play(*more: object, user_data: str = "") -> str:
    """mpv's output; fails unless it came to the end by itself and had nothing to complain about."""
    done = subprocess.run(
        arguments(*more, user_data=user_data), env=environment(), capture_output=True, text=True, timeout=200
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "End of file" in output, output
    assert not BAD_WORDS.search(output), output
    return output


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "shown"),
    [
        ("libx264", "yuv420p", "yuv420p"),
        ("libx264", "yuv422p10le", "yuv422p10"),
        ("libx265", "yuv420p", "yuv420p"),
        ("libx265", "yuv420p10le", "yuv420p10"),
    ],
)
@pytest.mark.parametrize("user_data", ["", "wait=1 prefetch=1"])
def test_plays_to_the_end(tmp_path: Path, codec: str, pix_fmt: str, shown: str, user_data: str) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=160, height=96, frames=60, codec=codec, pix_fmt=pix_fmt)
    output = play("--untimed", clip, user_data=user_data)
    assert f"320x192 {shown}" in output


@pytest.mark.parametrize("concurrent", [1, 2, 8])
def test_few_and_many_requests(tmp_path: Path, concurrent: int) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=160, height=96, frames=60)
    script = f"--vf=vapoursynth={SCRIPT_PATH}:buffered-frames=1:concurrent-frames={concurrent}"
    assert "320x192" in play("--untimed", script, clip)


def test_files_of_several_sizes_one_after_another(tmp_path: Path) -> None:
    sizes = [(96, 64), (64, 48), (128, 96), (96, 64), (66, 50)]
    clips = [make_clip(tmp_path / f"{n}.mkv", width=w, height=h, frames=20) for n, (w, h) in enumerate(sizes)]
    output = play("--untimed", *clips)
    for width, height in sizes:
        assert f"{2 * width}x{2 * height} yuv420p" in output


def test_writes_what_the_file_path_writes(tmp_path: Path) -> None:
    for codec, pix_fmt in (("libx264", "yuv420p"), ("libx265", "yuv420p10le")):
        clip = make_clip(
            tmp_path / f"{codec}.mkv", width=160, height=96, frames=30, codec=codec, pix_fmt=pix_fmt
        )
        by_mpv, by_file = tmp_path / f"{codec}-mpv.mkv", tmp_path / f"{codec}-file.mkv"
        play(f"--o={by_mpv}", "--of=matroska", "--ovc=ffv1", "--no-audio", clip, user_data="wait=1")
        paragon_stream.upscale(clip, by_file, codec="ffv1", strength=PLAYED)
        got, wanted = _frames(by_mpv), _frames(by_file)
        assert len(got) == len(wanted) == 30
        for mine, other in zip(got, wanted, strict=True):
            assert mine[0] == other[0]
            for a, b in zip(mine[1], other[1], strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_source_that_fills_the_screen_is_left_alone(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=160, height=96, frames=10)
    assert "160x96" in play("--untimed", clip, user_data="display=160x120")
    assert "320x192" in play("--untimed", clip, user_data="display=161x97")


def test_a_clip_that_cannot_be_upscaled_plays_on_without_the_filter(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=160, height=96, frames=10)
    done = subprocess.run(
        arguments("--untimed", clip, user_data="weights=nothing-of-that-name"),
        env=environment(), capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert "nothing-of-that-name" in output
    assert "Disabling filter" in output
    assert "VO: [null] 160x96" in output
    assert done.returncode == 0


class Player:
    """A running mpv and its IPC socket."""

    def __init__(self, tmp_path: Path, *more: object) -> None:
        path = tmp_path / "mpv.sock"
        self.log = (tmp_path / "mpv.log").open("w+")
        self.process = subprocess.Popen(
            arguments(f"--input-ipc-server={path}", "--keep-open=yes", "--idle=no", *more),
            env=environment(), stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                self.socket.connect(str(path))
                break
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.05)
        self.socket.settimeout(60)
        self.lines = self.socket.makefile("r")

    def command(self, *words: Any) -> Any:
        self.socket.sendall(json.dumps({"command": words}).encode() + b"\n")
        while True:
            reply = json.loads(self.lines.readline())
            if "error" in reply:
                assert reply["error"] == "success", (words, reply)
                return reply.get("data")

    def event(self, name: str) -> None:
        while json.loads(self.lines.readline()).get("event") != name:
            pass

    def drain_events(self) -> None:
        """Forget the events of what happened up to now."""
        self.command("get_property", "pid")

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in self.output():
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.05)

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self.lines.close()
        self.socket.close()
        self.log.close()


@pytest.fixture
def player(tmp_path: Path) -> Iterator[Any]:
    players = []

    def start(*more: object) -> Player:
        players.append(Player(tmp_path, *more))
        return players[-1]

    yield start
    for each in players:
        each.close()


def test_seeks_show_the_right_frame_and_compile_nothing(tmp_path: Path, player: Any) -> None:
    """Were anything compiled at a seek, the frame shown would be a plainly scaled one."""
    clip = make_clip(tmp_path / "in.mkv", width=160, height=96, frames=75, options={"g": "10"})
    upscaled = tmp_path / "upscaled.mkv"
    paragon_stream.upscale(clip, upscaled, codec="ffv1", strength=PLAYED)
    frames = [_luma(frame.to_ndarray(format="rgb24")) for frame in av.open(upscaled).decode(video=0)]

    mpv = player("--hr-seek=yes", "--loop-file=inf", clip)
    mpv.wait_for("the engine takes over")
    mpv.command("set_property", "pause", True)
    picture = tmp_path / "shot.png"
    for n in (40, 3, 74, 41, 0, 60, 59, 12):
        mpv.drain_events()
        mpv.command("seek", max(0, n / 25 - 0.02), "absolute+exact")
        mpv.event("playback-restart")
        mpv.command("screenshot-to-file", str(picture), "video")
        shot = _luma(_png(picture))
        distances = [float(np.square(shot - frame).mean()) for frame in frames]
        assert int(np.argmin(distances)) == n
        assert distances[n] < 4  # two converters to RGB round differently; plain scaling would give 30
    mpv.command("quit")
    assert mpv.process.wait(60) == 0
    output = mpv.output()
    assert not BAD_WORDS.search(output), output
    assert output.count("plain scaling while the engine is compiled") == 1


def test_seeks_while_playing_and_then_to_the_end(tmp_path: Path, player: Any) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=160, height=96, frames=250, options={"g": "25"})
    mpv = player(clip)
    mpv.event("playback-restart")
    for second in (5.0, 1.0, 8.5, 0.0, 9.0, 4.4, 9.5, 2.0):
        mpv.command("seek", second, "absolute+exact")
        time.sleep(0.05)  # before it is over, the next one comes
    mpv.event("playback-restart")
    mpv.command("vf", "toggle", f"vapoursynth={SCRIPT_PATH}")
    mpv.command("vf", "toggle", f"vapoursynth={SCRIPT_PATH}")
    mpv.command("seek", 9.0, "absolute+exact")
    deadline = time.monotonic() + 60
    while not mpv.command("get_property", "eof-reached"):
        assert time.monotonic() < deadline, mpv.output()
        time.sleep(0.1)
    mpv.command("quit")
    assert mpv.process.wait(60) == 0
    assert not BAD_WORDS.search(mpv.output()), mpv.output()


def test_quitting_while_the_engine_is_compiled(tmp_path: Path, player: Any) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=640, height=360, frames=30)
    for delay in (0.0, 0.1, 0.3):
        mpv = player("--pause", clip)
        mpv.event("playback-restart")
        time.sleep(delay)
        mpv.command("quit")
        assert mpv.process.wait(60) == 0, mpv.output()


def _frames(path: Path) -> list[tuple[int, list[NDArray[Any]]]]:
    with av.open(path) as container:
        return [
            (
                round(frame.time * 1000),
                [
                    np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[
                        : plane.height, : plane.width * (1 + (frame.format.components[0].bits > 8))
                    ]
                    for plane in frame.planes
                ],
            )
            for frame in container.decode(video=0)
        ]


def _luma(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return picture @ np.array([0.299, 0.587, 0.114])


def _png(path: Path) -> NDArray[np.uint8]:
    with av.open(path) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")
