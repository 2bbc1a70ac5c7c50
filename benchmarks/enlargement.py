"""Compares enlargements of compressed video by three and four: sets of this scale, or `video` ×2, resampled.

    scripts/python benchmarks/enlargement.py --eval FOLDER [--variants realtime,stream] [--scales 3,4]

Pictures are shrunk by MATLAB's bicubic, encoded as single H.264 frames, and enlarged by renders into FFV1.
Compared is PSNR of luma, with a border of four times the scale left out. Results go to
`benchmarks/results/enlargement.json`, beside those of other variants and scales; `checkpoint/shipped.py`
takes its default from them.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import av
import numpy as np
from common import RESULTS, machine, write_results
from numpy.typing import NDArray
from PIL import Image

from paragon_stream import upscale
from paragon_stream.checkpoint import list_shipped
from paragon_stream.train.data.images import SUFFIXES
from paragon_stream.train.data.resample import enlarge, shrink

LEVELS = {"nearly lossless": {"qp": "1"}, **{f"CRF {crf}": {"crf": str(crf)} for crf in (18, 23, 28, 32)}}

type Floats = NDArray[np.float64]


def luma(frame: av.VideoFrame) -> Floats:
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    return rows[:, : frame.width].astype(np.float64)


def as_frame(rgb: NDArray[np.uint8]) -> av.VideoFrame:
    whole = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    return whole.reformat(format="yuv420p", dst_colorspace="itu601")


def first_frame(path: Path) -> Floats:
    with av.open(str(path)) as container:
        return luma(next(container.decode(video=0)))


def encode(frame: av.VideoFrame, path: Path, options: dict[str, str]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def measure(
    picture: NDArray[np.uint8], variant: str, scale: int, folder: Path
) -> dict[str, dict[str, float]]:
    """PSNR of each contender at each level, dB."""
    grain = 4 * scale
    height, width = (size // grain * grain for size in picture.shape[:2])
    whole = picture[:height, :width]
    planes = [shrink(whole[..., c].astype(np.float32), scale, "bicubic", (0.0, 0.0)) for c in range(3)]
    small = np.clip(np.rint(np.stack(planes, -1)), 0, 255).astype(np.uint8)
    truth = luma(as_frame(whole))
    own = [each.name for each in list_shipped() if (each.variant, each.scale) == (variant, scale)]
    contenders: dict[str, dict[str, Any]] = {
        **{f"{name} ×{scale}": {"scale": scale, "weights": name} for name in own},
        "fidelity ×2, resampled": {"to": str(scale), "scale": 2, "weights": "fidelity"},
        "video ×2, resampled": {"to": str(scale), "scale": 2, "weights": "video"},
    }
    came, made = folder / "small.mkv", folder / "large.mkv"
    found: dict[str, dict[str, float]] = {}
    for level, options in LEVELS.items():
        encode(as_frame(small), came, options)
        results = {"Lanczos": enlarge(first_frame(came).astype(np.float32), scale, "lanczos", (0.0, 0.0))}
        for name, choice in contenders.items():
            upscale(came, made, overwrite=True, variant=variant, codec="ffv1", **choice)
            results[name] = first_frame(made)
        inner = slice(grain, -grain), slice(grain, -grain)
        found[level] = {
            name: float(10 * np.log10(255**2 / np.mean((np.clip(each, 0, 255) - truth)[inner] ** 2)))
            for name, each in results.items()
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--eval", type=Path, required=True, help="pictures, searched below this folder")
    parser.add_argument("--variants", default="realtime,stream")
    parser.add_argument("--scales", default="3,4")
    options = parser.parse_args()
    logging.getLogger("paragon_stream").setLevel(logging.ERROR)  # that the rest is resampled is meant here
    head = machine()
    files = sorted(p for p in options.eval.rglob("*") if p.suffix.lower() in SUFFIXES)
    pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    measured = sorted(product(options.variants.split(","), map(int, options.scales.split(","))))
    earlier = json.loads((RESULTS / "enlargement.json").read_text(encoding="utf-8"))["rows"]
    rows = [row for row in earlier if (row["variant"], row["scale"]) not in measured]
    with tempfile.TemporaryDirectory() as folder:
        for variant, scale in measured:
            scores = [measure(each, variant, scale, Path(folder)) for each in pictures]
            for level in LEVELS:
                means = {
                    name: round(mean(score[level][name] for score in scores), 2) for name in scores[0][level]
                }
                rows.append({"variant": variant, "scale": scale, "level": level, "psnr_y": means})
                print(variant, scale, level, means, flush=True)
    print(write_results("enlargement", head, {"pictures": len(pictures), "rows": rows}))


if __name__ == "__main__":
    main()
