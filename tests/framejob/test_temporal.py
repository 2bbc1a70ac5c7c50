"""The video mode: what the network sees of the frames before, on every engine, in any order of asking."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from network_reference import random_spec, random_weights

from paragon_stream.checkpoint import Weights
from paragon_stream.errors import EngineError, UsageError
from paragon_stream.frame import ColorRange, ColorSpec, FrameFormat, Matrix, pixel_format
from paragon_stream.framejob import allocate_planes, build_job
from paragon_stream.framejob.cuda.emit import refusal
from paragon_stream.framejob.temporal import WARM, Temporal, TemporalHistory, TemporalState
from paragon_stream.framejob.wgsl.emit import check_wgsl
from paragon_stream.runtimes import SessionOptions, runtime
from paragon_stream.runtimes.base import Precision

WIDTH, HEIGHT = 34, 26
RGB = ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL)


def source_of(name: str) -> FrameFormat:
    return FrameFormat.of(name, WIDTH, HEIGHT)


def film(source: FrameFormat, count: int, seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    """Frames of noise around one still picture: no cut."""
    rng = np.random.default_rng(seed)
    peak = source.pixel_format.peak
    stills = [rng.uniform(0.2, 0.8, shape) for shape in source.plane_shapes]
    return [
        tuple(
            np.round(np.clip(still + rng.normal(0, 0.1, still.shape), 0, 1) * peak).astype(plane.dtype)
            for still, plane in zip(stills, allocate_planes(source), strict=True)
        )
        for _ in range(count)
    ]


def run(weights: Weights, source: FrameFormat, frames: Sequence[Any], engine: str, mode: Temporal) -> Any:
    """The last frame's result."""
    job = build_job(weights, source, temporal=mode is not Temporal.OFF)
    session = runtime(engine).compile(job, SessionOptions(precision=Precision.FP32, threads=1))
    outputs = allocate_planes(job.target)
    state = TemporalState(source, mode)
    for planes in frames:
        given = planes if mode is Temporal.OFF else state.advance(planes)
        session.run(given, outputs).wait()
    session.close()
    return outputs


