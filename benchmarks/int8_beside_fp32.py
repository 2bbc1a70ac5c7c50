"""INT8 of `export onnx` beside fp32 of the same network, for networks without shipped weights.

    python benchmarks/int8_beside_fp32.py --eval FOLDER [--weights FILE …] [--photo]

FOLDER has Set5 and Set14; `--weights` names files such as the published Nano. Without Photo it takes minutes,
with it half an hour. Writes benchmarks/results/int8_beside_fp32.json. Photo and the HR head's s have random
weights with gains like trained ones, which say little about trained ones.

Inputs are the middles (96×96) of the halved pictures. The figure is PSNR of luma between both results, the
mean over a set. What it costs follows: noise of P dB takes 10·log10(1 + 10^((Q - P)/10)) dB from a result of
Q dB, here 36.8 (Set5) and 32.6 (Set14). `half` is the file with `--precision fp16` on the same runtimes: what
16 bits would do to the time of the layers that INT8 leaves alone. Times are CPU time of one thread on one of
the inputs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from common import machine, write_results  # noqa: E402
from export_int8 import LUMA, on_onnxruntime, on_openvino  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402
from trained_looking import trained_looking  # noqa: E402

from paragon_stream.checkpoint import Weights, load_weights  # noqa: E402
from paragon_stream.checkpoint.published import published_network  # noqa: E402
from paragon_stream.framejob.onnx.network import INPUT, OUTPUT, emit_network  # noqa: E402
from paragon_stream.framejob.onnx.quantise import convolutions, quantised  # noqa: E402
from paragon_stream.runtimes.int8.calibration import calibrate, drawn_pictures  # noqa: E402
from paragon_stream.runtimes.onnxruntime import run_model  # noqa: E402

SIDE = 96
RESULTS = {"Set5": 36.8, "Set14": 32.6}
"""PSNR-Y of Realtime, which the loss is computed for."""


def random_weights(generation: str, variant: str) -> Weights:
    return trained_looking(published_network(generation, variant, 2, alpha=0.4), scales=(0.1, 0.5))


def middles(folder: Path) -> list[NDArray[np.float32]]:
    found = []
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as picture:
            small = picture.convert("RGB").reduce(2)
        left, top = ((side - SIDE) // 2 for side in small.size)
        part = small.crop((left, top, left + SIDE, top + SIDE))
        found.append(np.asarray(part, np.float32).transpose(2, 0, 1)[None] / 255)
    return found


def decibels(a: NDArray[Any], b: NDArray[Any]) -> float:
    error = (LUMA * (a.clip(0, 1) - b.clip(0, 1))).sum(-3)
    return float(10 * np.log10(255**2 / np.square(error).mean()))


def milliseconds(models: dict[str, onnx.ModelProto], picture: NDArray[np.float32]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for engine, loaded in (("onnxruntime", on_onnxruntime), ("openvino", on_openvino)):
        runs = {name: loaded(model) for name, model in models.items()}
        taken: dict[str, list[float]] = {name: [] for name in models}
        for _ in range(4):
            for name, run in runs.items():
                begin = time.process_time()
                run(picture)
                taken[name].append(time.process_time() - begin)
        rows[engine] = {name: 1000 * median(each[1:]) for name, each in taken.items()}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs="*", default=[])
    parser.add_argument("--photo", action="store_true")
    options = parser.parse_args()
    head, rows = machine(), []
    chosen = [load_weights(path, scale=2) for path in options.weights]
    chosen.append(random_weights("p2r3", "s"))
    if options.photo:
        chosen.append(random_weights("p2head", "photo"))
    for weights in chosen:
        model = emit_network(weights, size=(SIDE, SIDE))
        feeds = [{INPUT: each[None]} for each in drawn_pictures(count=2)]
        found = calibrate(model, feeds, [OUTPUT], run_model, peak=1.0)
        small = quantised(model, found, found.chosen)
        row: dict[str, Any] = {
            "network": str(weights.spec),
            "weights": weights.name,
            "int8_layers": len(found.chosen),
            "layers": len(convolutions(model)),
        }
        for name, quality in RESULTS.items():
            pictures = middles(options.eval / name)
            results = [
                run_model(each, [{INPUT: picture} for picture in pictures], [OUTPUT])
                for each in (model, small)
            ]
            beside = float(np.mean([decibels(a[0], b[0]) for a, b in zip(*results, strict=True)]))
            loss = 10 * np.log10(1 + 10 ** ((quality - beside) / 10))
            row[name] = {"beside_fp32": beside, "loss": float(loss)}
        half = emit_network(weights, size=(SIDE, SIDE), half=True)
        row["ms"] = milliseconds({"fp32": model, "int8": small, "half": half}, pictures[0])
        rows.append(row)
        print(row, flush=True)
        write_results("int8_beside_fp32", head, {"rows": rows})


if __name__ == "__main__":
    main()
