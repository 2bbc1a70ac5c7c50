"""What INT8 of `export onnx` costs in quality and gains in time, against fp32.

    python benchmarks/export_int8.py --eval FOLDER    # with Set5 and Set14 in it; a minute

Writes benchmarks/results/export_int8.json. PSNR of luma (BT.601), 2 pixels of border left out, bicubic ×2 by
Pillow. CPU times are of one thread, medians of pairs of runs on a picture of 480×360.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
import openvino  # noqa: E402
from common import machine, write_results  # noqa: E402
from PIL import Image  # noqa: E402

from paragon_stream.checkpoint import load_weights  # noqa: E402
from paragon_stream.framejob.onnx.network import INPUT, OUTPUT, emit_network  # noqa: E402
from paragon_stream.framejob.onnx.quantise import convolutions, quantised  # noqa: E402
from paragon_stream.runtimes.int8.calibration import calibrate, drawn_pictures  # noqa: E402
from paragon_stream.runtimes.onnxruntime import run_model  # noqa: E402

LUMA = np.array([65.481, 128.553, 24.966])[:, None, None]
ROUNDS = 7


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True)
    folder = parser.parse_args().eval
    head, results = machine(), dict[str, dict[str, Any]](networks={})
    picture = np.random.default_rng(0).random((1, 3, 360, 480), np.float32)
    for variant in ("realtime", "stream"):
        model = emit_network(load_weights("fidelity", variant=variant, scale=2))
        feeds = [{INPUT: each[None]} for each in drawn_pictures()]
        begin = time.perf_counter()
        found = calibrate(model, feeds, [OUTPUT], run_model, peak=1.0)
        seconds = time.perf_counter() - begin
        small = quantised(model, found, found.chosen)
        row: dict[str, Any] = {
            "int8_layers": len(found.chosen),
            "layers": len(convolutions(model)),
            "calibration_seconds": seconds,
        }
        for name in ("Set5", "Set14"):
            row[name] = {
                "fp32": quality(model, folder / name),
                "int8": quality(small, folder / name),
            }
        for name, engine in (("onnxruntime", on_onnxruntime), ("openvino", on_openvino)):
            runs = [engine(model), engine(small)]
            times: list[list[float]] = [[], []]
            for _ in range(ROUNDS + 1):
                for run, taken in zip(runs, times, strict=True):
                    begin = time.process_time()
                    run(picture)
                    taken.append(time.process_time() - begin)
            row[name] = {
                "fp32_ms": 1000 * median(times[0][1:]),
                "int8_ms": 1000 * median(times[1][1:]),
                "ratio": median(a / b for a, b in zip(times[0][1:], times[1][1:], strict=True)),
            }
        results["networks"][variant] = row
        print(variant, row)
    write_results("export_int8", head, results)


if __name__ == "__main__":
    main()
