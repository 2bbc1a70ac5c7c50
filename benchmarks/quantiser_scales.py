"""Fits the tables that put every codec's quantiser on H.264's scale, by equal decoding error.

    scripts/python benchmarks/quantiser_scales.py --data FOLDER [--clips 12]

Clips are pans over training crops (half of them with grain, a quarter with a still half), never evaluation
data. Each is encoded by H.264 on a ladder of qualities, which gives its curve of quantiser over error; then
by every other codec at several qualities: where the error is the same, the quantisers are. Least squares over
clips make the tables of `paragon_stream/media/quantisers/scale.py`, which a test compares with the results
in `benchmarks/results/quantiser_scales.json`. Coded bits per pixel are fitted likewise (x264's own, and
MJPEG's for intra codecs).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, write_results
from numpy.typing import NDArray

from paragon_stream.frame import ColorRange, Matrix
from paragon_stream.media.quantisers.scale import LOGARITHMIC, Scale
from paragon_stream.media.roundtrip import QUIET_X265, Decoded, Encoding, round_trip
from paragon_stream.train.data import list_sources, read_picture
from paragon_stream.train.planes import Planes, to_planes
from paragon_stream.train.resample import shrink

FRAMES = 20
NODES = 7
STRAIGHTNESS = 0.05
ENDS = {Scale.HEVC: (0, 51), Scale.VP9: (0, 255), Scale.AV1: (0, 255)}
ROOM = 80
"""Pixels that a pan needs at least."""
TINY = 1e-3
"""Keeps logarithms of errors finite."""
WINDOW = 384
"""Side of what is seen of a crop, in pixels; clips are half as large."""
LADDER = (4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44)


def _x265(crf: int, preset: str) -> Encoding:
    options = {"crf": str(crf), "preset": preset, "x265-params": QUIET_X265}
    return Encoding(encoder="libx265", options=options)


def _fixed(encoder: str, quantiser: int, **more: str) -> Encoding:
    """One quantiser for all: FFmpeg's `global_quality` does nothing where frames bring no quality."""
    options = {"qmin": str(quantiser), "qmax": str(quantiser), "b": "1000000", **more}
    return Encoding(encoder=encoder, options=options)


def _vp9(crf: int) -> Encoding:
    options = {"crf": str(crf), "b": "0", "deadline": "good", "cpu-used": "4", "lag-in-frames": "16"}
    return Encoding(encoder="libvpx-vp9", options=options)


def _av1(crf: int, preset: str) -> Encoding:
    options = {"crf": str(crf), "preset": preset, "svtav1-params": "lp=1"}
    return Encoding(encoder="libsvtav1", options=options)


