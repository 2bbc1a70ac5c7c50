"""What INT8 would cost in quality: Q/DQ around the body's convolutions, run by ONNX Runtime, against fp32.

    python benchmarks/int8.py              # needs onnxruntime; a minute; writes benchmarks/results/int8.json

Int8 on both sides, symmetric; a scale for each output channel of weights, one for each activation, from the
ranges that every other frame has. Frames are the middle of those of examples/sample.mkv. CPU times are of one
thread, of this machine: one with VNNI gains more.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from common import machine, write_results  # noqa: E402
from onnxruntime import quantization  # noqa: E402

from paragon_stream.checkpoint import load_weights  # noqa: E402
from paragon_stream.framejob import FrameJob, allocate_planes, build_job  # noqa: E402
from paragon_stream.framejob.onnx.emit import (  # noqa: E402
    STRENGTH_INPUT,
    GraphTypes,
    emit_onnx,
    input_names,
    tensor_shapes,
)
from paragon_stream.media.prepare import SourceOptions, open_reader, prepare  # noqa: E402

FRAMES, STEP, WIDTH, HEIGHT = 8, 4, 192, 112
PARTS = {
    "last of each block": ("project",),
    "all of the body": ("expand", "depthwise", "near", "from_near", "far", "from_far", "gate", "project"),
}


def main() -> None:
    rows = [row for variant in ("realtime", "stream") for row in measured(variant)]
    print(write_results("int8", machine(), {"rows": rows}))


def measured(variant: str) -> Iterator[dict[str, Any]]:
    weights = load_weights(None, variant=variant, scale=2)
    job = build_job(weights, prepare(REPOSITORY / "examples" / "sample.mkv", SourceOptions()).video.format)
    job = job.resized(WIDTH, HEIGHT)
    feeds = [fed(job, planes) for planes in pictures(job)]
    graph = emit_onnx(job, types=GraphTypes(filters=True))
    with tempfile.TemporaryDirectory() as folder:
        plain, quantised = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(graph, plain)
        expected, reference = results(plain, feeds)
        for part, labels in PARTS.items():
            nodes = [
                node.name
                for node in graph.graph.node
                if node.op_type == "Conv" and node.name.rpartition("_")[0] in labels
            ]
            quantization.quantize_static(
                plain,
                quantised,
                Ranges(feeds[::2]),
                op_types_to_quantize=["Conv"],
                nodes_to_quantize=nodes,
                per_channel=True,
                activation_type=quantization.QuantType.QInt8,
                weight_type=quantization.QuantType.QInt8,
                extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
            )
            got, milliseconds = results(quantised, feeds)
            error = np.array([a[0].astype(float) - b[0] for a, b in zip(got, expected, strict=True)])
            row = {
                "variant": variant,
                "int8": part,
                "convolutions": len(nodes),
                "luma_psnr": float(10 * np.log10(255**2 / np.mean(error**2))),
                "most_codes": int(np.abs(error).max()),
                "cpu_ms": milliseconds,
                "cpu_ms_fp32": reference,
            }
            print(row, flush=True)
            yield row


def pictures(job: FrameJob) -> Iterator[tuple[np.ndarray, ...]]:
    info = prepare(REPOSITORY / "examples" / "sample.mkv", SourceOptions())
    whole = allocate_planes(info.video.format)
    height, width = info.video.format.height, info.video.format.width
    top, left = (height - HEIGHT) // 4 * 2, (width - WIDTH) // 4 * 2
    with open_reader(info) as reader:
        for number in range(FRAMES * STEP):
            if reader.read_into(whole) is None:
                return
            if number % STEP == 0:
                parts = ((plane, 1 if index == 0 else 2) for index, plane in enumerate(whole))
                yield tuple(
                    plane[top // n : (top + HEIGHT) // n, left // n : (left + WIDTH) // n].copy()
                    for plane, n in parts
                )


def fed(job: FrameJob, planes: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    shapes = tensor_shapes(job.source)
    named = zip(input_names(job.source), planes, shapes, strict=True)
    feed = {name: plane.reshape(shape) for name, plane, shape in named}
    return feed | ({STRENGTH_INPUT: np.array([0.4], np.float32)} if job.spec.conditioned else {})


class Ranges(quantization.CalibrationDataReader):
    def __init__(self, feeds: list[dict[str, np.ndarray]]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def results(path: Path, feeds: list[dict[str, np.ndarray]]) -> tuple[list[list[np.ndarray]], float]:
    """What the graph makes of each frame, and milliseconds of CPU time for one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    made = [session.run(None, feed) for feed in feeds]
    begin = time.process_time()
    for feed in feeds:
        session.run(None, feed)
    return made, 1000 * (time.process_time() - begin) / len(feeds)


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)
    main()
