"""Sessions on a real GPU: graphs, several at once, timing, too little memory, failures, what comes after."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from functools import partial

import pytest
from gpu_material import assert_close, by_cpu, computed, frames, make_job, same

from paragon_stream.device import Device, DeviceInfo
from paragon_stream.errors import EngineError
from paragon_stream.framejob import FrameJob
from paragon_stream.pipeline.trace import Trace
from paragon_stream.runtimes import Runtime, Session, SessionOptions
from paragon_stream.runtimes.cuda import loader
from paragon_stream.runtimes.gpu.compilation import compile_on_devices, open_device
from paragon_stream.runtimes.gpu.session import DeviceSession
from paragon_stream.runtimes.tiles import TiledSession

pytestmark = pytest.mark.gpu


def compile_cuda(job: FrameJob, gpu: DeviceInfo, *, graphs: bool = True) -> Session:
    return compile_on_devices(job, [partial(open_device, gpu.ordinal)], loader, graphs=graphs)


@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_graphs_give_what_launches_give(gpu: DeviceInfo, variant: str) -> None:
    job, results = make_job(variant), []
    inputs = frames(job, 9)
    for graphs in (True, False):
        session = compile_cuda(job, gpu, graphs=graphs)
        assert isinstance(session, DeviceSession) and session.graphs is graphs
        results.append(computed(session, inputs))
        session.close()
    assert same(*results)


def test_page_locked_planes_and_others_give_the_same(gpu: DeviceInfo) -> None:
    job = make_job()
    session = compile_cuda(job, gpu)
    assert isinstance(session, DeviceSession)
    inputs = frames(job, 3)
    plain = computed(session, inputs)
    for planes, expected in zip(inputs, plain, strict=True):
        locked, result = session.allocate_planes(job.source), session.allocate_planes(job.target)
        for mine, theirs in zip(locked, planes, strict=True):
            mine[:] = theirs
        session.run(locked, result).wait()
        assert same([result], [expected])
    session.close()


def test_two_sessions_at_once(gpu_engine: Runtime) -> None:
    """Sessions of two sizes, in two threads; then the first again, after the other was closed."""
    jobs = [make_job(), make_job(size=(320, 240))]
    inputs = [frames(job, 12) for job in jobs]
    sessions = [gpu_engine.compile(job, SessionOptions()) for job in jobs]
    results: dict[int, list] = {}

    def work(number: int) -> None:
        results[number] = computed(sessions[number], inputs[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == 2
    for number, job in enumerate(jobs):
        for got, wanted in zip(results[number], by_cpu(job, inputs[number]), strict=True):
            assert_close(job, got, wanted)
    sessions[1].close()
    assert same(computed(sessions[0], inputs[0]), results[0])
    sessions[0].close()


def test_traces_have_every_stream(gpu: DeviceInfo) -> None:
    job, trace = make_job(size=(1280, 720)), Trace()
    session = compile_cuda(job, gpu)
    assert isinstance(session, DeviceSession)
    session.trace(trace)
    computed(session, frames(job, 8))
    session.close()
    assert len(trace.spans) == 3 * 8 and session.pace > 0
    assert all(0 < span.end - span.begin < 1 for span in trace.spans)
    for name in {span.name for span in trace.spans}:
        spans = {span.track: span for span in trace.spans if span.name == name}
        assert spans["upload"].end <= spans["compute"].begin + 1e-3
        assert spans["compute"].end <= spans["download"].begin + 1e-3


def test_too_little_memory_means_tiles(
    gpu: DeviceInfo, device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    """Tiles while most of the GPU's memory is occupied, and whole frames after its release."""
    job = make_job("stream", size=(1920, 1080))
    inputs = frames(job, 1)
    expected = by_cpu(job, inputs)
    with device.current():
        taken, left = [], 192 << 20
        while (free := device.free_memory()) > left + (8 << 20):
            taken.append(device.allocate(min(free - left, 8 << 30)))
    try:
        with caplog.at_level(logging.WARNING, "paragon_stream"):
            session = compile_cuda(job, gpu)
        assert isinstance(session, TiledSession) and "trying tiles" in caplog.text
        assert_close(job, computed(session, inputs)[0], expected[0])
        session.close()
    finally:
        with device.current():
            for each in taken:
                device.release(each)
    session = compile_cuda(job, gpu)
    assert isinstance(session, DeviceSession)
    assert_close(job, computed(session, inputs)[0], expected[0])
    session.close()
    device.close()


def test_sessions_give_their_memory_back(gpu_engine: Runtime, device: Device) -> None:
    """After five of them no less is free than after two."""
    job, free = make_job(size=(640, 360)), []
    for _ in range(5):
        session = gpu_engine.compile(job, SessionOptions())
        computed(session, frames(job, 2))
        session.close()
        with device.current():
            free.append(device.free_memory())
    device.close()
    assert free[-1] >= free[1] - (16 << 20), free


def test_an_image_that_is_none_is_refused_and_nothing_else_suffers(gpu: DeviceInfo, device: Device) -> None:
    with device.current(), pytest.raises(EngineError, match="CUDA: "):
        device.load(b"this is no code\0")
    job = make_job()
    session = compile_cuda(job, gpu)
    inputs = frames(job, 1)
    assert_close(job, computed(session, inputs)[0], by_cpu(job, inputs)[0])
    session.close()
    device.close()


CRASH = """
import sys
import numpy as np
from paragon_stream.device.cuda import CudaDevice
from paragon_stream.errors import EngineError
from paragon_stream.runtimes.gpu.nvrtc import architecture_for, compile_source

device = CudaDevice({ordinal})
source = 'extern "C" __global__ void wild(int* where) {{ *where = 1; }}'
with device.current():
    code, _ = compile_source(source, architecture_for(device.info.sm))
    stream, event = device.stream("wild"), device.event()
    kernel = device.kernel(device.load(code), "wild")
    try:
        device.launch(
            kernel, grid=(1, 1, 1), block=(1, 1, 1), shared_bytes=0, arguments=[64], stream=stream
        )
        device.record(event, stream)
        device.synchronize(event)
    except EngineError as error:
        print(error)
    try:
        device.allocate(64)
    except EngineError as error:
        print("again:", error)
"""


def test_a_kernel_that_writes_anywhere_is_an_error_and_ends_only_its_process(gpu: DeviceInfo) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", CRASH.format(ordinal=gpu.ordinal)], capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    assert "illegal memory access" in answer.stdout and "again: CUDA: " in answer.stdout
    session = compile_cuda(make_job(), gpu)
    session.close()
