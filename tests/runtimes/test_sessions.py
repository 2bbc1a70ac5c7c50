"""The contract of sessions, over every runtime; and the registry."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from network_reference import random_spec, random_weights

from paragon_stream.errors import EngineError, UsageError
from paragon_stream.frame import ColorSpec, FrameFormat, pixel_format, resolve_color
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.runtimes import ENGINES, Flavour, Precision, Session, SessionOptions, runtime

RUNTIMES = [name for name in ENGINES if name != "auto"]


def make_job(width: int = 64, height: int = 48, conditioned: bool = False) -> FrameJob:
    layout = pixel_format("yuv420p")
    color = resolve_color(ColorSpec(), format=layout, width=width, height=height)
    source = FrameFormat(width=width, height=height, pixel_format=layout, color=color)
    return build_job(random_weights(random_spec(conditioned=conditioned)), source)


def frames(job: FrameJob, count: int) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(1)
    made = [allocate_planes(job.source) for _ in range(count)]
    for planes in made:
        for plane in planes:
            plane[:] = rng.integers(16, 236, plane.shape)
    return made


@pytest.fixture(params=RUNTIMES)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    options = SessionOptions(threads=2, flavour=Flavour.THROUGHPUT)
    made = runtime(request.param).compile(make_job(), options)
    yield made
    made.close()


def test_facts(session: Session) -> None:
    assert session.engine in RUNTIMES
    assert session.precision is not Precision.AUTO
    assert session.device and session.in_flight >= 1


def test_inputs_are_left_alone_and_no_state_is_kept(session: Session) -> None:
    (first, second), job = frames(session.job, 2), session.job
    kept = [plane.copy() for plane in first]
    once, again = allocate_planes(job.target), allocate_planes(job.target)
    session.run(first, once).wait()
    session.run(second, again).wait()
    session.run(first, again).wait()
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(first, kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_frames_than_fit_in_flight(session: Session) -> None:
    """Completions may be waited for late, in any order, twice, or never."""
    inputs, job = frames(session.job, 7), session.job
    outputs = [allocate_planes(job.target) for _ in inputs]
    waits = [session.run(i, o) for i, o in zip(inputs, outputs, strict=True)]
    for completion in (*reversed(waits[1:]), waits[2]):
        completion.wait()
    alone = allocate_planes(job.target)
    for index in range(1, 7):
        session.run(inputs[index], alone).wait()
        for a, b in zip(alone, outputs[index], strict=True):
            np.testing.assert_array_equal(a, b)


def test_many_threads_may_run_one_session(session: Session) -> None:
    inputs, job = frames(session.job, 4), session.job
    expected = [allocate_planes(job.target) for _ in inputs]
    for i, o in zip(inputs, expected, strict=True):
        session.run(i, o).wait()
    wrong: list[int] = []

    def work(index: int) -> None:
        outputs = allocate_planes(job.target)
        for _ in range(5):
            session.run(inputs[index], outputs).wait()
            if any((a != b).any() for a, b in zip(outputs, expected[index], strict=True)):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_wrong_buffers_are_refused(session: Session) -> None:
    job = session.job
    inputs, outputs = allocate_planes(job.source), allocate_planes(job.target)
    with pytest.raises(EngineError, match="has 3 planes, not 2"):
        session.run(inputs[:2], outputs)
    with pytest.raises(EngineError, match=r"plane 0 .* must be a C-contiguous uint8 array of shape"):
        session.run((inputs[0].astype(np.uint16), *inputs[1:]), outputs)
    with pytest.raises(EngineError, match="plane 1"):
        session.run(inputs, (outputs[0], outputs[1][:, ::2], outputs[2]))
    wide = np.zeros((48, 128), np.uint8)[:, :64]
    with pytest.raises(EngineError, match="C-contiguous"):
        session.run((wide, *inputs[1:]), outputs)


def test_closed_sessions_do_not_run() -> None:
    session = runtime("openvino").compile(make_job(), SessionOptions(threads=1))
    inputs, outputs = allocate_planes(session.job.source), allocate_planes(session.job.target)
    pending = session.run(inputs, outputs)
    session.close()
    pending.wait()
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run(inputs, outputs)


def test_flavours_and_threads_give_the_same_samples() -> None:
    job = make_job(131, 77)
    (planes,) = frames(job, 1)
    results = []
    for flavour, threads in ((Flavour.LATENCY, 1), (Flavour.LATENCY, 2), (Flavour.THROUGHPUT, 2)):
        options = SessionOptions(precision=Precision.FP32, flavour=flavour, threads=threads)
        session = runtime("openvino").compile(job, options)
        assert session.in_flight == (2 if flavour is Flavour.THROUGHPUT else 1)
        outputs = allocate_planes(job.target)
        session.run(planes, outputs).wait()
        session.close()
        results.append(outputs)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_unknown_engine() -> None:
    with pytest.raises(UsageError, match=r"no engine fast; choose from auto, openvino, null"):
        runtime("fast")


def test_auto_says_what_it_took(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "paragon_stream.runtimes"):
        assert runtime("auto").name == "openvino"
    assert "engine: openvino" in caplog.text


def test_null_touches_nothing() -> None:
    session = runtime("null").compile(make_job(), SessionOptions())
    outputs = allocate_planes(session.job.target)
    for plane in outputs:
        plane[:] = 7
    session.run(allocate_planes(session.job.source), outputs).wait()
    assert all((plane == 7).all() for plane in outputs)
