"""INT8 frame jobs: near fp32, calibrated once, and refused by engines that have no INT8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from paragon_stream.checkpoint import load_weights
from paragon_stream.errors import EngineError
from paragon_stream.frame import ColorSpec, FrameFormat, Matrix
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.color import color_map
from paragon_stream.framejob.onnx.emit import input_names
from paragon_stream.framejob.onnx.network import INPUT, OUTPUT, emit_network
from paragon_stream.framejob.onnx.quantise import Calibration, convolutions
from paragon_stream.runtimes import Precision, SessionOptions, runtime
from paragon_stream.runtimes.disk_cache import DiskCache
from paragon_stream.runtimes.gpu.tensorrt_builder import graph_types
from paragon_stream.runtimes.int8 import calibration
from paragon_stream.runtimes.int8 import frame_jobs as int8
from paragon_stream.runtimes.int8.calibration import SIDE, Arrays, calibrate, drawn_pictures


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskCache:
    made = DiskCache(tmp_path / "int8", ".json")
    monkeypatch.setattr(int8, "CALIBRATIONS", made)
    return made


def job_for(name: str = "yuv420p", *, temporal: bool = False) -> FrameJob:
    source = FrameFormat.of(name, SIDE, SIDE, ColorSpec(matrix=Matrix.BT709))
    return build_job(load_weights("video", variant="realtime", scale=2), source, temporal=temporal)


def result(engine: str, job: FrameJob, precision: Precision) -> tuple[NDArray[np.generic], ...]:
    session = runtime(engine).compile(job, SessionOptions(precision=precision, threads=1))
    assert session.precision is precision
    planes = int8.frames(job)[1]
    outputs = allocate_planes(job.target)
    inputs = allocate_planes(job.source)
    for plane, name in zip(inputs, input_names(job.source), strict=True):
        plane[...] = planes[name].reshape(plane.shape)
    session.run(inputs, outputs, 0.25).wait()
    session.close()
    return outputs


@pytest.mark.parametrize(
    "engine", ["onnxruntime", "openvino", pytest.param("openvino alone", marks=pytest.mark.slow)]
)
def test_int8_is_near_fp32_and_calibrated_once(
    engine: str, cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _, alone = engine.partition(" ")
    pytest.importorskip(engine)
    if engine == "openvino" and not alone:  # it takes long to compile each graph: ONNX Runtime calibrates
        from paragon_stream.runtimes.onnxruntime import run_model

        def quick(model: Any, feeds: Any, names: Any, compute: Any, peak: float) -> Calibration:
            return calibrate(model, feeds, names, run_model, peak=peak)

        monkeypatch.setattr(int8, "calibrate", quick)
    job = job_for()
    exact, small = (result(engine, job, each) for each in (Precision.FP32, Precision.INT8))
    noise = np.mean(np.square(exact[0].astype(float) - small[0]))
    assert noise > 0  # something is in INT8
    assert 10 * np.log10(255**2 / noise) > 48
    (entry,) = cache.entries()
    assert entry.facts["precision"].startswith("int8")
    monkeypatch.setattr(int8, "calibrate", lambda *_, **__: pytest.fail("calibrated again"))
    for a, b in zip(small, result(engine, job, Precision.INT8), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv444p10le", "nv12", "p010le", "rgb24", "gbrp12le", "rgba", "gray"]
)
@pytest.mark.parametrize("temporal", [False, True])
def test_drawn_pictures_become_frames_of_every_kind(name: str, temporal: bool) -> None:
    job = job_for(name, temporal=temporal)
    colors = color_map(job.source)
    pixels = job.source.pixel_format
    wanted = drawn_pictures()[0]
    planes = int8.frames(job)[0]
    expected = colors.from_rgb @ wanted.reshape(3, -1) + colors.code_of_black[:, None]
    held = zip(input_names(job.source), job.source.plane_shapes, pixels.stored, strict=True)
    for array, shape, stored in ((planes[key], shape, stored) for key, shape, stored in held):
        assert array.dtype == pixels.sample_type and array.flags.c_contiguous
        components = array.reshape(*shape[:2], -1) >> pixels.shift
        for place, component in enumerate(stored):
            if component % 4 == 3:
                assert (components[..., place] == pixels.peak).all()
                continue
            full = expected[component % 4].reshape(SIDE, SIDE)
            step = SIDE // shape[0], SIDE // shape[1]
            assert (
                np.abs(components[..., place] - full[:: step[0], :: step[1]].clip(0, pixels.peak)).max()
                <= 0.5
            )


def test_inputs_of_layers_are_sampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, large networks would take more memory than there is; the ranges are the same."""
    from paragon_stream.runtimes.onnxruntime import run_model

    model = emit_network(load_weights("fidelity", variant="realtime", scale=2), size=(48, 48))
    feeds: list[Arrays] = [{INPUT: each[None]} for each in drawn_pictures(2, 48)]
    outputs: list[int] = []

    def compute(graph: onnx.ModelProto, some: Sequence[Arrays], names: Sequence[str]) -> list[list[NDArray]]:
        outputs.append(len(graph.graph.output))
        return run_model(graph, some, names)

    ranges = []
    for at_once in (1000, 4):
        monkeypatch.setattr(calibration, "_AT_ONCE", at_once)
        outputs.clear()
        ranges.append(calibrate(model, feeds, [OUTPUT], compute, peak=1.0, least_db=200).ranges)
        assert max(outputs) <= 1 + at_once
    assert ranges[0] == ranges[1]
    assert len(ranges[0]) == len(convolutions(model))


def test_networks_that_bear_no_int8_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    nothing = Calibration(ranges=((0.0, 1.0),) * 12, chosen=frozenset())
    monkeypatch.setattr(int8, "calibrate", lambda *_, **__: nothing)
    with pytest.raises(EngineError, match="leave --precision int8 out"):
        runtime("onnxruntime").compile(job_for(), SessionOptions(precision=Precision.INT8))


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_engines_without_int8_say_so(engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    with pytest.raises(EngineError, match="int8"):
        runtime(engine).compile(job_for(), SessionOptions(precision=Precision.INT8))


def test_tensorrt_has_no_int8() -> None:
    with pytest.raises(EngineError, match="not in int8"):
        graph_types(Precision.INT8)
