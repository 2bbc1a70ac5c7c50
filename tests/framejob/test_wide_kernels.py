"""Wide depthwise kernels, which oneDNN never finishes preparing in bf16: these tests did not end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")

from trained_looking import trained_looking  # noqa: E402

from paragon_stream.checkpoint.published import published_network  # noqa: E402
from paragon_stream.frame import ColorRange, ColorSpec, FrameFormat, Matrix, pixel_format  # noqa: E402
from paragon_stream.framejob import allocate_planes, build_job  # noqa: E402
from paragon_stream.framejob.job import FrameJob  # noqa: E402
from paragon_stream.framejob.onnx.emit import emit_onnx  # noqa: E402
from paragon_stream.framejob.onnx.wide_kernels import MOST_COLUMNS, split_wide_kernels  # noqa: E402
from paragon_stream.models.primitives import Inception  # noqa: E402
from paragon_stream.runtimes import Precision, SessionOptions  # noqa: E402


def job_of(generation: str, variant: str, **changes: Any) -> FrameJob:
    spec = published_network(generation, variant, 2, alpha=0.4, attention_mode=changes.pop("mode", "sdpa"))
    color = ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL)
    source = FrameFormat(width=21, height=18, pixel_format=pixel_format("rgb24"), color=color)
    return build_job(trained_looking(replace(spec, **changes)), source)


def columns(model: onnx.ModelProto) -> list[int]:
    shapes = {each.name: each.dims for each in model.graph.initializer}
    return [shapes[node.input[1]][3] for node in model.graph.node if node.op_type == "Conv"]


@pytest.mark.parametrize(("generation", "variant"), [("p2v8", "stream"), ("p2v6", "pro"), ("p2v5", "xl")])
def test_halves_compute_the_same(generation: str, variant: str) -> None:
    small = {"groups": 1, "blocks": 1} | ({"features": 16, "hidden": 32} if variant != "stream" else {})
    job = job_of(generation, variant, mode="none", **small)
    model = emit_onnx(job)
    codes = np.random.default_rng(1).integers(0, 256, (1, 18, 21, 3)).astype(np.uint8)
    before, after = [], []
    for results, graph in ((before, model), (after, split_wide_kernels(emit_onnx(job)))):
        session = ort.InferenceSession(graph.SerializeToString())
        results.extend(session.run(None, {session.get_inputs()[0].name: codes}))
    assert np.abs(before[0].astype(int) - after[0]).max() <= 1  # another order of sums
    assert float(before[0].std()) > 5
    assert max(columns(model)) > MOST_COLUMNS
    assert max(columns(split_wide_kernels(model))) <= MOST_COLUMNS


@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.FP32])
def test_openvino_computes_a_wide_band(precision: Precision) -> None:
    runtime = pytest.importorskip("paragon_stream.runtimes.openvino").RUNTIME
    job = job_of("p2v8", "stream", groups=1, blocks=1)
    inputs, outputs = allocate_planes(job.source), allocate_planes(job.target)
    inputs[0][...] = np.random.default_rng(1).integers(0, 256, inputs[0].shape)
    session = runtime.compile(job, SessionOptions(precision=precision))
    session.run(inputs, outputs).wait()
    session.close()
    assert float(outputs[0].std()) > 5


def test_torch_trains_a_wide_band_in_bf16() -> None:
    torch.manual_seed(0)
    net, x = Inception(16, 17), torch.randn(1, 16, 12, 14)
    exact = net(x).detach()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = net(x)
        mixed.float().square().mean().backward()
    assert float((mixed.detach() - exact).abs().max()) < 0.05
    assert net.dwconv_w.weight.grad.isfinite().all()
    narrow = net.bfloat16()(x.bfloat16())
    assert narrow.dtype is torch.bfloat16
    assert float((narrow.detach() - exact).abs().max()) < 0.05
