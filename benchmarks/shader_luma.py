"""Measures the loss of a luma shader: PSNR-Y of the network with colours against the network with grey only.

    scripts/python benchmarks/shader_luma.py [--clip FILE]… [--frames 8]

Clips as in `benchmarks/strength.py`: a window, shrunk ×2, encoded, read back. Realtime ×2, three ways: the
frame job on Y, U and V at the strength that `auto` finds for every frame (what the filter does); the frame
job on Y alone at the same strengths; and on Y alone at the one strength, of those that the files in filters/
have, that is nearest to their mean. The text of a shader computes what the frame job on Y does:
tests/framejob/glsl/test_shader_placebo.py. Writes `benchmarks/results/shader_luma.json`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from common import SAMPLE, machine, write_results
from strength import BORDER, LEVELS, SUFFIXES, encode, read, window

from paragon_stream.train.data.clips import Clip, read_clip, shrunk
from paragon_stream.upscaler import Upscaler

CODECS = {"clean": ("lossless",), "H.264": ("CRF 18", "CRF 23", "CRF 28"), "HEVC": ("CRF 23",)}
READY_MADE = (0.0, 0.4, 0.6, 0.8)


def measure(clip: Clip, path: Path, colours: Upscaler, luma: Upscaler) -> dict[str, Any]:
    """dB of the three ways, for a clip that lies encoded at `path`."""
    frames = list(read(path))
    mean = float(np.mean([strength for _, strength in frames]))
    nearest = min(READY_MADE, key=lambda each: abs(each - mean))
    sums = dict.fromkeys(("colours", "luma", "ready_made"), 0.0)
    for (planes, strength), truth in zip(frames, clip.frames, strict=True):
        results = {
            "colours": colours(planes, strength=strength),
            "luma": luma(planes[:1], strength=strength),
            "ready_made": luma(planes[:1], strength=nearest),
        }
        for name, result in results.items():
            difference = result[0].astype(float) - truth[0]
            sums[name] += float(np.mean(difference[BORDER:-BORDER, BORDER:-BORDER] ** 2))
    psnr = {name: round(float(10 * np.log10(255**2 * len(frames) / each)), 3) for name, each in sums.items()}
    return {"clip": clip.name, "strength": round(mean, 3), "ready_made": nearest, "psnr_y": psnr}


def summary(rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    """By weights, codec and level: dB over the full-colour network, clips averaged."""
    table: dict[str, Any] = {}
    for key in dict.fromkeys((row["weights"], row["codec"], row["level"]) for row in rows):
        own = [row["psnr_y"] for row in rows if (row["weights"], row["codec"], row["level"]) == key]
        means = {name: float(np.mean([each[name] for each in own])) for name in own[0]}
        table[" ".join(key)] = {
            "colours": round(means["colours"], 3),
            "luma_over_colours": round(means["luma"] - means["colours"], 3),
            "ready_made_over_colours": round(means["ready_made"] - means["colours"], 3),
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, action="append")
    parser.add_argument("--frames", type=int, default=8)
    options = parser.parse_args()
    head = machine()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for source in options.clip or [SAMPLE]:
            clip = window(read_clip(source, frames=options.frames, scale=2), 640, 360, 2)
            high, wide = (side // 2 for side in clip.frames[0][0].shape)
            for weights in ("video", "fidelity"):
                facts: dict[str, Any] = {
                    "width": wide, "height": high, "color": clip.color, "weights": weights,
                    "precision": "fp32", "engine": "openvino",
                }  # fmt: skip
                with (
                    Upscaler(**facts, pixel_format="yuv420p") as colours,
                    Upscaler(**facts, pixel_format="gray") as luma,
                ):
                    for codec, levels in CODECS.items():
                        for level in levels:
                            encoding = LEVELS[codec][level]
                            path = Path(folder) / f"clip{SUFFIXES.get(encoding.encoder, '.mkv')}"
                            encode(shrunk(clip, 2), encoding, path)
                            row = measure(clip, path, colours, luma)
                            rows.append({"weights": weights, "codec": codec, "level": level, **row})
                            print(rows[-1])
    table = summary(rows)
    for name, row in table.items():
        print(f"{name:28}{row}")
    print(write_results("shader_luma", head, {"summary": table, "rows": rows}))


if __name__ == "__main__":
    main()