FIXED = (1, 2, 3, 4, 6, 9, 13, 20, 31)
ENCODINGS: dict[Scale, list[Encoding]] = {
    Scale.HEVC: [_x265(crf, p) for p in ("fast", "medium") for crf in (6, 13, 19, 25, 31, 38)],
    Scale.MPEG2: [_fixed("mpeg2video", q, bf="2") for q in FIXED],
    Scale.MPEG4: [_fixed("mpeg4", q, bf="1") for q in FIXED],
    Scale.VP9: [_vp9(crf) for crf in (4, 10, 17, 24, 31, 38, 45, 52, 60)],
    Scale.AV1: [_av1(crf, p) for p in ("8", "9") for crf in (10, 22, 34, 46, 58)],
    Scale.INTRA_BITS: [_fixed("mjpeg", q) for q in FIXED[1:]],
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One encode of one clip: its place on the codec's axis and the H.264 quantiser of equal error."""

    clip: str
    codec: float
    h264: float
    mse: float


def make_clip(picture: NDArray[np.uint8], seed: int) -> list[Planes]:
    """A straight pan over `picture`, shrunk by 2, as limited-range BT.709 planes."""
    rng = np.random.default_rng(seed)
    room = np.array(picture.shape[:2]) - WINDOW
    step = rng.uniform(-4, 4, 2)
    start = np.where(step > 0, 0, room)
    grain, still = seed % 2 == 1, seed % 4 == 2
    frames = []
    for index in range(FRAMES):
        y, x = np.clip(np.rint(start + index * step), 0, room).astype(int)
        seen = picture[y : y + WINDOW, x : x + WINDOW].copy()
        if still:
            seen[:, : WINDOW // 2] = picture[:WINDOW, : WINDOW // 2]
        small = shrink(seen.astype(np.float32), 2)
        if grain:
            small = small + rng.normal(0, 2.0, (*small.shape[:2], 1)).astype(np.float32)
        frames.append(to_planes(np.clip(small / np.float32(255), 0, 1), Matrix.BT709, ColorRange.LIMITED))
    return frames


def error(source: Sequence[Planes], decoded: Sequence[Decoded]) -> float:
    """Mean squared error of luma over the clip."""
    pairs = zip(source, decoded, strict=True)
    return float(np.mean([np.mean((s[0] - d.planes[0].astype(np.float64)) ** 2) for s, d in pairs]))


def place(scale: Scale, decoded: Sequence[Decoded]) -> float:
    """The clip's mean on the axis of the codec's table."""
    readings = [d.reading for d in decoded if d.reading is not None]
    if scale in (Scale.BITS, Scale.INTRA_BITS):
        return float(np.mean([np.log2(r.bits_per_pixel) for r in readings]))
    raw = [r.raw for r in readings if r.raw is not None]
    return float(np.mean(np.log2(raw) if scale in LOGARITHMIC else raw))


def measure(name: str, frames: list[Planes]) -> dict[Scale, list[Point]]:
    """Every encode of one clip."""
    curve, found = [], {scale: list[Point]() for scale in (Scale.BITS, *ENCODINGS)}
    for crf in LADDER:
        rung = round_trip(frames, Encoding(encoder="libx264", options={"crf": str(crf), "preset": "medium"}))
        mse, quantiser = error(frames, rung), place(Scale.H264, rung)
        curve.append((np.log(mse + TINY), quantiser))
        found[Scale.BITS].append(Point(clip=name, codec=place(Scale.BITS, rung), h264=quantiser, mse=mse))
    errors, quantisers = np.array(sorted(curve)).T
    for scale, encodings in ENCODINGS.items():
        for encoding in encodings:
            decoded = round_trip(frames, encoding)
            mse = error(frames, decoded)
            if not errors[0] <= np.log(mse + TINY) <= errors[-1]:
                continue
            equal = float(np.interp(np.log(mse + TINY), errors, quantisers))
            found[scale].append(Point(clip=name, codec=place(scale, decoded), h264=equal, mse=mse))
    return found


def fit(scale: Scale, points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Nodes on the codec's axis and H.264's quantisers there.

    Least squares over the heights of evenly spaced nodes between which lines are drawn, with a little weight
    on straightness where there are no points; then made monotone. Where an axis has ends of its own (ENDS),
    the lower one is lossless and the last line goes on to the upper one.
    """
    x, y = (np.array([getattr(p, name) for p in points]) for name in ("codec", "h264"))
    nodes = np.linspace(*np.quantile(x, (0.01, 0.99)), NODES).round(2)
    hats = np.stack([np.interp(x, nodes, row) for row in np.eye(NODES)], axis=1)
    bends = STRAIGHTNESS * np.sqrt(len(x)) * np.diff(np.eye(NODES), 2, axis=0)
    values, *_ = np.linalg.lstsq(np.vstack([hats, bends]), np.concatenate([y, np.zeros(NODES - 2)]))
    falls = values[-1] < values[0]
    values = (np.minimum if falls else np.maximum).accumulate(values)
    if scale in ENDS:
        low, high = ENDS[scale]
        beyond = values[-1] + (values[-1] - values[-2]) * (high - nodes[-1]) / (nodes[-1] - nodes[-2])
        nodes, values = np.array([low, *nodes, high]), np.array([0.0, *values, beyond])
    return [float(v) for v in nodes], [round(float(v), 1) for v in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of good pictures")
    parser.add_argument("--clips", type=int, default=12)
    options = parser.parse_args()
    head = machine()
    sources = [
        *list_sources(options.data, "val"),
        *list_sources(options.data, "train"),
    ]
    points: dict[Scale, list[Point]] = {scale: [] for scale in (Scale.BITS, *ENCODINGS)}
    kept: list[str] = []
    for source in sources:
        picture = read_picture(source.path)
        if len(kept) == options.clips or min(picture.shape[:2]) < WINDOW + ROOM:
            continue
        for scale, found in measure(source.name, make_clip(picture, len(kept))).items():
            points[scale] += found
        kept.append(source.name)
        print(f"{len(kept)} of {options.clips}: {source.name}", flush=True)
    tables: dict[str, Any] = {}
    for scale, found in points.items():
        nodes, quantisers = fit(scale, found)
        spread = [float(np.interp(p.codec, nodes, quantisers)) - p.h264 for p in found]
        tables[scale.name] = {
            "codec": nodes,
            "h264": quantisers,
            "off_by": round(float(np.median(np.abs(spread))), 2),
            "clip, codec's number, H.264's, error": [
                f"{p.clip} {p.codec:.3f} {p.h264:.2f} {p.mse:.4f}" for p in found
            ],
        }
        print(f"Scale.{scale.name}: ({tuple(nodes)}, {tuple(quantisers)}),", tables[scale.name]["off_by"])
    print(write_results("quantiser_scales", head, {"clips": kept, "tables": tables}))


if __name__ == "__main__":
    main()
