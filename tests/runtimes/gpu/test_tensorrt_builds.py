"""Engines of frame jobs built ahead of time by TensorRT-RTX, on the CPU: `pip install tensorrt-rtx`, then
`scripts/test tests/runtimes/gpu`. Nothing here can run them."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from device_material import make_job as small_job
from network_reference import random_spec, random_weights

from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, build_job
from paragon_stream.framejob.onnx.dynamic import SizeRange
from paragon_stream.framejob.onnx.emit import GraphTypes, emit_onnx
from paragon_stream.runtimes import Precision
from paragon_stream.runtimes.disk_cache import DiskCache
from paragon_stream.runtimes.gpu import tensorrt_builder
from paragon_stream.runtimes.gpu.tensorrt_builder import (
    COMPUTE_CAPABILITIES,
    Target,
    build,
    graph_types,
    tensorrt_engine,
)

pytestmark = [
    pytest.mark.tensorrt,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorrt_rtx") is None,
        reason="needs the package tensorrt-rtx, which builds engines without a GPU",
    ),
]


@pytest.fixture(scope="module")
def trt() -> Any:
    import tensorrt_rtx

    return tensorrt_rtx


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskCache:
    made = DiskCache(tmp_path, ".engine")
    monkeypatch.setattr(tensorrt_builder, "ENGINES", made)
    return made


def make_job(name: str, variant: str, conditioned: bool = False) -> FrameJob:
    source = FrameFormat.of(name, 320, 180)
    return build_job(random_weights(random_spec(variant, conditioned=conditioned)), source)


@pytest.mark.parametrize("variant", ["realtime", "stream"])
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("sm", COMPUTE_CAPABILITIES)
def test_builds_for_every_generation(trt: Any, sm: int, name: str, variant: str) -> None:
    """`build` checks that planes are bytes, and that no convolution of the network fell back to fp32."""
    types = graph_types(Precision.AUTO)
    assert types.half
    graph = emit_onnx(make_job(name, variant), types=types).SerializeToString()
    heard: set[str] = set()
    content = build(trt, graph, types, Target(sm=sm), lambda phase, part: heard.add(phase))
    assert len(content) > 10_000
    assert "Building engine" in heard


@pytest.mark.parametrize("variant", ["photo", "pro"])
@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.FP32])
def test_attention(trt: Any, variant: str, precision: Precision) -> None:
    types = graph_types(precision)
    graph = emit_onnx(make_job("yuv420p", variant), types=types).SerializeToString()
    assert len(build(trt, graph, types, Target(sm=89))) > 10_000


@pytest.mark.parametrize("name", ["rgb24", "p010le", "gray"])
def test_other_formats(trt: Any, name: str) -> None:
    types = graph_types(Precision.FP32)
    graph = emit_onnx(make_job(name, "realtime", conditioned=True), types=types).SerializeToString()
    assert build(trt, graph, types, Target(sm=86))


def test_fp32_unasked_is_noticed(trt: Any) -> None:
    """A graph of fp32 convolutions where fp16 was asked for, and planes that are no bytes."""
    half = graph_types(Precision.AUTO)
    plain = emit_onnx(small_job(), types=GraphTypes(guard=True, filters=True)).SerializeToString()
    with pytest.raises(EngineError, match=r"computes .* in DataType.FLOAT"):
        build(trt, plain, half, Target(sm=89))


def test_what_cannot_be_built_says_why(trt: Any) -> None:
    types = graph_types(Precision.AUTO)
    with pytest.raises(EngineError, match="cannot read the graph"):
        build(trt, b"not onnx", types, Target(sm=89))
    graph = emit_onnx(small_job(), types=types).SerializeToString()
    with pytest.raises(EngineError, match=r"no engines for GPUs of compute capability 9\.0"):
        build(trt, graph, types, Target(sm=90))
    with pytest.raises(EngineError, match="bf16"):
        graph_types(Precision.BF16)


@pytest.mark.parametrize(("name", "variant"), [("yuv420p", "realtime"), ("p010le", "stream")])
def test_one_engine_for_many_sizes(
    trt: Any, cache: DiskCache, name: str, variant: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Built once, it is taken for every size in its range; others get one of their own."""
    job = make_job(name, variant)
    sizes = SizeRange(least=(160, 90), best=(320, 180), most=(640, 360))
    first, facts = tensorrt_engine(trt, job, Precision.AUTO, Target(sm=89), sizes=sizes)
    for size in ((160, 90), (322, 200), (640, 360)):
        content, used = tensorrt_engine(trt, job.resized(*size), Precision.AUTO, Target(sm=89))
        assert (content, used) == (first, facts)
    assert len(cache.entries()) == 1 and "160x90 320x180 640x360" in facts["job"]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for size in ((642, 360), (321, 180)):  # too large, odd
            content, used = tensorrt_engine(trt, job.resized(*size), Precision.AUTO, Target(sm=89))
            assert content != first and "sizes" not in used
    assert caplog.text.count("building") == 2
    other = Target(sm=75)
    assert tensorrt_engine(trt, job, Precision.AUTO, other)[1]["gpu"] == "sm_75"
    with pytest.raises(EngineError, match="multiples of 2x2"):
        tensorrt_engine(trt, job, Precision.AUTO, Target(sm=89), sizes=replace(sizes, least=(161, 90)))


def test_engines_are_kept(trt: Any, cache: DiskCache, caplog: pytest.LogCaptureFixture) -> None:
    job = small_job()
    with caplog.at_level(logging.INFO):
        first, facts = tensorrt_engine(trt, job, Precision.AUTO, Target(sm=89))
        assert "building a tensorrt_rtx" in caplog.text
        caplog.clear()
        again, _ = tensorrt_engine(trt, job, Precision.AUTO, Target(sm=89))
        assert again == first and "building" not in caplog.text
    assert facts["gpu"] == "sm_89" and facts["driver"] == "any" and trt.__version__ in facts["library"]
    tensorrt_engine(trt, job, Precision.FP32, Target(sm=89))
    tensorrt_engine(trt, job.resized(72, 48), Precision.AUTO, Target(sm=89))
    tensorrt_engine(trt, job, Precision.AUTO, Target(sm=75))
    assert len(cache.entries()) == 4
