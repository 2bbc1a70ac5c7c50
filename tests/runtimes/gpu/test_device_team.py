"""Several devices on one stream, on fake devices of one machine: shares, order, waiting, failures."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

import numpy as np
import pytest
from device_material import (
    DOUBLE,
    CpuDoubling,
    DoublingProgram,
    clean,
    doubled,
    make_frames,
    make_job,
    open_session,
    render_with,
)
from fake_device import FakeDevice, FakeHost, FakeKernel

from paragon_stream.errors import EngineError
from paragon_stream.framejob import FrameJob, allocate_planes
from paragon_stream.pipeline.trace import Trace
from paragon_stream.runtimes.base import DeviceBound, TakesPictures
from paragon_stream.runtimes.gpu.compilation import compile_on_devices
from paragon_stream.runtimes.gpu.team import DeviceTeam
from paragon_stream.runtimes.tiles import TiledSession


def kernel(seconds: float) -> FakeKernel:
    return FakeKernel(DOUBLE.run, DOUBLE.reads, DOUBLE.writes, seconds=seconds)


def machine(*seconds: float, **options) -> list[FakeDevice]:
    """A device for each number: seconds of a kernel, of which frames have three; copies take next to none."""
    host = FakeHost()
    return [
        FakeDevice({"double": kernel(each)}, host=host, ordinal=number, copy_seconds=0.01, **options)
        for number, each in enumerate(seconds)
    ]


def team_of(job: FrameJob, devices: Sequence[FakeDevice], **options) -> DeviceTeam:
    return DeviceTeam([open_session(job, device, **options) for device in devices])


def timed_run(session, devices: Sequence[FakeDevice], count: int) -> tuple[float, list[int]]:
    """Virtual seconds for `count` frames that are waited for in order, and how many each device computed."""
    job = session.job
    slots = [
        (session.allocate_planes(job.source), session.allocate_planes(job.target))
        for _ in range(session.in_flight + 4)
    ]
    for device in devices:
        device.timeline.clear()
    start = max(devices[0].host.time.values())
    pending: deque = deque()
    for number in range(count):
        if len(pending) == len(slots):
            expect(*pending.popleft())
        inputs, outputs = slots[number % len(slots)]
        for plane in inputs:
            plane[:] = number
        pending.append((session.run(inputs, outputs), outputs, number))
    while pending:
        expect(*pending.popleft())
    kernels = [[span for span in device.timeline if span.name == "double"] for device in devices]
    end = max(span.end for device in devices for span in device.timeline)
    return end - start, [len(each) // 3 for each in kernels]


def expect(completion, outputs, number: int) -> None:
    completion.wait()
    assert all((plane == number).all() for plane in outputs), number


@pytest.mark.parametrize(
    ("seconds", "shares", "gain"),
    [
        ((1.0, 1.0), (0.5, 0.5), 1.9),
        ((1.0, 1.0, 1.0), (1 / 3, 1 / 3, 1 / 3), 2.8),
        ((1.0, 2.0), (0.67, 0.33), 1.4),
        ((3.0, 1.0), (0.25, 0.75), 1.2),
        ((1.0, 20.0), (1.0, 0.0), 0.99),
    ],
)
def test_frames_are_dealt_out_by_speed(seconds, shares, gain: float) -> None:
    job, count = make_job(), 60
    devices = machine(*seconds)
    team = team_of(job, devices)
    assert team.in_flight == 4 * len(seconds)
    took, frames = timed_run(team, devices, count)
    assert sum(frames) == count
    assert [each / count for each in frames] == pytest.approx(shares, abs=0.07)
    alone = 3 * min(seconds) * count
    assert alone / took >= gain
    assert all(f"{each} frames" in team.device for each in frames if each)
    team.close()
    for device in devices:
        with clean(device):
            pass


def test_a_device_that_slows_down_gets_less() -> None:
    job, devices = make_job(), machine(1.0, 1.0)
    team = team_of(job, devices, graphs=False)
    timed_run(team, devices, 20)
    devices[1].kernels["double"] = kernel(5.0)
    slow = team._members[1].session
    slow._slots[0]._program._kernel = devices[1].kernels["double"]
    _, (first, second) = timed_run(team, devices, 60)
    assert first > 3 * second
    team.close()


def test_the_caller_waits_while_all_are_full() -> None:
    job, devices = make_job(), machine(1.0, 1.0)
    team = team_of(job, devices, in_flight=2)
    frames, results = make_frames(job, 5), [allocate_planes(job.target) for _ in range(5)]
    before = [device.calls.count("synchronize") for device in devices]
    for planes, outputs in zip(frames[:4], results, strict=False):
        team.run(planes, outputs)
    assert [device.calls.count("synchronize") for device in devices] == before
    team.run(frames[4], results[4])
    assert sum(device.calls.count("synchronize") for device in devices) == sum(before) + 1
    team.close()
    for planes, outputs in zip(frames, results, strict=True):
        assert all(map(np.array_equal, outputs, doubled(planes)))
    team.close()
    with pytest.raises(EngineError, match="the session is closed"):
        team.run(frames[0], results[0])


def test_slots_are_page_locked_for_all_and_pictures_come_to_the_host() -> None:
    job, devices = make_job(), machine(1.0, 1.0)
    team = team_of(job, devices)
    planes = team.allocate_planes(job.source)
    assert all(member.session.is_pinned(planes) for member in team._members)
    assert isinstance(team, DeviceBound) and not isinstance(team, TakesPictures)
    team.close()


def test_through_the_pipeline_in_order_and_interrupted() -> None:
    for stop_at, count in ((None, 40), (7, 10_000)):
        devices = machine(1.0, 3.0)
        if stop_at is None:
            assert render_with(team_of(make_job(), devices), count=count) == list(range(count))
        else:
            with pytest.raises(KeyboardInterrupt):
                render_with(team_of(make_job(), devices), count=count, stop_at=stop_at)
        for device in devices:
            with clean(device):
                pass


def calls_until_open() -> list[int]:
    """The calls of each device until frames come."""
    devices = machine(1.0, 1.0)
    render_with(team_of(make_job(), devices), count=0)
    return [len([c for c in device.calls if c not in ("release", "close")]) for device in devices]


@pytest.mark.parametrize("broken_after", [True, False])
def test_one_that_fails_is_left_out_and_its_frames_are_computed(
    broken_after: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """At every call of its first frames, and at some later ones."""
    _, opened = calls_until_open()
    for extra in (*range(40), 95, 150):
        caplog.clear()
        devices = machine(1.0, 1.0)
        devices[1].fail_at, devices[1].broken_after = opened + extra, broken_after
        team = team_of(make_job(), devices)
        with caplog.at_level(logging.WARNING):
            assert render_with(team, count=20) == list(range(20)), extra
        if devices[1].calls[opened + extra] == "has_happened" and not broken_after:
            continue  # a device that answers afterwards is no broken one
        failed = "cuda:1: Fake GPU (sm_89, 1 GiB) failed at frame"
        assert caplog.text.count(failed) == 1 and "cuda:0 will compute them" in caplog.text, extra
        assert "failed at frame" in team.device
        for device in devices:
            assert device.misuse == [] and device.live == [] and device.closed, extra


def test_when_the_last_one_fails_that_is_the_error() -> None:
    opened = calls_until_open()
    for extra in (0, 7, 33, 80):
        devices = machine(1.0, 1.0)
        for device, until_open in zip(devices, opened, strict=True):
            device.fail_at, device.broken_after = until_open + extra, True
        with pytest.raises(EngineError, match="injected failure") as caught:
            render_with(team_of(make_job(), devices))
        assert any(note.startswith("in stage ") for note in caught.value.__notes__)
        for device in devices:
            assert device.misuse == [] and device.live == [] and device.closed


def test_a_frame_that_no_device_could_compute_says_so_again_and_again() -> None:
    job, devices = make_job(), machine(1.0, 1.0)
    team = team_of(job, devices)
    (planes,), outputs = make_frames(job, 1), allocate_planes(job.target)
    pending = team.run(planes, outputs)
    for device in devices:
        device.fail_at, device.broken_after = len(device.calls), True
    for _ in range(2):
        with pytest.raises(EngineError, match="injected failure"):
            pending.wait()
    with pytest.raises(EngineError, match="all GPUs have failed: cuda:0"):
        team.run(planes, outputs)
    team.close()


def off_by(codes: int) -> FakeKernel:
    def run(source, target, *rest) -> None:
        DOUBLE.run(source, target, *rest)
        target[0] += codes

    return FakeKernel(run, DOUBLE.reads, DOUBLE.writes)


def test_devices_must_compute_the_same(caplog: pytest.LogCaptureFixture) -> None:
    job, devices = make_job(), machine(1.0, 1.0)
    devices[1].kernels["double"] = off_by(1)
    with caplog.at_level(logging.WARNING):
        team_of(job, devices).close()
    assert "differ by up to 1 codes: the result depends on the GPU of each frame" in caplog.text
    devices = machine(1.0, 1.0)
    devices[1].kernels["double"] = off_by(2)
    sessions = [open_session(job, device) for device in devices]
    with pytest.raises(EngineError, match="differ by up to 2 codes: they cannot work on one video"):
        DeviceTeam(sessions)
    for session in sessions:
        session.close()


def test_traces_name_the_devices() -> None:
    job, devices, trace = make_job(), machine(1.0, 1.0), Trace()
    team = team_of(job, devices)
    team.trace(trace)
    timed_run(team, devices, 6)
    team.close()
    spans = {(span.track, span.name) for span in trace.spans}
    assert {name for track, name in spans if track.endswith("compute")} == {f"frame {n}" for n in range(6)}
    assert {track for track, _ in spans} == {
        f"cuda:{n} {stream}" for n in range(2) for stream in ("upload", "compute", "download")
    }


class Opened:
    """Compiles a team as engines do, on new devices of one machine with so much memory and such kernels."""

    def __init__(self, job: FrameJob) -> None:
        self.job, self.host, self.devices = job, FakeHost(), []

    def compile(self, *limits: int | None, kernels: Sequence[FakeKernel] = (DOUBLE, DOUBLE)):
        def opener(ordinal: int, limit: int | None, kernel: FakeKernel):
            def open_device() -> FakeDevice:
                device = FakeDevice({"double": kernel}, host=self.host, ordinal=ordinal, memory_limit=limit)
                self.devices.append(device)
                return device

            return open_device

        def load_for(fitting: FrameJob):
            return lambda *where: DoublingProgram(fitting, *where)

        openers = [opener(n, *each) for n, each in enumerate(zip(limits, kernels, strict=True))]
        return compile_on_devices(self.job, openers, load_for, CpuDoubling)

    def check(self) -> None:
        for device in self.devices:
            with clean(device):
                pass


def test_of_several_devices_those_that_take_whole_frames_work(caplog: pytest.LogCaptureFixture) -> None:
    opened = Opened(make_job(400, 300, conditioned=True))
    with caplog.at_level(logging.WARNING):
        team = opened.compile(None, 8_000_000, None, kernels=[DOUBLE] * 3)
    assert isinstance(team, DeviceTeam) and "cuda:1" not in team.device and "cuda:2" in team.device
    assert "cuda:1: Fake GPU (sm_89, 1 GiB) is not used: whole frames do not fit" in caplog.text
    team.close()
    alone = opened.compile(8_000_000, 8_000_000)
    assert isinstance(alone, TiledSession) and alone.device.startswith("cuda:0")
    alone.close()
    opened.check()


def test_one_that_is_wrong_at_the_start_is_an_error() -> None:
    def blacken(source, target, *rest) -> None:
        DOUBLE.run(source, target, *rest)
        target[:] = 16

    wrong, opened = FakeKernel(blacken, DOUBLE.reads, DOUBLE.writes), Opened(make_job(conditioned=True))
    with pytest.raises(EngineError, match=r"cuda:1: Fake GPU .* computes a wrong result"):
        opened.compile(None, None, kernels=[DOUBLE, wrong])
    opened.check()
