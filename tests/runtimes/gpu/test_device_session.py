"""The scheduler of device sessions, on the fake device: order, overlap, waiting, graphs, the guard."""

from __future__ import annotations

import logging
import threading
from collections import deque

import numpy as np
import pytest
from device_material import DOUBLE, CpuDoubling, clean, doubled, make_frames, make_job, open_session
from fake_device import FakeDevice, FakeKernel, Misuse

from paragon_stream.device import DevicePlane
from paragon_stream.errors import EngineError
from paragon_stream.framejob import allocate_planes
from paragon_stream.pipeline.trace import Trace
from paragon_stream.runtimes import Precision
from paragon_stream.runtimes.gpu import timer


def equal(got, expected) -> bool:
    return all(map(np.array_equal, got, expected))


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "rgb24", "p010le", "gray"])
def test_frames_come_back_right_and_in_order(name: str, pinned: bool, graphs: bool) -> None:
    job, device = make_job(70, 38, name), FakeDevice()
    frames = make_frames(job, 9)
    with clean(device):
        session = open_session(job, device, graphs=graphs)
        assert session.graphs is graphs
        slots = []
        for planes in frames:
            make = session.allocate_planes if pinned else allocate_planes
            inputs, outputs = make(job.source), make(job.target)
            for mine, theirs in zip(inputs, planes, strict=True):
                mine[:] = theirs
            slots.append((inputs, outputs))
        waits = [session.run(*slot) for slot in slots]
        for completion in waits:
            completion.wait()
        for planes, (inputs, outputs) in zip(frames, slots, strict=True):
            assert equal(outputs, doubled(planes)) and equal(inputs, planes)
        assert session.precision is Precision.FP16 and "Fake GPU" in session.device
        session.close()


def test_nothing_is_allocated_once_the_session_stands() -> None:
    job, device = make_job(), FakeDevice()
    session = open_session(job, device)
    before = len(device.live)
    outputs = allocate_planes(job.target)
    for planes in make_frames(job, 10):
        session.run(planes, outputs).wait()
    assert len(device.live) == before
    session.close()


def test_streams_overlap() -> None:
    """Copies of 1 s each way in three planes, kernels of 1.5 s: only the slowest stream counts."""
    job = make_job()
    device = FakeDevice({"double": FakeKernel(DOUBLE.run, DOUBLE.reads, DOUBLE.writes, seconds=2.0)})
    session = open_session(job, device, graphs=False)
    slots = [(session.allocate_planes(job.source), session.allocate_planes(job.target)) for _ in range(6)]
    device.timeline.clear()
    pending: deque = deque()
    count = 30
    for number in range(count):
        if len(pending) == len(slots):
            pending.popleft().wait()
        pending.append(session.run(*slots[number % len(slots)]))
    while pending:
        pending.popleft().wait()
    assert device.busy("compute") == 6.0 * count
    # The first frame's upload and the last one's download are all that does not overlap.
    assert device.makespan == pytest.approx(6.0 * count + 3.0 + 4.0)
    session.close()


def test_one_lane_does_not_overlap() -> None:
    """So the assertion above can fail."""
    job, device = make_job(), FakeDevice()
    session = open_session(job, device, in_flight=1)
    device.timeline.clear()
    outputs = allocate_planes(job.target)
    for planes in make_frames(job, 5):
        session.run(planes, outputs).wait()
    assert device.makespan == pytest.approx(5 * (3.0 + 3 * DOUBLE.seconds + 4.0))
    session.close()


def test_run_holds_back_at_the_number_in_flight() -> None:
    """The frame that was in the slot is waited for before its buffers are used again."""
    job, device = make_job(), FakeDevice()
    session = open_session(job, device, in_flight=2)
    frames = make_frames(job, 3)
    results = [allocate_planes(job.target) for _ in frames]
    before = device.calls.count("synchronize")
    session.run(frames[0], results[0])
    session.run(frames[1], results[1])
    assert device.calls.count("synchronize") == before
    assert not equal(results[0], doubled(frames[0]))
    session.run(frames[2], results[2])
    assert device.calls.count("synchronize") == before + 1
    assert equal(results[0], doubled(frames[0])), "its staged result is brought home, though nobody waited"
    assert not equal(results[1], doubled(frames[1]))
    session.close()
    assert equal(results[2], doubled(frames[2]))


