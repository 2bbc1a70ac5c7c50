"""Tiles: the same samples as the whole frame."""

from __future__ import annotations

import numpy as np
import pytest
from network_reference import random_spec, random_weights

from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.native.emit import refusal
from paragon_stream.runtimes import Precision, SessionOptions, runtime
from paragon_stream.runtimes import tiles as module
from paragon_stream.runtimes.tiles import TiledSession, spans, tile_size

OPTIONS = SessionOptions(precision=Precision.FP32, threads=1)


def make_job(name: str, width: int, height: int, variant: str = "realtime", scale: int = 2) -> FrameJob:
    source = FrameFormat.of(name, width, height)
    return build_job(random_weights(random_spec(variant, scale)), source)


@pytest.mark.parametrize(
    ("name", "width", "height", "variant", "scale", "tile"),
    [
        ("yuv420p", 150, 101, "realtime", 2, (39, 50)),
        ("yuv420p10le", 121, 90, "realtime", 3, (44, 41)),
        ("rgb24", 90, 77, "realtime", 2, (40, 90)),
        ("nv12", 101, 63, "realtime", 4, (33, 41)),
        ("yuv411p", 130, 60, "realtime", 2, (60, 58)),
        ("yuv420p", 160, 150, "stream", 2, (114, 116)),
        ("yuv420p", 130, 101, "photo", 2, (66, 68)),
        ("rgb24", 97, 70, "photo", 3, (70, 60)),
    ],
)
def test_tiles_equal_the_whole(
    engine: str, name: str, width: int, height: int, variant: str, scale: int, tile: tuple[int, int]
) -> None:
    job = make_job(name, width, height, variant, scale)
    inputs, whole, tiled = (allocate_planes(f) for f in (job.source, job.target, job.target))
    rng = np.random.default_rng(3)
    for plane in inputs:
        plane[:] = rng.integers(0, job.source.pixel_format.peak + 1, plane.shape)
    for plane in tiled:
        plane[:] = 77  # no sample may be left out
    if engine == "native" and (reason := refusal(job)):
        pytest.skip(reason)
    runtime(engine).compile(job, OPTIONS).run(inputs, whole).wait()
    session = TiledSession(job, *tile, lambda small: runtime(engine).compile(small, OPTIONS))
    session.run(inputs, tiled).wait()
    session.close()
    for a, b in zip(whole, tiled, strict=True):
        difference = np.abs(a.astype(int) - b.astype(int))
        assert difference.max() <= 1
        # What attention brings from beyond the context is lost in rounding, not quite nothing.
        assert (difference > 0).sum() <= max(1, (1e-3 if job.spec.window else 1e-5) * difference.size)


@pytest.mark.parametrize(("margin", "cell"), [(8, 2), (28, 2), (8, 4), (8, 1)])
def test_spans_cover_everything_once_with_context(margin: int, cell: int) -> None:
    for size in (64, 65, 100, 333, 1080):
        for tile in range(3 * margin + cell, size + 70, cell):
            found = spans(size, tile, margin, cell)
            assert [s.first for s in found] == [0, *(s.last for s in found[:-1])]
            assert found[-1].last == size
            for span in found:
                assert span.begin % cell == 0 and 0 <= span.begin < max(1, size - tile + cell)
                assert span.first - span.begin >= margin or span.begin == 0
                assert span.begin + tile - span.last >= margin or span.last == size


def test_tile_sizes_fit_the_memory_and_the_grid() -> None:
    for name, width, height in (("yuv420p", 7680, 4320), ("yuv411p", 4001, 30001), ("rgb24", 65535, 200)):
        job = make_job(name, width, height)
        rows, columns = tile_size(job, 1 << 28)
        assert job.resized(columns, rows).working_set <= 1 << 28
        assert 3 * job.margin <= min(rows, height) and rows <= height and columns <= width


def test_large_frames_are_tiled_unasked(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("yuv420p", 200, 120)
    monkeypatch.setattr(module, "WORKING_SET", job.working_set // 3)
    session = runtime(engine).compile(job, OPTIONS)
    assert isinstance(session, TiledSession) == (engine != "native")  # which keeps rows of maps, not maps
    assert (session.engine, session.precision, session.job) == (engine, Precision.FP32, job)
    inputs, outputs = allocate_planes(job.source), allocate_planes(job.target)
    inputs[0][:] = 100
    session.run(inputs, outputs).wait()
    for phase in (outputs[0][y::2, x::2].astype(int) for y in (0, 1) for x in (0, 1)):
        assert np.ptp(phase) <= 1  # a flat picture stays flat, phase by phase, edges and seams included


def test_networks_that_depend_on_the_whole_frame_are_not_tiled(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("yuv420p", 100, 64, "pro")
    if engine == "native":
        pytest.skip("it has no kernels for Pro")
    monkeypatch.setattr(module, "WORKING_SET", job.working_set // 3)
    monkeypatch.setattr(module, "free_memory", lambda: job.working_set + 1)
    session = runtime(engine).compile(job, OPTIONS)
    assert not isinstance(session, TiledSession)
    session.close()
    monkeypatch.setattr(module, "free_memory", lambda: job.working_set - 1)
    words = r"100x64 yuv420p needs about .* depends on the whole frame, which therefore cannot be computed in"
    with pytest.raises(EngineError, match=words):
        runtime(engine).compile(job, OPTIONS)


def test_resized_is_built_for_that_size() -> None:
    small, large = make_job("yuv420p", 97, 33), make_job("yuv420p", 640, 360)
    resized = large.resized(97, 33)
    for part in ("source", "target", "padded", "inputs", "cell", "margin"):
        assert getattr(resized, part) == getattr(small, part)
    assert [p.size for p in resized.outputs] == [p.size for p in small.outputs]
