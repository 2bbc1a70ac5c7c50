"""The emitted graph: valid, in the form that every runtime takes, and the same each time."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from network_reference import random_spec, random_weights
from onnx import TensorProto

from paragon_stream.errors import FormatError
from paragon_stream.frame import (
    ChromaLocation,
    ColorRange,
    ColorSpec,
    FrameFormat,
    Matrix,
    pixel_format,
)
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.onnx.emit import emit_onnx, input_names, output_names, tensor_shapes

CASES = [
    ("yuv420p", "realtime", 2, 8),
    ("yuv420p10le", "stream", 2, 16),
    ("rgb24", "realtime", 4, 16),
    ("nv12", "realtime", 3, 8),
]


def make_job(name: str, variant: str = "realtime", scale: int = 2, conditioned: bool = False) -> FrameJob:
    source = FrameFormat.of(name, 34, 21)
    return build_job(random_weights(random_spec(variant, scale, conditioned=conditioned)), source)


@pytest.mark.parametrize(("name", "variant", "scale", "lanes"), CASES)
def test_form(name: str, variant: str, scale: int, lanes: int) -> None:
    job = make_job(name, variant, scale)
    model = emit_onnx(job, lanes=lanes)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        assert all(d.dim_value > 0 for d in value.type.tensor_type.shape.dim), f"{value.name} is not static"
    planes = {*input_names(job.source), *output_names(job.target)}
    integers = (TensorProto.UINT8, TensorProto.UINT16)
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        assert (value.type.tensor_type.elem_type in integers) == (value.name in planes), value.name
    first, last = model.graph.input, model.graph.output
    assert [tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in first] == list(
        tensor_shapes(job.source)
    )
    assert [tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in last] == list(
        tensor_shapes(job.target)
    )
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    layers = 3 * 3 if variant == "realtime" else 6 * 9
    downs = sum(detail.down is not None for detail in job.tail(lanes).details)
    assert len(convolutions) == layers + 3 + downs  # none in the base path


def test_the_same_bytes_each_time() -> None:
    once, again = (emit_onnx(make_job("yuv420p")).SerializeToString(deterministic=True) for _ in range(2))
    assert once == again


@pytest.mark.parametrize(("name", "variant", "scale", "lanes"), CASES)
def test_lanes_change_the_graph_but_not_its_meaning(name: str, variant: str, scale: int, lanes: int) -> None:
    job = make_job(name, variant, scale, conditioned=True)
    rng = np.random.default_rng(0)
    inputs = allocate_planes(job.source)
    for plane in inputs:
        plane[:] = rng.integers(0, job.source.pixel_format.peak + 1, plane.shape)
    answers = []
    for each in (4, 8, 16):
        session = onnxruntime.InferenceSession(
            emit_onnx(job, lanes=each).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        shaped = (p.reshape(s) for p, s in zip(inputs, tensor_shapes(job.source), strict=True))
        feeds = dict(zip(input_names(job.source), shaped, strict=True))
        answers.append(session.run(None, feeds | {"strength": np.array([0.5], np.float32)}))
    for other in answers[1:]:
        for a, b in zip(answers[0], other, strict=True):
            difference = np.abs(np.asarray(a).astype(int) - b)
            assert difference.max() <= 1 and (difference > 0).mean() < 0.002


@pytest.mark.parametrize(
    ("name", "color", "says"),
    [
        ("yuv444p", ColorSpec(), "range .* not resolved"),
        (
            "yuv420p",
            ColorSpec(range=ColorRange.LIMITED, chroma_location=ChromaLocation.LEFT),
            "matrix .* not resolved",
        ),
        (
            "yuv420p",
            ColorSpec(range=ColorRange.LIMITED, matrix=Matrix.BT709),
            "chroma location .* not resolved",
        ),
        ("yuv444p", ColorSpec(range=ColorRange.LIMITED, matrix=Matrix.ICTCP), "ICTCP is not linear"),
        ("yuv444p", ColorSpec(range=ColorRange.LIMITED, matrix=Matrix.BT2020_CL), "BT2020_CL is not linear"),
    ],
)
def test_what_cannot_be_processed_faithfully(name: str, color: ColorSpec, says: str) -> None:
    source = FrameFormat(width=16, height=16, pixel_format=pixel_format(name), color=color)
    with pytest.raises(FormatError, match=says):
        build_job(random_weights(random_spec()), source)


def test_no_frame_without_samples() -> None:
    with pytest.raises(FormatError, match="0×4"):
        build_job(random_weights(random_spec()), FrameFormat.of("gray", 0, 4))