def test_upstream_is_the_modules_video_mode() -> None:
    """Results with `prev_feat` from frame to frame; the border is replicated, as in frame jobs."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    from paragon_stream.models.build import build

    weights = random_weights(random_spec("realtime"))
    weights.tensors["detail_gain"][...] = 1
    layout = pixel_format("rgb24")
    source = FrameFormat(width=WIDTH, height=HEIGHT, pixel_format=layout, color=RGB)
    frames = film(source, 5)
    (found,) = run(weights, source, frames, "onnxruntime", Temporal.UPSTREAM)
    net = build(weights.spec, border="replicate")
    net.load_state_dict({name: torch.tensor(value) for name, value in weights.tensors.items()})
    net.eval()
    before = None
    with torch.no_grad():
        for (codes,) in frames:
            image = torch.tensor(codes).permute(2, 0, 1)[None] / 255
            result, before = net(image, feature_tap=True, prev_feat=before, alpha=0.2)
    expected = (255 * result[0].permute(1, 2, 0).numpy()).clip(0, 255)
    assert np.abs(found - expected).max() < 0.51
    (alone,) = run(weights, source, frames[-1:], "onnxruntime", Temporal.OFF)
    assert np.abs(alone - expected).max() > 2  # the frames before matter


ENGINES = [
    name
    for name in ("native", "openvino", "onnxruntime", "torch")
    if name == "native" or importlib.util.find_spec(name)
]


@pytest.mark.parametrize("name", ["yuv420p", "yuvj422p", "yuv444p10le", "nv12", "gbrap", "gray"])
@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_engines_agree(variant: str, name: str) -> None:
    weights = random_weights(random_spec(variant))
    source = source_of(name)
    frames = film(source, 3)
    results = {}
    for engine in ENGINES:
        results[engine] = run(weights, source, frames, engine, Temporal.UPSTREAM)
    for engine, planes in results.items():
        for plane, other in zip(planes, results[ENGINES[-1]], strict=True):
            assert np.abs(plane.astype(int) - other).max() <= 1, engine


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "rgb24", "yuv410p"])
def test_a_still_picture_is_what_it_is_without_the_mode(name: str) -> None:
    """Whatever the depth and range: 16 bits hold it exactly."""
    weights = random_weights(random_spec("realtime"))
    source = source_of(name)
    frames = film(source, 1) * 3
    for mode in (Temporal.UPSTREAM, Temporal.ADAPTIVE):
        blended = run(weights, source, frames, "openvino", mode)
        alone = run(weights, source, frames[:1], "openvino", Temporal.OFF)
        for plane, other in zip(blended, alone, strict=True):
            assert np.abs(plane.astype(int) - other).max() <= 1


def test_adaptive_leaves_what_moves_and_calms_what_stands_still() -> None:
    source = source_of("gray")
    rng = np.random.default_rng(0)
    still = rng.integers(60, 180, (HEIGHT, WIDTH))
    states = {mode: TemporalState(source, mode) for mode in (Temporal.UPSTREAM, Temporal.ADAPTIVE)}
    seen: dict[Temporal, list[np.ndarray]] = {mode: [] for mode in states}
    frames = []
    for number in range(8):
        picture = still + rng.normal(0, 1, still.shape)
        picture[8:18, 2 * number : 2 * number + 8] = 230  # a block on its way to the right
        frames.append(np.round(picture).clip(0, 255).astype(np.uint8))
        for mode, state in states.items():
            seen[mode].append(state.advance([frames[-1]])[0] / 257)
    behind = np.s_[10:16, 12:14]  # where the block has just been
    ghost = {mode: np.abs(values[-1][behind] - frames[-1][behind]).mean() for mode, values in seen.items()}
    assert ghost[Temporal.ADAPTIVE] < 1 < 3 < ghost[Temporal.UPSTREAM]
    corner = np.s_[:6, :]
    flicker = {
        mode: np.diff(np.stack([v[corner] for v in values]), axis=0).std() for mode, values in seen.items()
    }
    plain = np.diff(np.stack([frame[corner].astype(float) for frame in frames]), axis=0).std()
    assert flicker[Temporal.ADAPTIVE] < 0.8 * plain


def test_a_cut_restarts_the_state() -> None:
    source = source_of("yuv420p")
    state = TemporalState(source, Temporal.UPSTREAM)
    dark = tuple(np.full(shape, 40, np.uint8) for shape in source.plane_shapes)
    bright = tuple(np.full(shape, 200, np.uint8) for shape in source.plane_shapes)
    for planes in (dark, dark, bright):
        made = state.advance(planes)
    np.testing.assert_array_equal(made[0], 200 << 8)
    state.restart()
    np.testing.assert_array_equal(state.advance(dark)[0], 40 << 8)


@pytest.mark.parametrize("mode", [Temporal.UPSTREAM, Temporal.ADAPTIVE])
def test_frames_asked_for_in_any_order_are_those_in_order(mode: Temporal) -> None:
    source = source_of("yuv420p")
    frames = film(source, 40)
    state, ordered = TemporalState(source, mode), []
    for planes in frames:
        ordered.append(state.advance(planes))
    history = TemporalHistory(mode)
    for number in (0, 1, 20, 21, 5, 39):
        found = history.planes(number, source, lambda ago, n=number: frames[max(0, n - ago)])
        for plane, other in zip(found, ordered[number], strict=True):
            assert np.abs(plane.astype(int) - other).max() <= (0 if number < WARM else 2)  # of 65535


def test_networks_without_a_base_path_have_no_video_mode() -> None:
    from paragon_stream.checkpoint.published import published_network

    spec = published_network("p2r3", "nano", 2, alpha=0.5)
    tensors = {name: np.ones(shape, np.float32) for name, shape in spec.tensor_shapes().items()}
    with pytest.raises(UsageError, match="no video mode"):
        build_job(Weights(spec=spec, tensors=tensors, name="x"), source_of("yuv420p"), temporal=True)
    with pytest.raises(UsageError, match="off, upstream, adaptive, not 'on'"):
        Temporal.parse("on")


def test_engines_without_kernels_refuse_by_name() -> None:
    weights = random_weights(random_spec("realtime"))
    job = build_job(weights, source_of("yuv420p"), temporal=True)
    with pytest.raises(EngineError, match="webgpu does not support --temporal"):
        check_wgsl(job)
    assert "--temporal" in refusal(job)
