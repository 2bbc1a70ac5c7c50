"""Luma and chroma of weights beside plain filters, by the source's format and by how it was shrunk.

    scripts/python benchmarks/colours.py --eval FOLDER [--weights FILE]… [--side 192]

The middle of every picture of Set5 and Set14 (or other pictures below the folder) becomes each format by
the frame job's own matrices and chroma filters. Each plane is shrunk on its own grid, chroma where it is
sited, upscaled, and compared plane by plane with what it was. Bicubic and Lanczos enlarge planes likewise.
They are compared with the better of both on each picture, too: neither is the better one on all of them.
RGB is compared as Y, Cb and Cr. By default every shipped set of ×2 is measured. Results go to
`benchmarks/results/colours.json`, or to the name that --output gives.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, write_results
from numpy.typing import NDArray
from PIL import Image

from paragon_stream.checkpoint import list_shipped, load_weights
from paragon_stream.frame import ChromaLocation, ColorRange, ColorSpec, FrameFormat, Matrix, pixel_format
from paragon_stream.framejob.color import color_map
from paragon_stream.framejob.taps import chroma_down
from paragon_stream.train.data.images import SUFFIXES
from paragon_stream.train.data.planes import filter_axis
from paragon_stream.train.data.resample import enlarge, shrink, siting_shift
from paragon_stream.upscaler import Upscaler

FORMATS = ("yuv420p", "yuv422p", "yuv444p", "gbrp", "yuv420p10le", "yuv444p10le")
KERNELS = ("bicubic", "area", "lanczos")
FILTERS = ("bicubic", "lanczos")
BORDER = 8
LEAST = 1 / 12
"""Squared error of rounding: less counts as this, as in gray pictures, where filters make none in chroma."""

type Plane = NDArray[np.float32]


def spec(name: str) -> ColorSpec:
    if name == "gbrp":
        return ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL)
    return ColorSpec(matrix=Matrix.BT709, range=ColorRange.LIMITED, chroma_location=ChromaLocation.LEFT)


def planes_of(rgb: Plane, name: str) -> tuple[Plane, ...]:
    """H×W×3 RGB in [0, 1] as planes of code values, not rounded, in the format's canonical order."""
    kind = pixel_format(name)
    height, width = rgb.shape[:2]
    colors = color_map(FrameFormat(width=width, height=height, pixel_format=kind, color=spec(name)))
    codes = rgb @ colors.from_rgb.T.astype(np.float32) + colors.code_of_black.astype(np.float32)
    across, down = (1 << shift for shift in kind.subsampling)
    location = ChromaLocation.LEFT
    chroma = codes[..., 1:]
    chroma = filter_axis(chroma, chroma_down(down, location.vertical), 0)
    chroma = filter_axis(chroma, chroma_down(across, location.horizontal), 1)
    return codes[..., 0], chroma[..., 0], chroma[..., 1]


def rounded(planes: Sequence[Plane], name: str) -> tuple[NDArray[Any], ...]:
    kind = pixel_format(name)
    store = np.uint8 if kind.depth == 8 else np.uint16
    return tuple(np.clip(np.rint(plane), 0, kind.peak).astype(store) for plane in planes)


def errors(result: Sequence[NDArray[Any]], truth: Sequence[Plane], name: str) -> list[float]:
    """PSNR of Y, U and V (of RGB: Y, Cb and Cr) in dB."""
    kind = pixel_format(name)
    difference = [np.asarray(a, np.float64) - b for a, b in zip(result, truth, strict=True)]
    if name == "gbrp":  # canonical order: R, G, B
        red, green, blue = difference
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        difference = [luma, (blue - luma) / 1.772, (red - luma) / 1.402]
    height = difference[0].shape[0]
    found = []
    for plane in difference:
        border = BORDER * plane.shape[0] // height
        inner = plane[border:-border, border:-border]
        found.append(float(10 * np.log10(kind.peak**2 / max(float(np.mean(inner**2)), LEAST))))
    return found


def measure(
    weights: Sequence[Path], pictures: Sequence[Plane], side: int, scale: int
) -> list[dict[str, Any]]:
    rows = []
    for name in FORMATS:
        kind = pixel_format(name)
        across, down = (1 << shift for shift in kind.subsampling)
        siting = siting_shift(down, 0.5), siting_shift(across, 0.0)
        low = side // scale
        upscalers = {
            path.stem: Upscaler(
                width=low, height=low, pixel_format=name, color=spec(name), weights=path, precision="fp32"
            )
            for path in weights
        }
        for kernel in KERNELS:
            scores: dict[str, list[list[float]]] = {}
            for picture in pictures:
                truth = rounded(planes_of(picture, name), name)
                sitings = ((0.0, 0.0), siting, siting)
                small = rounded(
                    [
                        shrink(p.astype(np.float32), scale, kernel, at)
                        for p, at in zip(truth, sitings, strict=True)
                    ],
                    name,
                )
                order = kind.order  # arrays of gbrp lie as G, B, R
                given = tuple(small[component] for component in order)
                made: dict[str, Sequence[NDArray[Any]]] = {}
                for each, upscaler in upscalers.items():
                    result = dict(zip(order, upscaler(given), strict=True))
                    made[each] = [result[component] for component in range(3)]
                for each in FILTERS:
                    pairs = zip(small, sitings, strict=True)
                    made[each] = rounded(
                        [enlarge(p.astype(np.float32), scale, each, at) for p, at in pairs], name
                    )
                for each, planes in made.items():
                    scores.setdefault(each, []).append(errors(planes, truth, name))
            best = np.maximum(np.array(scores["bicubic"]), np.array(scores["lanczos"]))
            for each in (*upscalers, *FILTERS):
                gains = np.array(scores[each]) - best
                rows.append(
                    {
                        "weights": each,
                        "format": name,
                        "kernel": kernel,
                        "gain": gains.mean(0).round(3).tolist(),
                        "worst": gains.min(0).round(3).tolist(),
                        "psnr": np.array(scores[each]).mean(0).round(3).tolist(),
                    }
                )
                print(each, name, kernel, rows[-1]["gain"], "worst", rows[-1]["worst"], flush=True)
        for upscaler in upscalers.values():
            upscaler.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eval", type=Path, required=True, help="pictures, searched below this folder")
    parser.add_argument(
        "--weights", type=Path, action="append", help="files of ×2; default: the shipped sets"
    )
    parser.add_argument("--side", type=int, default=192, help="of the squares that are cut out")
    parser.add_argument("--output", default="colours", help="name of the result file")
    options = parser.parse_args()
    head = machine()
    files = sorted(p for p in options.eval.rglob("*") if p.suffix.lower() in SUFFIXES)
    pictures = []
    for file in files:
        picture = np.asarray(Image.open(file).convert("RGB"), np.float32) / np.float32(255)
        top, left = ((size - options.side) // 2 for size in picture.shape[:2])
        if min(top, left) >= 0:
            pictures.append(picture[top : top + options.side, left : left + options.side])
    weights = options.weights or [s.path for s in list_shipped() if s.scale == 2]
    digests = {path.name: load_weights(path).sha256 for path in weights}
    rows = measure(weights, pictures, options.side, 2)
    print(write_results(options.output, head, {"weights": digests, "pictures": len(pictures), "rows": rows}))


if __name__ == "__main__":
    main()