def test_the_host_synchronises_once_per_frame_and_never_the_device() -> None:
    job, device = make_job(), FakeDevice()
    session = open_session(job, device)
    frames, outputs = make_frames(job, 8), allocate_planes(job.target)
    before = device.calls.count("synchronize")
    for planes in frames:
        completion = session.run(planes, outputs)
        completion.wait()
        completion.wait()
    assert device.calls.count("synchronize") == before + len(frames)
    session.close()


def test_every_slot_carries_its_strength() -> None:
    job, device = make_job(conditioned=True), FakeDevice()
    session = open_session(job, device)
    (planes,) = make_frames(job, 1)
    for plane in planes:
        np.minimum(plane, 150, out=plane)
    strengths = [0.0, 0.25, 1.0, 0.5, 0.75, 0.1]
    results = [allocate_planes(job.target) for _ in strengths]
    for completion in [session.run(planes, r, s) for r, s in zip(results, strengths, strict=True)]:
        completion.wait()
    for result, strength in zip(results, strengths, strict=True):
        assert equal(result, doubled(planes, strength))
    session.close()


def test_many_threads_may_run_one_session() -> None:
    job, device = make_job(), FakeDevice()
    session, frames, wrong = open_session(job, device), make_frames(job, 4), []

    def work(planes) -> None:
        outputs = allocate_planes(job.target)
        for _ in range(10):
            session.run(planes, outputs).wait()
            if not equal(outputs, doubled(planes)):
                wrong.append(1)

    threads = [threading.Thread(target=work, args=(planes,)) for planes in frames]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)
    with clean(device):
        session.close()


def test_closed_sessions_do_not_run_and_close_twice() -> None:
    job, device = make_job(), FakeDevice()
    session = open_session(job, device)
    (planes,), outputs = make_frames(job, 1), allocate_planes(job.target)
    pending = session.run(planes, outputs)
    with clean(device):
        session.close()
    pending.wait()
    assert equal(outputs, doubled(planes))
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run(planes, outputs)


@pytest.mark.parametrize("refused", ["begin_capture", "end_capture", "launch_graph"])
def test_without_graphs_kernels_are_launched(refused: str, caplog: pytest.LogCaptureFixture) -> None:
    job, device = make_job(), FakeDevice(refuses=frozenset({refused}))
    with clean(device), caplog.at_level(logging.WARNING):
        session = open_session(job, device)
        assert not session.graphs and "CUDA graphs are not used" in caplog.text
        (planes,), outputs = make_frames(job, 1), allocate_planes(job.target)
        session.run(planes, outputs).wait()
        assert equal(outputs, doubled(planes))
        session.close()


def test_a_graph_that_computes_something_else_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    class Forgetful(FakeDevice):
        """Records every kernel of a capture but the last."""

        def end_capture(self, stream):
            graph = super().end_capture(stream)
            graph.recorded = graph.recorded[:-1]
            return graph

    job, device = make_job(), Forgetful()
    with clean(device), caplog.at_level(logging.WARNING):
        session = open_session(job, device)
        assert not session.graphs and "samples differ" in caplog.text
        (planes,), outputs = make_frames(job, 1), allocate_planes(job.target)
        session.run(planes, outputs).wait()
        assert equal(outputs, doubled(planes))
        session.close()


def nan_kernel(bad: int) -> FakeKernel:
    """Spoils the frame whose first sample is `bad`, and says so in the status word."""

    def run(source, target, strength, status, *rest) -> None:
        DOUBLE.run(source, target, strength, status, *rest)
        if source[0] == bad:
            target[:100] = 0
            status[0] = 1

    return FakeKernel(run, DOUBLE.reads, DOUBLE.writes)


@pytest.mark.parametrize("pinned", [True, False])
def test_frames_of_nan_are_computed_again(pinned: bool, caplog: pytest.LogCaptureFixture) -> None:
    job, device, made = make_job(), FakeDevice({"double": nan_kernel(bad=77)}), []

    def second_opinion() -> CpuDoubling:
        made.append(CpuDoubling(job))
        return made[-1]

    with clean(device), caplog.at_level(logging.WARNING):
        session = open_session(job, device, second_opinion=second_opinion, graphs=False)
        make = session.allocate_planes if pinned else allocate_planes
        for first in (5, 77, 6, 77):
            inputs, outputs = make(job.source), make(job.target)
            for mine, theirs in zip(inputs, make_frames(job, 1)[0], strict=True):
                mine[:] = theirs
            inputs[0][0, 0] = first
            session.run(inputs, outputs).wait()
            assert equal(outputs, doubled(inputs)), first
        assert session.reruns == made[0].runs == 2 and len(made) == 1
        assert caplog.text.count("NaN") == 1
        session.close()
    assert made[0].closed


