"""A device session when the device fails: at any call, at a kernel, out of memory, interrupted."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from device_material import DOUBLE, clean, doubled, make_frames, make_job, open_session, render_with
from fake_device import FakeDevice, FakeKernel

from paragon_stream.errors import DeviceMemoryError, EngineError
from paragon_stream.framejob import FrameJob

FRAMES = 6


def short_run(job: FrameJob, device: FakeDevice, *, graphs: bool = True) -> None:
    """Open, run a few frames with several in flight, close whatever happens; raises what went wrong first."""
    session = open_session(job, device, in_flight=2, graphs=graphs)
    try:
        slots = [(session.allocate_planes(job.source), session.allocate_planes(job.target)) for _ in range(3)]
        frames, pending = make_frames(job, FRAMES), deque()
        for number, planes in enumerate(frames):
            if len(pending) == len(slots):
                pending.popleft().wait()
            inputs, outputs = slots[number % len(slots)]
            for mine, theirs in zip(inputs, planes, strict=True):
                mine[:] = theirs
            pending.append(session.run(inputs, outputs))
        while pending:
            pending.popleft().wait()
    finally:
        session.close()


@pytest.mark.parametrize("lost", [False, True], ids=["one call fails", "all calls fail from there"])
def test_an_error_at_any_call_is_one_clear_error(lost: bool) -> None:
    """Every call of a run fails once, each in a run of its own."""
    job, device = make_job(16, 16), FakeDevice()
    short_run(job, device)
    calls, plain, opening = device.calls, FakeDevice(), FakeDevice()
    open_session(job, plain, in_flight=2, graphs=False)
    open_session(job, opening, in_flight=2)
    trying_graphs = range(len(plain.calls), len(opening.calls))
    for number, kind in enumerate(calls):
        device = FakeDevice(fail_at=number, broken_after=lost)
        with clean_but_for(kind, device):
            try:
                short_run(job, device)
                reported = False
            except EngineError as error:
                reported = "injected failure" in str(error)
        # Cleaning up logs what it meets; without graphs the session goes on.
        recovers = kind in ("release", "close") or (number in trying_graphs and not lost)
        assert reported is not recovers, (number, kind)


def clean_but_for(kind: str, device: FakeDevice):
    """A `release` that failed leaves its resource behind, and nothing else does."""
    if kind != "release":
        return clean(device)

    class Leftover:
        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None:
            assert device.misuse == [] and device.closed and len(device.live) <= 1

    return Leftover()


def test_a_failing_kernel_is_reported_by_its_frame() -> None:
    def run(source, *rest) -> None:
        if source[0] == 99:
            raise EngineError("CUDA: an illegal memory access was encountered")
        DOUBLE.run(source, *rest)

    job = make_job()
    device = FakeDevice({"double": FakeKernel(run, DOUBLE.reads, DOUBLE.writes)})
    session = open_session(job, device, graphs=False)
    (planes,) = make_frames(job, 1)
    outputs = session.allocate_planes(job.target)
    planes[0][0, 0] = 1
    session.run(planes, outputs).wait()
    planes[0][0, 0] = 99
    bad = session.run(planes, outputs)
    for _ in range(2):
        with pytest.raises(EngineError, match="illegal memory access"):
            bad.wait()
    session.close()
    assert device.live == [] and device.misuse == []


def test_out_of_memory_holds_nothing() -> None:
    job = make_job()
    device = FakeDevice()
    open_session(job, device).close()
    need = device.peak_memory
    for limit in range(0, need, need // 20):
        short = FakeDevice(memory_limit=limit)
        with clean(short), pytest.raises(DeviceMemoryError, match="out of memory"):
            open_session(job, short)
    enough = FakeDevice(memory_limit=need)
    open_session(job, enough).close()


def render(device: FakeDevice, *, stop_at: int | None = None, count: int = 30) -> list[int]:
    return render_with(open_session(make_job(), device), stop_at=stop_at, count=count)


def test_through_the_pipeline_in_order() -> None:
    device = FakeDevice()
    with clean(device):
        assert render(device) == list(range(30))


def test_interrupted_in_the_middle() -> None:
    device = FakeDevice()
    with clean(device), pytest.raises(KeyboardInterrupt):
        render(device, stop_at=5, count=10_000)


def test_a_failure_in_the_pipeline_names_stage_and_frame() -> None:
    started = FakeDevice()
    render(started, count=0)
    opened = len([c for c in started.calls if c not in ("release", "close")])
    for extra in (0, 3, 40, 95):
        device = FakeDevice(fail_at=opened + extra, broken_after=True)
        with clean(device), pytest.raises(EngineError, match="injected") as caught:
            render(device)
        assert any(note.startswith("in stage ") for note in caught.value.__notes__)


def test_strides_between_rows_are_kept() -> None:
    """Widths that are no multiple of the pitch: rows of 6 bytes lie 64 apart on the device."""
    job, device = make_job(18, 16), FakeDevice()
    with clean(device):
        session = open_session(job, device)
        (planes,) = make_frames(job, 1)
        outputs = session.allocate_planes(job.target)
        session.run(planes, outputs).wait()
        assert all(map(np.array_equal, outputs, doubled(planes)))
        session.close()
