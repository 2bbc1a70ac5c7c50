"""Shaders in the programs that people use: mpv's two renderers on OpenGL, and FFmpeg's filter on Vulkan.

Players switch a shader that they cannot compile off and scale plainly, so pixels are compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from shader_material import environment, luma_picture, needs_lavapipe, network, psnr, upscaled_luma

from paragon_stream.datafiles import data_folder

SHADER = data_folder("filters") / "realtime_x2_luma_video_0.4.glsl"
FRAGMENT = data_folder("filters") / "realtime_x2_luma_video_0.4_fragment.glsl"
WIDTH, HEIGHT = 64, 48

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def planes(picture: NDArray[np.uint8]) -> bytes:
    """A 4:2:0 frame without colour."""
    return picture.tobytes() + bytes([128]) * (picture.size // 2)


@pytest.fixture
def display() -> Iterator[str]:
    """A screen with OpenGL in software."""
    if not shutil.which("Xvfb"):
        pytest.skip("needs Xvfb: apt-get install xvfb")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "+extension", "GLX"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as numbers:
        number = numbers.readline().strip()
    yield f":{number}"
    server.kill()
    server.wait()


def screenshot(
    folder: Path, display: str, picture: NDArray[np.uint8], vo: str, shader: Path
) -> NDArray[np.float64]:
    """mpv's display of `picture` in a window of twice its size: mean of R, G and B, 0…255."""
    clip, image, ipc = folder / "in.y4m", folder / "out.png", folder / "ipc"
    clip.write_bytes(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F1:1 Ip C420mpeg2\nFRAME\n".encode() + planes(picture))
    player = subprocess.Popen(
        [
            "mpv", "--no-config", f"--vo={vo}", "--gpu-api=opengl", "--gpu-sw=yes", "--dither-depth=no",
            "--no-border", f"--geometry={2 * WIDTH}x{2 * HEIGHT}", "--no-keepaspect-window", "--pause",
            "--keep-open=always", "--osc=no", "--osd-level=0", "--no-audio", "--sigmoid-upscaling=no",
            "--scale=bilinear", "--screenshot-high-bit-depth=yes", f"--input-ipc-server={ipc}",
            f"--glsl-shaders={shader}", str(clip),
        ],
        env={**os.environ, "DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with _connected(ipc) as connection:
            deadline = time.monotonic() + 120
            while _command(connection, "screenshot-to-file", str(image), "window")["error"] != "success":
                assert time.monotonic() < deadline, "mpv shows nothing"
                time.sleep(0.2)
            _command(connection, "quit")
        player.wait(60)
    finally:
        player.kill()
        player.wait()
    with av.open(image) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb48le")
    assert shown.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    return shown.mean(axis=2) / 257.0


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            connection.connect(str(path))
            break
        assert time.monotonic() < deadline, "mpv does not answer"
        time.sleep(0.1)
    connection.settimeout(300)
    return connection


def _command(connection: socket.socket, *words: str) -> dict[str, object]:
    connection.sendall(json.dumps({"command": words}).encode() + b"\n")
    received = b""
    while True:
        received += connection.recv(65536)
        for line in received.split(b"\n")[:-1]:
            answer: dict[str, object] = json.loads(line)
            if "error" in answer:
                return answer
        received = received.rpartition(b"\n")[2]


@pytest.mark.skipif(not shutil.which("mpv"), reason="needs mpv")
@pytest.mark.parametrize(
    ("vo", "shader", "bar"),
    [
        # The older renderer alone, without a shader, is 50 to 51 dB from the truth.
        ("gpu-next", SHADER, 65.0),
        ("gpu-next", FRAGMENT, 65.0),
        ("gpu", SHADER, 49.0),
        ("gpu", FRAGMENT, 49.0),
    ],
)
def test_mpv_shows_what_the_file_path_writes(
    tmp_path: Path, display: str, vo: str, shader: Path, bar: float
) -> None:
    picture = luma_picture(WIDTH, HEIGHT)
    wanted = (upscaled_luma(network(), picture) - 16) / 219 * 255
    assert psnr(screenshot(tmp_path, display, picture, vo, shader), wanted) >= bar


def test_a_shader_that_mpv_cannot_compile_is_noticed(tmp_path: Path, display: str) -> None:
    if not shutil.which("mpv"):
        pytest.skip("needs mpv")
    broken = tmp_path / "broken.glsl"
    broken.write_text(re.sub(r"barrier\(\);", "barrier()", SHADER.read_text()))
    picture = luma_picture(WIDTH, HEIGHT)
    wanted = (upscaled_luma(network(), picture) - 16) / 219 * 255
    assert psnr(screenshot(tmp_path, display, picture, "gpu-next", broken), wanted) < 45


@needs_lavapipe
def test_ffmpeg(tmp_path: Path) -> None:
    program = shutil.which("ffmpeg")
    if (
        not program
        or b"libplacebo"
        not in subprocess.run([program, "-hide_banner", "-filters"], capture_output=True, check=True).stdout
    ):
        pytest.skip("needs an ffmpeg with the filter libplacebo")
    picture = luma_picture(WIDTH, HEIGHT)
    graph = (
        "setparams=range=tv:colorspace=bt709,hwupload,"
        f"libplacebo=w={2 * WIDTH}:h={2 * HEIGHT}:custom_shader_path={SHADER}"
        ":format=yuv420p16le:dithering=none,"
        "hwdownload,format=yuv420p16le"
    )
    done = subprocess.run(
        [
            program, "-v", "error", "-init_hw_device", "vulkan=v", "-filter_hw_device", "v",
            "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}", "-i", "-",
            "-vf", graph, "-f", "rawvideo", "-",
        ],
        input=planes(picture), env=environment(), capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    luma = np.frombuffer(done.stdout, np.uint16)[: 4 * picture.size].reshape(2 * HEIGHT, 2 * WIDTH)
    assert psnr(luma / 256.0, upscaled_luma(network(), picture)) >= 65