@pytest.mark.parametrize("hours", [1, 10])
def test_times_are_as_fine_after_hours(hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's times are float32 milliseconds: ten hours after an event they come in steps of 2 ms."""
    now = [0.0]
    monkeypatch.setattr(timer, "perf_counter", lambda: now[0])
    kernel = FakeKernel(DOUBLE.run, DOUBLE.reads, DOUBLE.writes, seconds=0.0007)
    job, device, trace = make_job(), FakeDevice({"double": kernel}, copy_seconds=0.0003), Trace()
    session = open_session(job, device)
    session.trace(trace)
    outputs = allocate_planes(job.target)
    for planes in make_frames(job, 12):
        now[0] += hours * 300
        device.host.time[threading.get_ident()] = now[0]
        session.run(planes, outputs).wait()
    session.close()
    assert session.pace == pytest.approx(3 * 0.0007, rel=1e-3)
    for span in trace.spans[-3:]:
        what = {"upload": 3 * 0.0003, "compute": 3 * 0.0007, "download": 4 * 0.0003}[span.track]
        assert span.end - span.begin == pytest.approx(what, rel=1e-3)
        assert now[0] <= span.begin < now[0] + 0.01


def test_a_lane_measures_from_a_new_base_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(timer, "perf_counter", lambda: now[0])
    job, device = make_job(), FakeDevice()
    session = open_session(job, device, in_flight=2)
    session.time()
    (planes,), outputs = make_frames(job, 1), allocate_planes(job.target)

    def synchronised() -> int:
        before = device.calls.count("synchronize")
        session.run(planes, outputs).wait()
        return device.calls.count("synchronize") - before

    assert [synchronised() for _ in range(4)] == [1] * 4
    now[0] = timer.REBASE_SECONDS
    assert [synchronised() for _ in range(4)] == [2, 2, 1, 1], "each slot once"
    session.close()


def test_traces_show_the_three_streams() -> None:
    job, device, trace = make_job(), FakeDevice(), Trace()
    session = open_session(job, device)
    with clean(device):
        session.trace(trace)
        outputs = allocate_planes(job.target)
        for planes in make_frames(job, 3):
            session.run(planes, outputs).wait()
        session.close()
    spans = {(span.track, span.name): span for span in trace.spans}
    assert len(spans) == 9
    upload, compute, download = (spans[track, "frame 1"] for track in ("upload", "compute", "download"))
    assert upload.end - upload.begin == pytest.approx(3.0)
    assert compute.end - compute.begin == pytest.approx(3 * DOUBLE.seconds)
    assert upload.end <= compute.begin and compute.end <= download.begin


# The fake device itself: what it is there to notice, it notices.


def test_fake_notices_a_missing_event() -> None:
    device = FakeDevice()
    with device.current():
        memory, host = device.allocate(64), device.allocate_host(64)
        first, second = device.stream("a"), device.stream("b")
        plane = DevicePlane(pointer=memory.handle, pitch=64, row_bytes=64, rows=1)
        device.upload(host.array, plane, first)
        with pytest.raises(Misuse, match="download in stream b and upload in stream a"):
            device.download(plane, device.allocate_host(64).array, second)


def test_fake_notices_a_reused_host_buffer() -> None:
    device = FakeDevice()
    with device.current():
        memory, host, event = device.allocate(64), device.allocate_host(64), device.event()
        stream = device.stream("a")
        device.upload(host.array, DevicePlane(pointer=memory.handle, pitch=64, row_bytes=64, rows=1), stream)
        host.array[3] = 1
        device.record(event, stream)
        with pytest.raises(Misuse, match="changed while it was being uploaded"):
            device.synchronize(event)


def test_fake_notices_release_too_soon_pageable_memory_and_no_context() -> None:
    device = FakeDevice()
    with pytest.raises(Misuse, match="outside"):
        device.allocate(1)
    with device.current():
        memory, host, stream = device.allocate(64), device.allocate_host(64), device.stream("a")
        plane = DevicePlane(pointer=memory.handle, pitch=64, row_bytes=64, rows=1)
        with pytest.raises(Misuse, match="pageable"):
            device.upload(np.zeros(64, np.uint8), plane, stream)
        device.upload(host.array, plane, stream)
        with pytest.raises(Misuse, match="may use it"):
            device.release(memory)
        with pytest.raises(Misuse, match="points at nothing"):
            device.clear(memory.handle + 64, 1, stream)
