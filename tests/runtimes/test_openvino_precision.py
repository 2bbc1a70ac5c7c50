"""Precision of the OpenVINO runtime: what is asked for is what runs, and the ends stay in fp32."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from bf16_emulation import bf16_emulation
from frame_reference import reference_frame, rounded
from network_reference import random_spec, random_weights
from numpy.typing import NDArray
from PIL import Image

from paragon_stream.checkpoint import Weights, load_weights
from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat, pixel_format
from paragon_stream.framejob import allocate_planes, build_job
from paragon_stream.framejob.onnx.emit import emit_onnx
from paragon_stream.runtimes import Precision, SessionOptions
from paragon_stream.runtimes import openvino as module
from paragon_stream.runtimes.openvino import RUNTIME


@functools.cache
def has_bf16() -> bool:
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def upscale(
    weights: Weights, source: FrameFormat, planes: tuple[NDArray, ...], precision: Precision
) -> tuple[NDArray, ...]:
    job = build_job(weights, source)
    outputs = allocate_planes(job.target)
    session = RUNTIME.compile(job, SessionOptions(precision=precision))
    session.run(planes, outputs).wait()
    session.close()
    return outputs


@pytest.mark.parametrize("wanted", [Precision.AUTO, Precision.FP32, Precision.BF16])
def test_what_is_asked_for_is_what_runs(wanted: Precision) -> None:
    job = build_job(random_weights(random_spec()), FrameFormat.of("yuv420p", 32, 32))
    if wanted is Precision.BF16 and not has_bf16():
        with pytest.raises(EngineError, match="no bf16 instructions; use precision fp32 or auto"):
            RUNTIME.compile(job, SessionOptions(precision=wanted))
        return
    session = RUNTIME.compile(job, SessionOptions(precision=wanted))
    expected = Precision.BF16 if wanted is not Precision.FP32 and has_bf16() else Precision.FP32
    assert session.precision is expected


@pytest.mark.parametrize(("source", "target"), [("yuv420p10le", None), ("yuv420p", "yuv420p10le")])
def test_deep_frames_are_computed_in_fp32_unasked(source: str, target: str | None) -> None:
    """bf16 has eight significant bits: see the emulated bars below."""
    wanted = pixel_format(target) if target else None
    job = build_job(random_weights(random_spec()), FrameFormat.of(source, 32, 32), pixel_format=wanted)
    assert RUNTIME.compile(job, SessionOptions()).precision is Precision.FP32


def test_no_fp16_on_cpus() -> None:
    job = build_job(random_weights(random_spec()), FrameFormat.of("yuv420p", 32, 32))
    with pytest.raises(EngineError, match="fp16"):
        RUNTIME.compile(job, SessionOptions(precision=Precision.FP16))


def test_openvino_errors_are_ours() -> None:
    job = build_job(random_weights(random_spec()), FrameFormat.of("yuv420p", 32, 32))
    with pytest.raises(EngineError, match="OpenVINO cannot compile 32x32 yuv420p") as caught:
        RUNTIME.compile(job, SessionOptions(threads=-5))
    assert "\n" not in str(caught.value)


def gradient(source: FrameFormat) -> tuple[NDArray, ...]:
    """A smooth ramp over all legal code values, diagonal, in every plane."""
    planes = allocate_planes(source)
    unit = 1 << (source.pixel_format.depth - 8)
    for plane, low, high in zip(planes, (16, 64, 200), (235, 192, 40), strict=True):
        height, width = plane.shape
        share = (np.arange(height)[:, None] + 3 * np.arange(width)[None]) / (height + 3 * width - 4)
        plane[:] = np.rint((low + (high - low) * share) * unit)
    return planes


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
def test_ramps_stay_smooth_at_the_default_precision(name: str) -> None:
    """Base path, last addition and rounding are fp32: a ramp is within one code value of the reference."""
    weights = load_weights(variant="realtime", scale=2)
    source = FrameFormat.of(name, 300, 40)
    planes = gradient(source)
    target = build_job(weights, source).target
    expected = rounded(reference_frame(weights, source, target, planes), target)
    for plane, wanted in zip(upscale(weights, source, planes, Precision.AUTO), expected, strict=True):
        assert np.abs(plane.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize(("name", "bar"), [("yuv420p", 1), ("yuv420p10le", 2)])
def test_ramps_and_flat_areas_in_bf16(name: str, bar: int) -> None:
    """The arithmetic of bf16, on every machine: what convolutions read is rounded, sums are fp32."""
    weights = load_weights(variant="realtime", scale=2)
    source = FrameFormat.of(name, 300, 40)
    flat = allocate_planes(source)
    for plane, code in zip(flat, (120, 90, 200), strict=True):
        plane[:] = code << (source.pixel_format.depth - 8)
    job = build_job(weights, source)
    run = bf16_emulation(job)
    for planes, allowed in ((gradient(source), bar), (flat, 0)):
        expected = rounded(reference_frame(weights, source, job.target, planes), job.target)
        worst = [int(np.abs(a.astype(int) - b).max()) for a, b in zip(run(planes), expected, strict=True)]
        assert max(worst) <= allowed


@pytest.mark.skipif(not has_bf16(), reason="needs a CPU with bf16")
@pytest.mark.parametrize(("name", "bar"), [("yuv420p", 1), ("yuv420p10le", 2)])
def test_ramps_in_the_bf16_of_this_cpu(name: str, bar: int) -> None:
    weights = load_weights(variant="realtime", scale=2)
    source = FrameFormat.of(name, 300, 40)
    planes = gradient(source)
    target = build_job(weights, source).target
    expected = rounded(reference_frame(weights, source, target, planes), target)
    emulated = bf16_emulation(build_job(weights, source))(planes)
    found = upscale(weights, source, planes, Precision.BF16)
    for plane, wanted, like in zip(found, expected, emulated, strict=True):
        assert np.abs(plane.astype(int) - wanted).max() <= bar
        assert np.abs(plane.astype(int) - like.astype(int)).max() <= bar


def picture(source: FrameFormat, shared_image: NDArray) -> tuple[NDArray, ...]:
    """An RGB picture as planes of `source`, roughly: colours need not be exact here, only real."""
    r, g, b = (shared_image[..., c].astype(float) for c in range(3))
    y = 16 + 0.183 * r + 0.614 * g + 0.062 * b
    u, v = 128 + (b - y) * 0.5, 128 + (r - y) * 0.5
    height, width = source.height, source.width
    full = [np.clip(np.rint(plane), 0, 255)[:height, :width] for plane in (y, u, v)]
    return tuple(
        np.ascontiguousarray(plane[::step, ::step]).astype(np.uint8)
        for plane, step in zip(full, (1, 2, 2), strict=True)
    )


def test_default_precision_on_real_frames(shared: Path) -> None:
    weights = load_weights(variant="realtime", scale=2)
    files = sorted((shared / "train").rglob("*.webp"))[::120][:3]
    assert len(files) == 3
    for file in files:
        image = np.asarray(Image.open(file).convert("RGB"))[:160, :200]
        source = FrameFormat.of("yuv420p", image.shape[1], image.shape[0])
        planes = picture(source, image)
        target = build_job(weights, source).target
        expected = rounded(reference_frame(weights, source, target, planes), target)
        for plane, wanted in zip(upscale(weights, source, planes, Precision.AUTO), expected, strict=True):
            error = np.mean((plane - wanted) ** 2)
            assert error == 0 or 10 * np.log10(255**2 / error) >= 55


def fact(node: ov.Node, key: str) -> str:
    value = node.get_rt_info()[key]
    return str(getattr(value, "value", value))


def test_ends_are_computed_in_fp32() -> None:
    """In the compiled model, what leads from planes to planes past the convolutions, and what follows them,
    runs in fp32 whatever the body does."""
    job = build_job(random_weights(random_spec()), FrameFormat.of("yuv420p10le", 96, 64))
    session = RUNTIME.compile(job, SessionOptions())
    assert isinstance(session, module.OpenVinoSession)
    nodes = session.compiled.get_runtime_model().get_ordered_ops()
    body = {fact(node, "runtimePrecision") for node in nodes if "Convolution" in fact(node, "layerType")}
    assert body == {"bf16" if session.precision is Precision.BF16 else "f32"}
    waiting = [node for node in nodes if fact(node, "layerType") == "Output"]
    seen: set[str] = set()
    kinds: set[str] = set()
    while waiting:
        node = waiting.pop()
        kind = fact(node, "layerType")
        if node.get_friendly_name() in seen or "Convolution" in kind:
            continue
        seen.add(node.get_friendly_name())
        kinds.add(kind)
        if kind in ("Subgraph", "Eltwise", "DepthToSpace", "Pad"):
            assert fact(node, "runtimePrecision") not in ("bf16", "f16"), node.get_friendly_name()
        waiting += [node.input_value(i).get_node() for i in range(node.get_input_size())]
    assert {"Subgraph", "DepthToSpace", "Pad", "Input"} <= kinds


def test_narrow_depthwise_convolutions_stay_apart() -> None:
    """At the size where OpenVINO would fuse them; the trick's outputs are not the caller's business."""
    job = build_job(random_weights(random_spec()), FrameFormat.of("yuv420p", 960, 540))
    model = ov.Core().read_model(emit_onnx(job, lanes=8).SerializeToString())
    module._keep_depthwise_apart(model)
    assert len(model.outputs) == 3 + 3
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = [fact(node, "primitiveType") for node in compiled.get_runtime_model().get_ordered_ops()]
    assert not any("dw_1x1" in kind for kind in kinds)
