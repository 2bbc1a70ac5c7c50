"""Run by test_cuda_device.py in a process whose libcuda is the stub: each function is one test's body."""

from __future__ import annotations

import sys

import numpy as np
from device_material import CpuDoubling, DoublingProgram, doubled, make_frames, make_job

from paragon_stream.device.cuda import CudaDevice, device_infos
from paragon_stream.errors import DeviceMemoryError, EngineError
from paragon_stream.framejob import allocate_planes
from paragon_stream.pipeline.trace import Trace
from paragon_stream.runtimes.gpu.session import DeviceSession
from paragon_stream.runtimes.gpu.team import DeviceTeam


def facts() -> None:
    (first, second) = device_infos()
    assert str(second) == "cuda:1: Stub 1 (sm_86, 8 GiB)", second
    assert (first.multiprocessors, first.driver, first.sm) == (28, "13.2", 86), first
    expect(EngineError, "there is no device cuda:2; this machine has 2", lambda: CudaDevice(2))


def sessions() -> None:
    for name in ("yuv420p", "yuv420p10le", "rgb24", "p010le"):
        for graphs in (True, False):
            job = make_job(70, 38, name, conditioned=True)
            session = DeviceSession(
                job,
                CudaDevice(1),
                lambda *where, job=job: DoublingProgram(job, *where),
                second_opinion=lambda job=job: CpuDoubling(job),
                graphs=graphs,
            )
            assert session.graphs is graphs and session.device.startswith("cuda:1")
            trace = Trace()
            session.trace(trace)
            frames = make_frames(job, 7)
            for planes in frames:
                for plane in planes:
                    plane[...] //= 2
            results = [session.allocate_planes(job.target) for _ in frames]
            results[3] = allocate_planes(job.target)
            for done in [session.run(i, o, 0.25) for i, o in zip(frames, results, strict=True)]:
                done.wait()
            for planes, result in zip(frames, results, strict=True):
                assert all(map(np.array_equal, result, doubled(planes, 0.25)))
            assert len(trace.spans) == 3 * len(frames)
            session.close()


def team() -> None:
    job = make_job(70, 38, "yuv420p")
    team = DeviceTeam(
        [
            DeviceSession(
                job,
                CudaDevice(ordinal),
                lambda *where: DoublingProgram(job, *where),
                second_opinion=lambda: CpuDoubling(job),
            )
            for ordinal in range(2)
        ]
    )
    inputs, outputs = team.allocate_planes(job.source), team.allocate_planes(job.target)
    for planes in make_frames(job, 6):
        for mine, theirs in zip(inputs, planes, strict=True):
            mine[:] = theirs
        team.run(inputs, outputs).wait()
        assert all(map(np.array_equal, outputs, doubled(planes)))
    assert "Stub 0" in team.device and "Stub 1" in team.device, team.device
    team.close()


def errors() -> None:
    device = CudaDevice()
    expect(EngineError, r"CUDA: invalid device context", lambda: device.allocate(64))
    with device.current():
        expect(DeviceMemoryError, "out of memory", lambda: device.allocate(1 << 40))
        module = device.load(b"doubling")
        expect(EngineError, "named symbol not found", lambda: device.kernel(module, "nothing"))
        device.kernel(module, "double", shared_bytes=96 << 10)
        untimed = device.event()
        assert device.has_happened(untimed)
        expect(EngineError, "invalid argument", lambda: device.elapsed(untimed, untimed))
        for resource in (module, untimed):
            device.release(resource)
        assert device.free_memory() == 64 << 20
    device.close()
    device.close()
    expect(EngineError, "closed", lambda: device.current().__enter__())


def expect(kind: type[Exception], text: str, call) -> None:
    try:
        call()
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"no {kind.__name__}")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
