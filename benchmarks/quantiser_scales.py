"""Fits the tables that put every codec's quantiser on H.264's scale, by what the weights do best with.

    scripts/python benchmarks/quantiser_scales.py --data FOLDER [--clips 8] [--variants realtime]

Clips are pans over training crops (half of them of soft sources, a quarter with a still half), never
evaluation data. Each is encoded by every codec at several qualities, decoded, and upscaled at strengths
0, 0.1 … 1. A codec's table is the one that loses least, in dB summed over encodes and variants, against the
best of those strengths. (Quantisers of equal decoding error, the other way to compare codecs, are too high
for VP9 and AV1 at good qualities: their in-loop filters leave out detail rather than adding what is to be
removed.)
H.264's own numbers are the scale and stay as they are; what the best line for them would gain is printed.
A table in use stays unless the fitted one is clearly better.
A test compares `paragon_stream/media/quantisers/scale.py` with `benchmarks/results/quantiser_scales.json`.
Coded bits per pixel are fitted likewise (x264's own, and MJPEG's for intra codecs).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, write_results
from numpy.typing import NDArray

from paragon_stream.checkpoint import load_weights
from paragon_stream.frame import ColorRange, ColorSpec, Matrix
from paragon_stream.media.measure.roundtrip import QUIET_X265, Decoded, Encoding, round_trip
from paragon_stream.media.quantisers.scale import (
    LOGARITHMIC,
    QUANTISER_OF_STRENGTH_1,
    TABLES,
    Scale,
    strength_of,
)
from paragon_stream.train.data.degradations import softened
from paragon_stream.train.data.images import list_sources, read_picture
from paragon_stream.train.data.planes import Planes, to_planes
from paragon_stream.train.data.resample import shrink
from paragon_stream.upscaler import Upscaler

FRAMES = 20
JUDGED = slice(3, None, 6)
"""Frames of a clip whose upscaled luma is compared with the truth."""
NODES = 7
STRAIGHTNESS = 0.002
"""dB an encode for squared bends (in quantisers) of a table: decides where nothing else does."""
CLEARLY = 0.1
"""A table in use stays unless the fitted one loses this part less: few clips do not show more."""
STEPS = (4.0, 1.0, 0.2)
"""Quantisers: how far heights of nodes are moved in search of the best table."""
ENDS = {Scale.HEVC: (0, 51), Scale.VP9: (0, 255), Scale.AV1: (0, 255), Scale.JPEG: (0, 8)}
GRID = np.linspace(0, 1, 11)
BORDER = 8
ROOM = 80
"""Pixels that a pan needs at least."""
SOFT = 0.9
"""Sigma of soft sources, in pixels."""
WINDOW = 384
"""Side of what is seen of a crop, in pixels; clips are half as large."""
LADDER = (4, 8, 12, 16, 20, 24, 28, 32, 36, 40)

type Luma = NDArray[np.float64]


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
X264 = [Encoding(encoder="libx264", options={"crf": str(crf), "preset": "medium"}) for crf in LADDER]
MJPEG = [_fixed("mjpeg", q) for q in FIXED[1:]]
ENCODINGS: dict[Scale, list[Encoding]] = {
    Scale.H264: X264,
    Scale.BITS: X264,
    Scale.HEVC: [_x265(crf, p) for p in ("fast", "medium") for crf in (6, 13, 19, 25, 31, 38)],
    Scale.MPEG2: [_fixed("mpeg2video", q, bf="2") for q in FIXED],
    Scale.MPEG4: [_fixed("mpeg4", q, bf="1") for q in FIXED],
    Scale.VP9: [_vp9(crf) for crf in (4, 10, 17, 24, 31, 38, 45, 52, 60)],
    Scale.AV1: [_av1(crf, p) for p in ("8", "9") for crf in (10, 22, 34, 46, 58)],
    Scale.JPEG: MJPEG,
    Scale.INTRA_BITS: MJPEG,
}


@dataclass(frozen=True, kw_only=True)
class Clip:
    """The encoded pictures, and the luma that upscaling should restore."""

    name: str
    frames: list[Planes]
    truth: list[Luma]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One encode of one clip: its place on the codec's axis, and the dB lost at each strength of GRID."""

    clip: str
    codec: float
    lost: NDArray[np.float64]


