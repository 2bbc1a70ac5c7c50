"""Measures the video mode on real pictures: flicker where nothing moves, and PSNR.

    python benchmarks/temporal.py [CLIP …]     # default: examples/sample.mkv; writes results/temporal.json

Each clip is halved (area), encoded by x264 at CRF 23 and 28, and enlarged by the default weights of Realtime.
PSNR is of luma against the clip. Flicker is the mean difference of successive results, in codes of 255, where
the clip's own luma differs by at most 1.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import av
import numpy as np
from common import SAMPLE, machine, write_results

from paragon_stream import Upscaler

FRAMES = 48
MODES = ("off", "upstream", "adaptive")
CRFS = (23, 28)


def lumas(clip: Path) -> list[np.ndarray]:
    """The first frames' luma, of sides that are multiples of 4."""
    with av.open(str(clip)) as file:
        found = []
        for frame in file.decode(video=0):
            plane = frame.reformat(format="yuv420p").to_ndarray()[: frame.height]
            found.append(plane[: frame.height // 4 * 4, : frame.width // 4 * 4])
            if len(found) == FRAMES:
                break
    return found


def compressed(pictures: list[np.ndarray], crf: int) -> list[np.ndarray]:
    """The pictures, halved, through x264."""
    buffer = io.BytesIO()
    height, width = (side // 2 for side in pictures[0].shape)
    with av.open(buffer, "w", format="matroska") as file:
        stream = file.add_stream("libx264", rate=24, options={"crf": str(crf), "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            small = picture.reshape(height, 2, width, 2).mean((1, 3)).round().astype(np.uint8)
            chroma = np.full((height // 2, width), 128, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.vstack([small, chroma]), format="yuv420p")))
        file.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as file:
        return [frame.to_ndarray()[:height] for frame in file.decode(video=0)]


def measured(pictures: list[np.ndarray], small: list[np.ndarray], mode: str) -> dict[str, float]:
    height, width = small[0].shape
    chroma = [np.full((height // 2, width // 2), 128, np.uint8)] * 2
    errors, flickers, before = [], [], None
    with Upscaler(width=width, height=height, temporal=mode, precision="fp32", strength=0.5) as upscaler:
        for number, (large, plane) in enumerate(zip(pictures, small, strict=True)):
            made = upscaler((plane, *chroma))[0].astype(np.float64)
            errors.append(np.square(made - large).mean())
            if before is not None:
                still = np.abs(large.astype(int) - pictures[number - 1]) <= 1
                if still.mean() > 0.02:
                    flickers.append(np.abs(made - before)[still].mean())
            before = made
    psnr = float(10 * np.log10(255**2 / np.mean(errors)))
    return {"psnr": psnr, "flicker": float(np.mean(flickers)) if flickers else float("nan")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, default=[SAMPLE])
    head, rows = machine(), []
    for clip in parser.parse_args().clips:
        pictures = lumas(clip)
        for crf in CRFS:
            small = compressed(pictures, crf)
            row: dict[str, Any] = {"clip": clip.name, "crf": crf}
            row |= {mode: measured(pictures, small, mode) for mode in MODES}
            rows.append(row)
            print(row)
    write_results("temporal", head, {"clips": rows})


if __name__ == "__main__":
    main()
