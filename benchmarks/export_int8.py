"""Measures INT8 of `export onnx`: the loss of quality and the gain in time, against fp32.

    python benchmarks/export_int8.py --eval FOLDER [--weights FILE …]

FOLDER has Set5 and Set14 in it. Measures the shipped `fidelity` ×2 sets (two minutes) and each FILE of
trained ×2 weights: the HR head's s takes five minutes, Photo nine. Writes
benchmarks/results/export_int8.json.

Both files are written by `export_onnx`. PSNR of luma (BT.601), 2 pixels of border left out, bicubic ×2 by
Pillow, whole pictures. Times are CPU times of one thread, medians of pairs of runs on a picture of 480×360,
or of 96×96 for networks of more than LARGE multiplications per pixel. `fp16` is the file of `--precision
fp16`: what 16 bits would do to the time of the layers that INT8 leaves alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
from common import machine, write_results
from PIL import Image

from paragon_stream.checkpoint import load_weights
from paragon_stream.checkpoint.inspection import macs_per_pixel
from paragon_stream.framejob.onnx.network import INPUT, OUTPUT
from paragon_stream.framejob.onnx.quantise import convolutions
from paragon_stream.onnx_export import PRECISIONS, export_onnx
from paragon_stream.runtimes.onnxruntime import run_model

LUMA = np.array([65.481, 128.553, 24.966])[:, None, None]
ROUNDS = 5
LARGE = 500_000


def quality(model: onnx.ModelProto, folder: Path) -> float:
    """Mean PSNR of luma over the pictures in `folder`."""
    found = []
    for path in sorted(folder.rglob("*.png")):
        large = Image.open(path).convert("RGB")
        width, height = large.width // 2 * 2, large.height // 2 * 2
        large = large.crop((0, 0, width, height))
        small = large.resize((width // 2, height // 2), Image.Resampling.BICUBIC)
        given = np.asarray(small, np.float32).transpose(2, 0, 1)[None] / 255
        made = run_model(model, [{INPUT: given}], [OUTPUT])[0][0][0].clip(0, 1)
        error = (LUMA * (made - np.asarray(large, np.float32).transpose(2, 0, 1) / 255)).sum(0)
        found.append(10 * np.log10(255**2 / np.square(error[2:-2, 2:-2]).mean()))
    return float(np.mean(found))


def on_onnxruntime(model: onnx.ModelProto) -> Callable[[Any], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda given: session.run(None, {INPUT: given})


def on_openvino(model: onnx.ModelProto) -> Callable[[Any], object]:
    core = openvino.Core()
    config = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", config)
    return lambda given: compiled(given)


def milliseconds(models: dict[str, onnx.ModelProto], size: tuple[int, int]) -> dict[str, Any]:
    """For each runtime: the time of each model, and how many times as fast as fp32 it is."""
    picture = np.random.default_rng(0).random((1, 3, *size), np.float32)
    rows: dict[str, Any] = {}
    for name, engine in (("onnxruntime", on_onnxruntime), ("openvino", on_openvino)):
        runs = {precision: engine(model) for precision, model in models.items()}
        taken: dict[str, list[float]] = {precision: [] for precision in models}
        for _ in range(ROUNDS + 1):
            for precision, run in runs.items():
                begin = time.process_time()
                run(picture)
                taken[precision].append(time.process_time() - begin)
        rows[name] = {
            precision: {
                "ms": 1000 * median(each[1:]),
                "ratio": median(a / b for a, b in zip(taken["fp32"][1:], each[1:], strict=True)),
            }
            for precision, each in taken.items()
        }
    return rows


def measured(folder: Path, network: dict[str, Any]) -> dict[str, Any]:
    """The row of the network that these arguments of `export_onnx` choose."""
    models, seconds = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for precision in PRECISIONS:
            path = Path(scratch) / f"{precision}.onnx"
            begin = time.process_time()
            written = export_onnx(path, precision=precision, check=False, **network)
            seconds[precision] = time.process_time() - begin
            models[precision] = onnx.load(path)
    layers = len(convolutions(models["fp32"]))
    cost = macs_per_pixel(load_weights(**network).spec)
    size = (96, 96) if cost > LARGE else (360, 480)
    row: dict[str, Any] = {
        "network": written.network,
        "layers": layers,
        "int8_layers": layers - len(written.wide_layers),
        "calibration_cpu_seconds": seconds["int8"],
    }
    for name in ("Set5", "Set14"):
        row[name] = {each: quality(models[each], folder / name) for each in ("fp32", "int8")}
        row[name]["loss"] = row[name]["fp32"] - row[name]["int8"]
        print(written.network, name, row[name], flush=True)
    return {**row, "timed_on": size[::-1], "times": milliseconds(models, size)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="files of trained ×2 weights")
    options = parser.parse_args()
    networks = [{"weights": "fidelity", "variant": each, "scale": 2} for each in ("realtime", "stream")]
    networks += [{"weights": each, "scale": 2} for each in options.weights]
    head, rows = machine(), []
    for network in networks:
        rows.append(measured(options.eval, network))
        print(rows[-1], flush=True)
        write_results("export_int8", head, {"rows": rows})


if __name__ == "__main__":
    main()