def make_clip(name: str, picture: NDArray[np.uint8], seed: int) -> Clip:
    """A straight pan over `picture`, shrunk by 2, as limited-range BT.709 planes."""
    rng = np.random.default_rng(seed)
    room = np.array(picture.shape[:2]) - WINDOW
    step = rng.uniform(-4, 4, 2)
    start = np.where(step > 0, 0, room)
    soft, still = seed % 2 == 1, seed % 4 == 2
    picture = softened(picture, 0, 0, picture.shape[:2], SOFT if soft else 0)  # type: ignore[arg-type]
    clip = Clip(name=name, frames=[], truth=[])
    for index in range(FRAMES):
        y, x = np.clip(np.rint(start + index * step), 0, room).astype(int)
        seen = picture[y : y + WINDOW, x : x + WINDOW].copy()
        if still:
            seen[:, : WINDOW // 2] = picture[:WINDOW, : WINDOW // 2]
        clip.frames.append(_video(shrink(seen.astype(np.float32), 2)))
        clip.truth.append(_video(seen)[0].astype(np.float64))
    return clip


def _video(codes: NDArray[np.generic]) -> Planes:
    """RGB on the 0…255 scale as planes."""
    return to_planes(np.clip(codes / 255, 0, 1).astype(np.float32), Matrix.BT709, ColorRange.LIMITED)


def place(scale: Scale, decoded: Sequence[Decoded]) -> float:
    """The clip's mean on the axis of the codec's table."""
    readings = [d.reading for d in decoded if d.reading is not None]
    if scale in (Scale.BITS, Scale.INTRA_BITS):
        return float(np.mean([np.log2(r.bits_per_pixel) for r in readings]))
    raw = [r.raw for r in readings if r.raw is not None]
    return float(np.mean(np.log2(raw) if scale in LOGARITHMIC else raw))


def lost(clip: Clip, decoded: Sequence[Decoded], upscaler: Upscaler) -> NDArray[np.float64]:
    """dB of luma lost at each strength of GRID against the best of them."""
    inner = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    errors = np.zeros(len(GRID))
    for frame, truth in zip(decoded[JUDGED], clip.truth[JUDGED], strict=True):
        for index, strength in enumerate(GRID):
            result = upscaler(frame.planes, strength=float(strength))[0]
            errors[index] += np.mean((result - truth)[inner] ** 2)
    return np.asarray(10 * np.log10(errors / errors.min()))


def measure(clip: Clip, upscalers: Sequence[Upscaler]) -> dict[Scale, list[Point]]:
    """Every encode of one clip, with every network."""
    found = {scale: list[Point]() for scale in ENCODINGS}
    distinct: list[Encoding] = []
    for encodings in ENCODINGS.values():
        distinct += [encoding for encoding in encodings if encoding not in distinct]
    for encoding in distinct:
        decoded = round_trip(clip.frames, encoding)
        curves = [lost(clip, decoded, upscaler) for upscaler in upscalers]
        for scale in (scale for scale, encodings in ENCODINGS.items() if encoding in encodings):
            at = place(scale, decoded)
            found[scale] += [Point(clip=clip.name, codec=at, lost=curve) for curve in curves]
    return found


def loss(nodes: Sequence[float], quantisers: Sequence[float], points: Sequence[Point]) -> float:
    """Mean dB lost if `points` get the strengths of a table."""
    given = [strength_of(q) for q in np.interp([p.codec for p in points], nodes, quantisers)]
    return float(np.mean([np.interp(s, GRID, p.lost) for s, p in zip(given, points, strict=True)]))


def fit(scale: Scale, points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Nodes on the codec's axis and H.264's quantisers there.

    The heights of evenly spaced nodes between which lines are drawn are moved one by one as long as that
    loses fewer dB; they never fall (bits: never rise). Where an axis has ends of its own (ENDS), the lower
    one is lossless and the last line goes on to the upper one.
    """
    nodes = np.linspace(*np.quantile([p.codec for p in points], (0.01, 0.99)), NODES).round(2)
    sign = -1 if scale in (Scale.BITS, Scale.INTRA_BITS) else 1
    best = np.linspace(10, QUANTISER_OF_STRENGTH_1, NODES)[::sign]

    def cost(values: NDArray[np.float64]) -> float:
        bends = float(np.mean(np.diff(values, 2) ** 2))
        return loss(list(nodes), list(values), points) + STRAIGHTNESS * bends

    for step in STEPS:
        moved = True
        while moved:
            moved = False
            for index in range(NODES):
                for change in (-step, step):
                    tried = best.copy()
                    tried[index] += change
                    if (np.diff(tried) * sign >= 0).all() and tried.min() >= 0 and cost(tried) < cost(best):
                        best, moved = tried, True
    if scale in ENDS:
        low, high = ENDS[scale]
        beyond = best[-1] + (best[-1] - best[-2]) * (high - nodes[-1]) / (nodes[-1] - nodes[-2])
        nodes, best = np.array([low, *nodes, high]), np.array([0.0, *best, beyond])
    return [float(v) for v in nodes], [round(float(v), 1) for v in best]


def table_of(scale: Scale, points: Sequence[Point]) -> dict[str, Any]:
    """The codec's row in the results: the fitted table, or the present one if that is hardly worse."""
    nodes, quantisers = fit(scale, points)
    fitted, present = loss(nodes, quantisers, points), loss(*TABLES[scale], points)
    if fitted > (1 - CLEARLY) * present or scale is Scale.H264:
        nodes, quantisers = (list(each) for each in TABLES[scale])
    print(f"Scale.{scale.name}: ({tuple(nodes)}, {tuple(quantisers)}), {fitted:.4f}, present {present:.4f}")
    return {
        "codec": nodes,
        "h264": quantisers,
        "lost_db": round(loss(nodes, quantisers, points), 4),
        "lost_db_of_fitted": round(fitted, 4),
        "lost_db_of_present": round(present, 4),
        "lost_db_of_one_strength_for_all": round(
            min(float(np.mean([p.lost[i] for p in points])) for i in range(len(GRID))), 4
        ),
        "clip, codec's number, dB lost at 0, 0.1 … 1": [
            f"{p.clip} {p.codec:.3f} {' '.join(f'{x:.3f}' for x in p.lost)}" for p in points
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of good pictures")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--weights", default="video", help="conditioned weights of scale 2")
    parser.add_argument("--variants", default="realtime", help="several: realtime,stream")
    options = parser.parse_args()
    head = machine()
    weights = [load_weights(options.weights, variant=each) for each in options.variants.split(",")]
    points: dict[Scale, list[Point]] = {scale: [] for scale in ENCODINGS}
    kept: list[str] = []
    side, color = WINDOW // 2, ColorSpec(matrix=Matrix.BT709, range=ColorRange.LIMITED)
    with ExitStack() as stack:
        upscalers = [
            stack.enter_context(
                Upscaler(
                    width=side,
                    height=side,
                    pixel_format="yuv420p",
                    color=color,
                    weights=each.path,
                    precision="fp32",
                )
            )
            for each in weights
        ]
        for source in [*list_sources(options.data, "val"), *list_sources(options.data, "train")]:
            picture = read_picture(source.path)
            if len(kept) == options.clips or min(picture.shape[:2]) < WINDOW + ROOM:
                continue
            for scale, found in measure(make_clip(source.name, picture, len(kept)), upscalers).items():
                points[scale] += found
            kept.append(source.name)
            print(f"{len(kept)} of {options.clips}: {source.name}", flush=True)
    tables = {scale.name: table_of(scale, found) for scale, found in points.items()}
    used = [{"name": each.name, "variant": str(each.spec.variant), "sha256": each.sha256} for each in weights]
    print(write_results("quantiser_scales", head, {"weights": used, "clips": kept, "tables": tables}))


if __name__ == "__main__":
    main()
