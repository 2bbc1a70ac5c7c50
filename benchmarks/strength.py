"""Does `--strength auto` earn its place? PSNR-Y of auto against every fixed strength, by codec and quality.

    scripts/python benchmarks/strength.py --weights video --clip FILE [--clip FILE]… [--frames 10]

Clips (4:2:0; by default the sample of `examples/`) are cut to a window in their middle, shrunk by the
network's scale and encoded into files, which are read as a render reads them: planes, and the strength that
auto finds for every frame. Each is upscaled at that strength and at 0, 0.1 … 1. Luma errors are pooled over a
clip's frames (8 samples of border left out), decibels averaged over clips. The best fixed strength is chosen
afterwards, by the result: auto cannot know it. Bicubic enlarges the same frames, and the clip on which auto
gains least over it is named. `--auto-only` leaves out the fixed strengths, which take most of the time.
Writes `benchmarks/results/strength.json`, or --output's name.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from common import SAMPLE, machine, write_results
from numpy.typing import NDArray

from paragon_stream.checkpoint import load_weights
from paragon_stream.framejob import allocate_planes
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.ffmpeg.planes import copy_to_frame
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.measure.roundtrip import QUIET_X265, Encoding
from paragon_stream.train.data.clips import Clip, read_clip, shrunk
from paragon_stream.train.data.planes import Planes
from paragon_stream.train.data.resample import enlarge
from paragon_stream.upscaler import Upscaler

GRID = tuple(round(0.1 * step, 1) for step in range(11))
BORDER = 8
BAR = 0.05
"""dB that auto may lose against the best fixed strength, per codec and level."""
SUFFIXES = {"libvpx-vp9": ".webm", "mpeg2video": ".ts"}

type Luma = NDArray[np.float64]


def _x264(crf: int, pixel_format: str = "yuv420p") -> Encoding:
    options = {"crf": str(crf), "preset": "medium"}
    return Encoding(encoder="libx264", options=options, pixel_format=pixel_format)


def _x265(crf: int) -> Encoding:
    options = {"crf": str(crf), "preset": "medium", "x265-params": QUIET_X265}
    return Encoding(encoder="libx265", options=options)


def _mpeg2(quantiser: int) -> Encoding:
    options = {"qmin": str(quantiser), "qmax": str(quantiser), "b": "1000000", "bf": "2"}
    return Encoding(encoder="mpeg2video", options=options)


def _vp9(crf: int) -> Encoding:
    options = {"crf": str(crf), "b": "0", "deadline": "good", "cpu-used": "4"}
    return Encoding(encoder="libvpx-vp9", options=options)


def _av1(crf: int) -> Encoding:
    options = {"crf": str(crf), "preset": "8", "svtav1-params": "lp=1"}
    return Encoding(encoder="libsvtav1", options=options)


LEVELS: Mapping[str, Mapping[str, Encoding]] = {
    "clean": {"lossless": Encoding(encoder="ffv1")},
    "H.264": {f"CRF {crf}": _x264(crf) for crf in (18, 23, 28)},
    "H.264 10 bits": {f"CRF {crf}": _x264(crf, "yuv420p10le") for crf in (18, 23, 28)},
    "HEVC": {f"CRF {crf}": _x265(crf) for crf in (18, 23, 28)},
    "MPEG-2": {f"q {quantiser}": _mpeg2(quantiser) for quantiser in (2, 4, 8)},
    "VP9": {f"CRF {crf}": _vp9(crf) for crf in (20, 32, 44)},
    "AV1": {f"CRF {crf}": _av1(crf) for crf in (20, 32, 44)},
}


def window(clip: Clip, width: int, height: int, scale: int) -> Clip:
    """The middle of a clip, at most `width` × `height`, in multiples of 2 · `scale`."""
    high, wide = clip.frames[0][0].shape
    grain = 2 * scale
    width, height = (min(a, b) // grain * grain for a, b in ((width, wide), (height, high)))
    top, left = (high - height) // 4 * 2, (wide - width) // 4 * 2

    def cut(planes: Planes) -> Planes:
        y, u, v = planes
        chroma = np.s_[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2]
        luma = y[top : top + height, left : left + width]
        return tuple(np.ascontiguousarray(p) for p in (luma, u[chroma], v[chroma]))  # type: ignore[return-value]

    return Clip(name=clip.name, frames=tuple(cut(planes) for planes in clip.frames), color=clip.color)


def encode(frames: Sequence[Planes], encoding: Encoding, path: Path) -> None:
    """A video file of 8-bit planes, widened where the encoding is deeper."""
    height, width = frames[0][0].shape
    gain = 4 if "10" in encoding.pixel_format else 1
    with av.open(str(path), "w") as out:
        stream = out.add_stream(encoding.encoder, rate=24, options=dict(encoding.options))
        stream.width, stream.height, stream.pix_fmt = width, height, encoding.pixel_format
        stream.codec_context.thread_count = 1
        for number, planes in enumerate(frames):
            frame = av.VideoFrame(width, height, encoding.pixel_format)
            copy_to_frame([p.astype(np.uint16) * gain if gain > 1 else p for p in planes], frame)
            frame.pts, frame.time_base = number, Fraction(1, 24)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def read(path: Path) -> Iterator[tuple[tuple[NDArray[Any], ...], float]]:
    """Planes and strength of every frame, as a render gets them."""
    info = probe(path)
    with VideoReader(info, strengths=True) as reader:
        while True:
            planes = allocate_planes(info.video.format)
            timing = reader.read_into(planes)  # type: ignore[arg-type]  # never float
            if timing is None:
                return
            yield planes, reader.strength(timing)


def measure(
    clip: Clip, encoding: Encoding, upscaler: Upscaler, folder: Path, grid: Sequence[float] = GRID
) -> dict[str, Any]:
    """dB of bicubic, of auto and of every fixed strength, for one clip encoded once."""
    path = folder / f"clip{SUFFIXES.get(encoding.encoder, '.mkv')}"
    scale = upscaler.weights.spec.scale
    encode(shrunk(clip, scale), encoding, path)
    unit = 4.0 if "10" in encoding.pixel_format else 1.0
    sums, strengths = dict.fromkeys(("bicubic", "auto", *map(str, grid)), 0.0), []
    for (planes, strength), truth in zip(read(path), clip.frames, strict=True):
        strengths.append(strength)
        for name in sums:
            if name == "bicubic":
                made = np.clip(np.rint(enlarge(planes[0].astype(np.float32), scale)), 0, 255 * unit)
            else:
                made = upscaler(planes, strength=strength if name == "auto" else float(name))[0]
            difference: Luma = made / unit - truth[0]
            sums[name] += float(np.mean(difference[BORDER:-BORDER, BORDER:-BORDER] ** 2))
    psnr = {
        name: round(float(10 * np.log10(255**2 / (total / len(strengths)))), 4)
        for name, total in sums.items()
    }
    return {"clip": clip.name, "strength": round(float(np.mean(strengths)), 3), "psnr_y": psnr}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By codec and level: auto, what it gains over bicubic (on the worst clip, too), and what it lacks beside
    the best fixed strength; and the best single constant."""
    table: dict[str, Any] = {}
    fixed = [name for name in rows[0]["psnr_y"] if name not in ("bicubic", "auto")]
    for codec, level in dict.fromkeys((row["codec"], row["level"]) for row in rows):
        own = [row for row in rows if (row["codec"], row["level"]) == (codec, level)]
        means = {name: float(np.mean([row["psnr_y"][name] for row in own])) for name in own[0]["psnr_y"]}
        gains = {row["clip"]: row["psnr_y"]["auto"] - row["psnr_y"]["bicubic"] for row in own}
        worst = min(gains, key=gains.__getitem__)
        table[f"{codec} {level}"] = entry = {
            "strength": round(float(np.mean([row["strength"] for row in own])), 3),
            "auto": round(means["auto"], 3),
            "over_bicubic": round(means["auto"] - means["bicubic"], 3),
            "worst": {worst: round(gains[worst], 3)},
        }
        if fixed:
            best = max(fixed, key=means.__getitem__)
            entry |= {
                "best_fixed": float(best),
                "best": round(means[best], 3),
                "short_by": round(means[best] - means["auto"], 3),
            }
    if not fixed:
        return {"levels": table}
    lossy = [row["psnr_y"] for row in rows if row["codec"] != "clean"]
    overall = {name: float(np.mean([row[name] for row in lossy])) for name in lossy[0]}
    constant = max(fixed, key=overall.__getitem__)
    return {
        "levels": table,
        "within_the_bar": all(row["short_by"] <= BAR for row in table.values()),
        "best_constant_on_lossy": float(constant),
        "auto_over_that_constant": round(overall["auto"] - overall[constant], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="video", help="conditioned weights: a set's name or a file")
    parser.add_argument("--variant")
    parser.add_argument("--scale", type=int)
    parser.add_argument("--clip", type=Path, action="append")
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first frame of each clip")
    parser.add_argument("--size", default="640x360", help="the window's, before it is shrunk")
    parser.add_argument("--auto-only", action="store_true", help="measure no fixed strengths")
    parser.add_argument("--output", default="strength", help="name of the result file")
    options = parser.parse_args()
    head = machine()
    weights = load_weights(options.weights, variant=options.variant, scale=options.scale)
    scale = weights.spec.scale
    width, height = (int(side) for side in options.size.split("x"))
    grid = () if options.auto_only else GRID
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for path in options.clip or [SAMPLE]:
            clip = read_clip(path, frames=options.frames, scale=scale, first=options.first)
            clip = window(clip, width, height, scale)
            high, wide = (side // scale for side in clip.frames[0][0].shape)
            for pixels in ("yuv420p", "yuv420p10le"):
                with Upscaler(
                    width=wide,
                    height=high,
                    pixel_format=pixels,
                    color=clip.color,
                    weights=weights.path,
                    precision="fp32",
                ) as upscaler:
                    for codec, levels in LEVELS.items():
                        for level, encoding in levels.items():
                            if encoding.pixel_format == pixels:
                                row = measure(clip, encoding, upscaler, Path(folder), grid)
                                rows.append({"codec": codec, "level": level, **row})
            print(f"{clip.name} {wide}x{high}", flush=True)
    found = summary(rows)
    for name, row in found["levels"].items():
        print(f"{name:24} {row}")
    print({name: value for name, value in found.items() if name != "levels"})
    used = {"name": weights.name, "sha256": weights.sha256}
    settings = {"weights": used, "frames": options.frames, "size": options.size}
    print(write_results(options.output, head, {**settings, **found, "rows": rows}))


if __name__ == "__main__":
    main()
