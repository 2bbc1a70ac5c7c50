"""Graphs that spell out their types: fp16 bodies, samples as pairs of bytes, the guard. By ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from network_reference import random_spec, random_weights
from onnx import TensorProto

from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.onnx.emit import (
    GUARD_OUTPUT,
    GraphTypes,
    emit_onnx,
    graph_shapes,
    input_names,
    output_names,
)

FORMATS = ["yuv420p", "yuv420p10le", "gbrp16le", "p010le", "rgb48le"]


def make_job(name: str, variant: str = "realtime", scale: int = 2) -> FrameJob:
    source = FrameFormat.of(name, 34, 22)
    return build_job(random_weights(random_spec(variant, scale)), source)


def noise(job: FrameJob) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(3)
    pixels = job.source.pixel_format
    planes = allocate_planes(job.source)
    for plane in planes:
        plane[:] = rng.integers(0, pixels.peak, plane.shape, endpoint=True) << pixels.shift
    return planes


def run(model: onnx.ModelProto, job: FrameJob, types: GraphTypes) -> list[np.ndarray]:
    """Planes out, and after them whatever else the graph gives."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names, shapes = input_names(job.source), graph_shapes(job.source, types)
    kinds = {"tensor(uint8)": np.uint8, "tensor(uint16)": np.uint16}
    given = {
        name: plane.view(kinds[wanted.type]).reshape(shape)
        for name, plane, shape, wanted in zip(names, noise(job), shapes, session.get_inputs(), strict=True)
    }
    results = session.run([*output_names(job.target), *([GUARD_OUTPUT] if types.guard else [])], given)
    sample = np.uint8 if job.target.pixel_format.bytes_per_sample == 1 else np.uint16
    planes = [r.view(sample).reshape(s) for r, s in zip(results, job.target.plane_shapes, strict=False)]
    return [*planes, *results[len(planes) :]]


@pytest.mark.parametrize("name", FORMATS)
def test_pairs_of_bytes_are_the_same_memory(name: str) -> None:
    job, types = make_job(name), GraphTypes(bytes=True)
    model = emit_onnx(job, types=types)
    onnx.checker.check_model(model, full_check=True)
    kinds = {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)}
    assert kinds == {TensorProto.UINT8}
    for got, expected in zip(run(model, job, types), run(emit_onnx(job), job, GraphTypes()), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("variant", ["realtime", "stream"])
@pytest.mark.parametrize("name", FORMATS)
def test_half_bodies_keep_the_picture(name: str, variant: str) -> None:
    job, types = make_job(name, variant), GraphTypes(half=True)
    model = emit_onnx(job, types=types)
    onnx.checker.check_model(model, full_check=True)
    pixels = job.target.pixel_format
    for got, expected in zip(run(model, job, types), run(emit_onnx(job), job, GraphTypes()), strict=True):
        error = (got.astype(np.float64) - expected) / (pixels.peak << pixels.shift)
        assert 10 * np.log10(1 / max(np.mean(error**2), 1e-12)) > 55
        assert np.abs(error).max() < 2 / 255


@pytest.mark.parametrize(
    ("name", "scale"), [("yuv420p", 2), ("yuv420p10le", 3), ("rgb24", 4), ("yuv411p", 2)]
)
def test_filters_as_convolutions_give_the_same_samples(name: str, scale: int) -> None:
    """Up to the order of sums: a value half-way between two codes may be rounded either way."""
    job, types = make_job(name, scale=scale), GraphTypes(filters=True)
    plain, model = emit_onnx(job), emit_onnx(job, types=types)
    assert len(model.graph.node) < len(plain.graph.node) / 3
    for got, expected in zip(run(model, job, types), run(plain, job, GraphTypes()), strict=True):
        difference = np.abs(got.astype(int) - expected)
        assert difference.max() <= 1 and np.count_nonzero(difference) <= difference.size / 500


@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_only_the_body_is_half(variant: str) -> None:
    model = onnx.shape_inference.infer_shapes(
        emit_onnx(make_job("yuv420p", variant), types=GraphTypes(half=True)), strict_mode=True
    )
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*model.graph.value_info, *model.graph.output)}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions and all(kinds[node.output[0]] == TensorProto.FLOAT16 for node in convolutions)
    rounded = [node for node in model.graph.node if node.op_type == "Round"]
    clipped = [node for node in model.graph.node if node.input[0] in {node.output[0] for node in rounded}]
    assert len(clipped) == len(rounded) == 3
    assert all(kinds[node.output[0]] == TensorProto.FLOAT for node in (*rounded, *clipped))


@pytest.mark.parametrize("half", [False, True])
def test_the_guard_sees_a_single_nan_anywhere(half: bool) -> None:
    """One bad value in the map before conv_mid, at each offset from the samples that the guard reads."""
    job, types = make_job("yuv420p"), GraphTypes(guard=True, half=half)
    model = emit_onnx(job, types=types)
    assert np.isfinite(run(model, job, types)[-1]).all()
    at = next(n for n, node in enumerate(model.graph.node) if node.name.startswith("mid"))
    features, dtype = job.spec.features, np.float16 if half else np.float32
    for offset in range(16):
        spoilt = onnx.ModelProto()
        spoilt.CopyFrom(model)
        spot = np.zeros((1, features, *job.padded), dtype)
        spot[0, offset % features, 12 + offset // 4, 9 + offset % 4] = np.nan if offset % 2 else np.inf
        spoilt.graph.initializer.append(onnx.numpy_helper.from_array(spot, "spot"))
        before = spoilt.graph.node[at].input[0]
        spoilt.graph.node[at].input[0] = "spoilt"
        spoilt.graph.node.insert(at, onnx.helper.make_node("Add", [before, "spot"], ["spoilt"]))
        assert not np.isfinite(run(spoilt, job, types)[-1]).any(), offset
