"""The contract of sessions, over every engine that is installed; and the registry.

What they compute is held by tests/framejob/test_frame_job.py, tiles by test_tiled_session.py, over all too.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from places import PROGRAMS, PYTHONPATH
from session_material import frames, make_job

from paragon_stream.cli import bench
from paragon_stream.errors import EngineError, UsageError
from paragon_stream.framejob import allocate_planes
from paragon_stream.runtimes import (
    ENGINES,
    Flavour,
    Precision,
    Session,
    SessionOptions,
    installed_engines,
    runtime,
)

COMPUTING = [name for name in ENGINES if name not in ("auto", "null")]


@pytest.mark.parametrize("name", COMPUTING)
def test_every_engine_is_tested(name: str) -> None:
    """The others of these tests leave out what is not installed; here one can see it."""
    if name not in installed_engines():
        pytest.skip(f"needs the package of the engine {name}, or a GPU")


@pytest.fixture(params=[*installed_engines(), "null"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    options = SessionOptions(threads=2, flavour=Flavour.THROUGHPUT)
    made = runtime(request.param).compile(make_job(), options)
    yield made
    made.close()


def test_facts(session: Session) -> None:
    assert session.engine in ENGINES
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


def test_frames_of_another_size_are_refused(session: Session) -> None:
    other = make_job(64, 50)
    with pytest.raises(
        EngineError, match=r"plane 0 of 64x48 yuv420p .* shape \(48, 64\), not uint8 \(50, 64\)"
    ):
        session.run(allocate_planes(other.source), allocate_planes(session.job.target))
    with pytest.raises(EngineError, match="plane 0 of 128x96 yuv420p"):
        session.run(allocate_planes(session.job.source), allocate_planes(other.target))


def test_closed_sessions_do_not_run(engine: str) -> None:
    session = runtime(engine).compile(make_job(), SessionOptions(threads=1))
    inputs, outputs = allocate_planes(session.job.source), allocate_planes(session.job.target)
    pending = session.run(inputs, outputs)
    session.close()
    pending.wait()
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run(inputs, outputs)


def test_flavours_and_threads_give_the_same_samples(engine: str) -> None:
    job = make_job(131, 77)
    (planes,) = frames(job, 1)
    results = []
    for flavour, threads in ((Flavour.LATENCY, 1), (Flavour.LATENCY, 2), (Flavour.THROUGHPUT, 2)):
        options = SessionOptions(precision=Precision.FP32, flavour=flavour, threads=threads)
        session = runtime(engine).compile(job, options)
        assert session.in_flight == (
            2 if flavour is Flavour.THROUGHPUT and engine in ("native", "openvino") else 1
        )
        outputs = allocate_planes(job.target)
        session.run(planes, outputs).wait()
        session.close()
        results.append(outputs)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_sessions_side_by_side(engine: str) -> None:
    """Two sessions of different formats and weights, in turn and in two threads: neither minds the other."""
    options = SessionOptions(precision=Precision.FP32, threads=1)
    jobs = [make_job(), make_job(50, 34, conditioned=True)]
    inputs = [frames(job, 1)[0] for job in jobs]
    alone = [allocate_planes(job.target) for job in jobs]
    for job, planes, outputs in zip(jobs, inputs, alone, strict=True):
        session = runtime(engine).compile(job, options)
        session.run(planes, outputs, 0.5).wait()
        session.close()
    sessions = [runtime(engine).compile(job, options) for job in jobs]
    wrong: list[int] = []

    def work(index: int) -> None:
        outputs = allocate_planes(jobs[index].target)
        for _ in range(5):
            for plane in outputs:
                plane[:] = 0
            sessions[index].run(inputs[index], outputs, 0.5).wait()
            if any((a != b).any() for a, b in zip(outputs, alone[index], strict=True)):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)
    sessions[0].close()
    work(1)
    assert not wrong
    sessions[1].close()


def test_runs_keep_nothing(engine: str) -> None:
    """After the first frames memory stays where it is. A leak grows in both halves, an allocator in one."""
    program = subprocess.run(
        [sys.executable, str(PROGRAMS / "held_memory.py"), engine],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    facts = json.loads(program.stdout)
    growth = min(after - before for before, after in pairwise(facts["held"]))
    assert growth < 30 * facts["frame"] / 4


def test_outputs_are_filled_wherever_they_lie(engine: str) -> None:
    """Planes of one larger buffer, unaligned: every sample inside is written, none outside."""
    job = make_job()
    session = runtime(engine).compile(job, SessionOptions(threads=1))
    (inputs,), wanted = frames(job, 1), allocate_planes(job.target)
    session.run(inputs, wanted).wait()
    memory = np.full(sum(plane.size for plane in wanted) + 64, 99, np.uint8)
    outputs, start = [], 3
    for plane in wanted:
        outputs.append(memory[start : start + plane.size].reshape(plane.shape))
        start += plane.size + 5
    written = np.zeros(memory.shape, bool)
    for plane in outputs:
        first = plane.ctypes.data - memory.ctypes.data
        written[first : first + plane.size] = True
        plane[:] = 77
    session.run(inputs, outputs).wait()
    assert (memory[~written] == 99).all()
    for a, b in zip(outputs, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    session.close()


@pytest.mark.parametrize("name", ["native", "openvino", "onnxruntime", "null"])
def test_the_cpu_is_not_another_device(name: str) -> None:
    options = SessionOptions(device="cuda:0")
    with pytest.raises(EngineError, match=f"the engine {name} runs on the CPU only, not on cuda:0"):
        runtime(name).compile(make_job(), options)


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16])
@pytest.mark.parametrize("name", [name for name in installed_engines() if name in ("onnxruntime", "torch")])
def test_no_16_bits_where_cpus_have_none(name: str, precision: Precision) -> None:
    with pytest.raises(EngineError, match=f"computes in fp32( or int8)? on CPUs, not in {precision}"):
        runtime(name).compile(make_job(), SessionOptions(precision=precision))


def test_unknown_engine() -> None:
    with pytest.raises(
        UsageError, match=r"no engine fast; choose from auto, native, openvino, onnxruntime, torch, cuda,"
    ):
        runtime("fast")


@pytest.mark.parametrize("name", [name for name in COMPUTING if name != "native"])
def test_an_absent_package_is_a_line_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = "wgpu" if name == "webgpu" else name
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    wanted = "cuda-bindings nvidia-cuda-nvrtc" if name == "cuda" else package
    assert name not in installed_engines()
    with pytest.raises(
        UsageError, match=rf"the engine {name} needs .*: \S+ -m pip install {re.escape(wanted)}$"
    ) as caught:
        runtime(name)
    assert caught.value.exit_code == 2


def test_help_names_every_engine() -> None:
    said = CliRunner().invoke(bench.command, ["--help"]).output
    assert all(name in said for name in ENGINES)


def test_auto_says_what_it_took(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "paragon_stream.runtimes"):
        session = runtime("auto").compile(make_job(), SessionOptions(threads=1))
        session.close()
    assert f"engine: {session.engine}" in caplog.text


def test_null_touches_nothing() -> None:
    session = runtime("null").compile(make_job(), SessionOptions())
    outputs = allocate_planes(session.job.target)
    for plane in outputs:
        plane[:] = 7
    session.run(allocate_planes(session.job.source), outputs).wait()
    assert all((plane == 7).all() for plane in outputs)
