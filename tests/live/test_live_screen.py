"""A real X11 screen, captured: the right part of it, in the right colours."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from live_material import Running
from live_screen import Screen

import paragon_stream
from paragon_stream.errors import InputError

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no Xvfb: apt-get install xvfb"),
]

WIDTH, HEIGHT = 160, 96
CHART = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "brown": (150, 90, 40),
}
"""R, G, B of six columns."""


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("screen"), WIDTH, HEIGHT)
    yield screen
    screen.close()


def columns(width: int) -> list[slice]:
    step = width // len(CHART)
    return [slice(n * step, (n + 1) * step) for n in range(len(CHART))]


def show_chart(screen: Screen) -> None:
    for where, color in zip(columns(WIDTH), CHART.values(), strict=True):
        screen.pixels[:, where, :3] = color[::-1]


def last_picture(path: Path) -> tuple[av.VideoFrame, np.ndarray]:
    with av.open(str(path)) as container:
        *_, frame = container.decode(video=0)
        matrix = {1: "ITU709", 6: "ITU601"}[frame.colorspace] if frame.format.name != "bgr0" else None
        picture = (
            frame.reformat(format="rgb24", src_colorspace=matrix)
            if matrix
            else frame.reformat(format="rgb24")
        )
        return frame, picture.to_ndarray()


def test_a_colour_chart_comes_out_right(screen: Screen, tmp_path: Path) -> None:
    show_chart(screen)
    report = paragon_stream.live(
        screen.display, tmp_path / "out.mkv", cursor=False, duration=0.5, fps=10, to="1280x768", crf=5
    )
    assert (report.source_format, report.target_format) == ("160x96 bgr0", "1280x768 yuv420p")
    frame, picture = last_picture(tmp_path / "out.mkv")
    tags = frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc
    assert tags == (1, 1, 1, 1)  # BT.709, limited
    for (name, color), where in zip(CHART.items(), columns(1280), strict=True):
        middle = picture[200:600, where.start + 40 : where.stop - 40].reshape(-1, 3).mean(axis=0)
        assert np.abs(middle - color).max() < 6, (name, middle)


def test_raw_output_keeps_rgb(screen: Screen, tmp_path: Path) -> None:
    show_chart(screen)
    report = paragon_stream.live(screen.display, tmp_path / "out.nut", cursor=False, duration=0.3, fps=10)
    assert report.target_format == "320x192 bgr0"
    _, picture = last_picture(tmp_path / "out.nut")
    for (name, color), where in zip(CHART.items(), columns(320), strict=True):
        middle = picture[40:150, where.start + 15 : where.stop - 15].reshape(-1, 3).mean(axis=0)
        assert np.abs(middle - color).max() < 3, (name, middle)


def test_a_region(screen: Screen, tmp_path: Path) -> None:
    screen.pixels[:] = 0
    screen.pixels[20:60, 30:90, :3] = 255
    report = paragon_stream.live(
        screen.display, tmp_path / "out.nut", region="60x40+30+20", cursor=False, duration=0.3, fps=10
    )
    assert report.source_format == "60x40 bgr0"
    assert last_picture(tmp_path / "out.nut")[1].min() > 250


def test_what_moves_arrives(screen: Screen, tmp_path: Path) -> None:
    """The pictures are those of the moment: what was drawn before the session is in none, the last one is."""
    screen.pixels[:] = 0
    drawn = 0

    def draw(progress: object) -> None:
        nonlocal drawn
        drawn += 1
        screen.pixels[:, :, :3] = min(250, 20 * drawn)

    paragon_stream.live(
        screen.display, tmp_path / "out.nut", engine="openvino",
        region="64x48", cursor=False, duration=2, fps=10, on_progress=draw,
    )  # fmt: skip
    with av.open(str(tmp_path / "out.nut")) as container:
        seen = [int(np.frombuffer(frame.planes[0], np.uint8)[0]) for frame in container.decode(video=0)]
    assert seen == sorted(seen)
    assert len(set(seen)) >= 2
    assert seen[-1] >= 20


@pytest.mark.parametrize(
    ("region", "sentence"), [("900x900+0+0", "outside the screen size 160x96"), ("64x48+150+0", "outside")]
)
def test_a_region_beyond_the_screen(screen: Screen, tmp_path: Path, region: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        paragon_stream.live(screen.display, tmp_path / "out.nut", region=region, engine="null")


@pytest.mark.skipif(shutil.which("xrandr") is None, reason="no xrandr")
@pytest.mark.parametrize("reconnect", [0, 20])
def test_a_screen_that_becomes_smaller(tmp_path: Path, reconnect: float) -> None:
    screen = Screen(tmp_path, WIDTH, HEIGHT)
    try:
        _shrink(screen, tmp_path / "out.mkv", reconnect)
    finally:
        screen.close()


def _shrink(screen: Screen, out: Path, reconnect: float) -> None:
    session = Running(screen.display, out, engine="null", reconnect=reconnect, fps=20)
    session.wait_for(lambda now: now.frames_out > 5)
    xrandr = ["xrandr", "--display", screen.display]
    # The first also sets the size of a screen without outputs, 0, and fails in that.
    subprocess.run([*xrandr, "--output", "screen", "--off"], check=False, stderr=subprocess.DEVNULL)
    subprocess.run([*xrandr, "--fb", "80x64"], check=True)
    if reconnect:
        session.wait_for(lambda now: any("is back" in event for event in now.events))
        before = session.frames_out
        session.wait_for(lambda now: now.frames_out > before + 5)
        session.stop.set()
    report = session.result()
    if not reconnect:
        assert report.failure == f"{screen.display} broke off (it is smaller than before)"
        return
    assert report.events[0].startswith(
        f"{screen.display} broke off (it is smaller than before): trying again"
    )
    first, second = report.formats
    assert (first.format, second.format) == ("160x96 bgr0", "80x64 bgr0")
    assert first.seconds == 0 and 0 < second.seconds < 60
