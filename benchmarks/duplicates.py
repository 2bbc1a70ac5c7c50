"""Measures the savings of `--reuse-duplicates`: an animation drawn on threes and a recording of a screen.

    python benchmarks/duplicates.py [--repeats 3]

All are made here and upscaled with the default weights, which follow the quantisers of lossy sources. Held
frames of H.264 decode to the same samples only where the encoder left all blocks out: B frames and
refinements change them. Those of codecs that store each frame by itself, and of lossless ones, decode to the
same samples.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
from common import interleaved, machine, median_ratio, write_results
from numpy.typing import NDArray

import paragon_stream

WIDTH, HEIGHT = 320, 180
FRAMES = 144


def drawing(number: int) -> NDArray[np.uint8]:
    """Flat colours with outlines; a figure moves."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    picture[:] = 200, 220, 240
    picture[y > 120 + 8 * np.sin(x / 30)] = 90, 160, 80
    middle = 40 + 5 * number % 240
    distance = np.hypot(x - middle, (y - 90) * 0.8)
    picture[distance < 34] = 20, 20, 20
    picture[distance < 31] = 240, 180, 140
    return picture


def screen(number: int) -> NDArray[np.uint8]:
    """Lines of text with one more letter every eight frames, as in typing, and a cursor that blinks."""
    picture = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    typed = 60 + number // 8
    for letter in range(typed):
        row, column = divmod(letter, 36)
        seed = np.random.default_rng(letter)
        top, left = 10 + 14 * row, 10 + 8 * column
        picture[top : top + 10, left : left + 6][seed.random((10, 6)) < 0.4] = 30
    if number % 48 < 24:
        picture[10:20, 2:4] = 0
    return picture


def make(path: Path, picture: Any, codec: str, options: dict[str, str], pix_fmt: str) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format=pix_fmt)
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def compared(source: Path, folder: Path, repeats: int, **options: Any) -> dict[str, Any]:
    reports = {}

    def render(how: str) -> None:
        reports[how] = paragon_stream.upscale(
            source, folder / f"{how}.mkv", overwrite=True, reuse_duplicates=how, preset="ultrafast", **options
        )

    costs = interleaved({how: lambda how=how: render(how) for how in ("exact", "off")}, repeats)  # type: ignore[misc]
    same = packets(folder / "exact.mkv") == packets(folder / "off.mkv")
    return {
        "frames": reports["exact"].frames_in,
        "reused": reports["exact"].duplicates,
        "cpu_ratio_off_to_exact": round(median_ratio(costs["off"], costs["exact"], "cpu"), 2),
        "wall_ratio_off_to_exact": round(median_ratio(costs["off"], costs["exact"], "wall"), 2),
        "weights": reports["exact"].model.name,
        "engine": reports["exact"].engine,
        "same_packets": same,
        "costs": costs,
    }


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(video=0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    head = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        x264 = {"crf": "23", "preset": "medium"}
        threes = lambda n: drawing(n // 3)  # noqa: E731
        animation = make(folder / "in.mkv", threes, "libx264", x264, "yuv420p")
        no_b_frames = make(folder / "zero.mkv", threes, "libx264", {**x264, "tune": "zerolatency"}, "yuv420p")
        master = make(folder / "in.mov", threes, "prores_ks", {}, "yuv422p10le")
        recording = make(
            folder / "screen.mkv", screen, "libx264rgb", {"qp": "0", "preset": "veryfast"}, "rgb24"
        )
        results = {
            "animation on threes, H.264": compared(animation, folder, options.repeats),
            "animation on threes, H.264 without B frames": compared(no_b_frames, folder, options.repeats),
            "animation on threes, ProRes": compared(master, folder, options.repeats),
            "screen recording, RGB": compared(recording, folder, options.repeats),
        }
    for what, result in results.items():
        print(what, {key: value for key, value in result.items() if key != "costs"})
    print(write_results("duplicates", head, results))


if __name__ == "__main__":
    main()
