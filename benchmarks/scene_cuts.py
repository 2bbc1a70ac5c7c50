"""Precision and recall of scene cuts, on generated clips whose cuts are known and on listed real ones.

    python benchmarks/scene_cuts.py [--clips FOLDER]    # a minute; writes benchmarks/results/scene_cuts.json

Generated clips are pans over drawn pictures: hard cuts (also between dark scenes, and between scenes of the
same brightness), cross-fades, fades to and from black, flashes of one to three frames, fast pans, and noise.
Cuts are the first frames of scenes; fades, flashes, pans and noise have none. `--clips`: a folder with the
files that CLIPS lists, whose cuts were found by eye; files that are missing are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
from common import machine, write_results
from numpy.typing import NDArray

from paragon_stream.media.frames.scene_cuts import is_cut, small_picture
from paragon_stream.runtimes.int8.calibration import drawn_pictures

type Frame = NDArray[np.float64]
"""Luma in 0…1."""
type Clip = tuple[list[Frame], frozenset[int]]
"""Frames, and the numbers of those that begin a scene."""

SIDE, WIDTH, HEIGHT, LENGTH = 384, 256, 144, 16
MOST_FRAMES = 120
"""Largest number of frames of a real clip."""
CLIPS: dict[str, frozenset[int]] = {
    "h264_720p25_bbb_5s_aac51.mp4": frozenset(),
    "h264_broken_audio.mp4": frozenset(),
    "h264_first_pts_10s_sar1137x800.mp4": frozenset({6}),
    "h264_iphone_rot90_gps.mov": frozenset(),
    "h264_qcif_sar128x117.mp4": frozenset(),
    "hevc_hlg10_1080p.mp4": frozenset(),
    "vp8_720p_bbb_1s.webm": frozenset(),
    "vp9_642x642_square_not_mod16.webm": frozenset({6}),
    "vvc_10bit_320x180.mp4": frozenset(),
}
"""Real clips, and their frames that begin a scene, by eye."""


def scenes() -> list[Frame]:
    """Sixteen, of SIDE pixels a side: quarters of four drawn pictures, which show nothing in common."""
    found = []
    for picture in drawn_pictures(count=4, side=2 * SIDE):
        for top, left in np.ndindex(2, 2):
            part = picture[:, top * SIDE : (top + 1) * SIDE, left * SIDE : (left + 1) * SIDE]
            found.append(part.mean(0, dtype=np.float64))
    return [found[4 * (number % 4) + number // 4] for number in range(16)]


def pan(scene: Frame, rng: np.random.Generator, *, speed: float = 2.0, length: int = LENGTH) -> list[Frame]:
    """Frames of a window that moves over `scene`, `speed` pixels a frame."""
    angle = rng.uniform(0, 2 * np.pi)
    step = speed * np.array([np.sin(angle), np.cos(angle)])
    middle = (np.array(scene.shape) - (HEIGHT, WIDTH)) / 2
    frames = []
    for number in range(length):
        top, left = np.clip(middle + step * (number - length / 2), 0, 2 * middle).astype(int)
        frames.append(scene[top : top + HEIGHT, left : left + WIDTH])
    return frames


def barred(frame: Frame) -> Frame:
    """A wide film in a picture of 16:9."""
    bar = np.full((HEIGHT // 8, WIDTH), 16 / 255)
    return np.concatenate([bar, frame[HEIGHT // 8 : -HEIGHT // 8], bar])


def joined(parts: list[list[Frame]]) -> Clip:
    """The parts one after another, each a scene."""
    begins: list[int] = []
    frames: list[Frame] = []
    for part in parts:
        begins.append(len(frames))
        frames += part
    return frames, frozenset(begins[1:])


def clips(rng: np.random.Generator) -> Iterator[tuple[str, Clip]]:
    """Every kind of generated clip."""
    drawn = scenes()

    def pans(change: Callable[[Frame], Frame] = lambda frame: frame, speed: float = 2.0) -> list[list[Frame]]:
        return [[change(frame) for frame in pan(scene, rng, speed=speed)] for scene in drawn]

    yield "hard cuts", joined(pans())
    yield "cuts between dark scenes", joined(pans(lambda frame: 0.06 + 0.12 * frame))
    yield (
        "cuts between scenes of one brightness",
        joined(pans(lambda frame: 0.5 + 0.7 * (frame - frame.mean()))),
    )
    yield "cuts between dark bars", joined(pans(barred))
    yield "fast pans", joined(pans(speed=10.0))
    for length in (4, 12, 24):
        still = [pan(scene, rng, speed=0.0, length=1)[0] for scene in drawn]
        frames = [still[0]]
        for a, b in pairwise(still):
            frames += [(1 - share) * a + share * b for share in np.linspace(0, 1, length + 2)[1:-1]]
            frames += [b] * 4
        yield f"cross-fades of {length} frames", (frames, frozenset())
    for length in (8, 20):
        frames = []
        for scene in drawn:
            level = np.minimum(1, np.minimum(np.arange(3 * length), np.arange(3 * length)[::-1]) / length)
            frames += [s * x for s, x in zip(level, pan(scene, rng, length=3 * length), strict=True)]
        yield f"fades through black of {length} frames", (frames, frozenset())
    for length in (1, 3):
        frames = []
        for scene in drawn:
            part = pan(scene, rng)
            for number in range(6, 6 + length):
                part[number] = np.minimum(1, 0.35 + 1.1 * part[number])
            frames += part
        # Scenes change with a cut; the flashes are none.
        yield f"flashes of {length} frames", (frames, frozenset(range(LENGTH, len(frames), LENGTH)))
    noisy = [[frame + rng.normal(0, 0.06, frame.shape) for frame in part] for part in pans()]
    yield "cuts in noise", joined(noisy)


def by_difference(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """For comparison: a threshold on the mean difference."""
    return float(np.abs(after - before).mean()) > 0.07


def found_cuts(frames: list[Frame], judge: Callable[..., bool]) -> set[int]:
    """Numbers of the frames that `judge` takes for the first of a scene."""
    small = [small_picture((255 * frame).clip(0, 255).round().astype(np.uint8), 255) for frame in frames]
    return {n for n in range(1, len(small)) if judge(small[n - 1], small[n])}


def read(path: Path) -> list[Frame]:
    with av.open(str(path)) as file:
        frames = [
            frame.reformat(format="gray").to_ndarray() for frame in islice(file.decode(video=0), MOST_FRAMES)
        ]
    return [frame.astype(np.float64) / 255 for frame in frames]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path)
    folder = parser.parse_args().clips
    head, rows = machine(), []
    totals = {is_cut: np.zeros(3, int), by_difference: np.zeros(3, int)}
    material = list(clips(np.random.default_rng(3)))
    if folder is not None:
        there = {name: cuts for name, cuts in CLIPS.items() if (folder / name).exists()}
        material += [(name, (read(folder / name), cuts)) for name, cuts in there.items()]
    for kind, (frames, cuts) in material:
        row: dict[str, object] = {"clip": kind, "frames": len(frames), "cuts": len(cuts)}
        for judge, total in totals.items():
            found = found_cuts(frames, judge)
            right, wrong = len(found & cuts), len(found - cuts)
            total += right, wrong, len(cuts - found)
            row[judge.__name__] = {"found": right, "false": wrong}
        rows.append(row)
        print(rows[-1], flush=True)
    results: dict[str, object] = {}
    for judge, total in totals.items():
        right, wrong, missed = (int(each) for each in total)
        results[judge.__name__] = {"precision": right / (right + wrong), "recall": right / (right + missed)}
    print(results)
    print(write_results("scene_cuts", head, {**results, "clips": rows}))


if __name__ == "__main__":
    main()
