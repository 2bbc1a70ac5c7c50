"""Engines on a device: the check at the start, tiles where memory is short, which GPU, the glue of each."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from device_material import clean, make_frames, make_job
from fake_device import FakeDevice, FakeKernel
from session_material import one_thread

from paragon_stream.device import Device, Stream, discovery
from paragon_stream.device.discovery import ordinals
from paragon_stream.errors import DeviceMemoryError, EngineError, UsageError
from paragon_stream.framejob import FrameJob, allocate_planes
from paragon_stream.runtimes import Precision
from paragon_stream.runtimes.gpu.compilation import compile_on_device
from paragon_stream.runtimes.gpu.program import DeviceFrame, Hold
from paragon_stream.runtimes.tiles import TiledSession

type Planes = list[np.ndarray]


class FrameJobProgram:
    """One launch that computes the job itself, by the CPU; `spoil` may change what comes out."""

    engine = "fake"
    precision = Precision.FP32
    slack = 0

    def __init__(self, job: FrameJob, device: Device, hold: Hold) -> None:
        self._device = device
        self.input_pitches = tuple(_row_bytes(job.source))
        self.output_pitches = tuple(_row_bytes(job.target))
        hold(device.allocate(job.working_set))
        self._kernel = device.kernel(hold(device.load(b"")), f"job {job.source}")

    def enqueue(self, frame: DeviceFrame, stream: Stream) -> None:
        planes = [*frame.inputs, *frame.outputs]
        arguments = [*(plane.pointer for plane in planes), frame.strength, frame.status]
        self._device.launch(
            self._kernel, grid=(1, 1, 1), block=(1, 1, 1), shared_bytes=0, arguments=arguments, stream=stream
        )

    def is_healthy(self, status: int) -> bool:
        return status == 0

    def close(self) -> None: ...


def _row_bytes(format: Any) -> list[int]:
    sample = format.pixel_format.bytes_per_sample
    return [int(np.prod(shape[1:])) * sample for shape in format.plane_shapes]


def nothing_wrong(planes: Planes, status: np.ndarray) -> None: ...


class JobDevice(FakeDevice):
    """Knows the kernels of any frame job: they are looked up by what they compute."""

    def __init__(self, spoil: Callable[[Planes, np.ndarray], None] = nothing_wrong, **options: Any) -> None:
        super().__init__(**options)
        self._spoil = spoil
        self.jobs: list[FrameJob] = []

    def load_for(self, job: FrameJob) -> Callable[[Device, Hold], FrameJobProgram]:
        session = one_thread(job)
        count, results = len(job.source.plane_shapes), len(job.target.plane_shapes)
        self.jobs.append(job)

        def run(*arguments: np.ndarray) -> None:
            inputs, outputs = allocate_planes(job.source), allocate_planes(job.target)
            for plane, raw in zip(inputs, arguments, strict=False):
                plane.reshape(-1).view(np.uint8)[:] = raw[: plane.nbytes]
            strength = float(arguments[-2].view(np.float32)[0]) if job.spec.conditioned else 0.0
            session.run(inputs, outputs, strength).wait()
            status = arguments[-1][:4].view(np.uint32)
            self._spoil(list(outputs), status)
            for plane, raw in zip(outputs, arguments[count:], strict=False):
                raw[: plane.nbytes] = plane.reshape(-1).view(np.uint8)

        reads = (*range(count), count + results)
        writes = (*range(count, count + results), count + results + 1)
        self.kernels[f"job {job.source}"] = FakeKernel(run, reads, writes)
        return lambda device, hold: FrameJobProgram(job, device, hold)


def compile_fake(job: FrameJob, device: JobDevice, **options: Any) -> Any:
    return compile_on_device(job, lambda: device, device.load_for, one_thread, **options)


@pytest.mark.parametrize(
    ("name", "size"), [("yuv420p", (64, 48)), ("rgb24", (33, 21)), ("p010le", (250, 180))]
)
def test_an_engine_that_is_right_passes(
    name: str, size: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    job, device = make_job(*size, name), JobDevice()
    with clean(device), caplog.at_level(logging.INFO, "paragon_stream"):
        session = compile_fake(job, device, graphs=False)
        assert "agrees with the CPU" in caplog.text and session.reruns == 0
        session.close()


def nan(planes: Planes, status: np.ndarray) -> None:
    planes[0][3:9, 3:9] = 0
    status[0] = 1


def black(planes: Planes, status: np.ndarray) -> None:
    for plane, code in zip(planes, (16, 128, 128), strict=True):
        plane[...] = code


def exchanged(planes: Planes, status: np.ndarray) -> None:
    u = planes[1].copy()
    planes[1][...], planes[2][...] = planes[2], u


def full_range(planes: Planes, status: np.ndarray) -> None:
    for plane in planes:
        plane[...] = np.clip((plane.astype(float) - 16) * 255 / 219, 0, 255)


def shifted_chroma(planes: Planes, status: np.ndarray) -> None:
    for plane in planes[1:]:
        plane[:, 1:] = plane[:, :-1].copy()


def noisy(planes: Planes, status: np.ndarray) -> None:
    planes[0][...] += np.random.default_rng(0).integers(0, 9, planes[0].shape, np.uint8)


def lazy_corner(planes: Planes, status: np.ndarray) -> None:
    planes[0][-6:, -6:] = 90


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (nan, "computes NaN or infinity"),
        (black, "the picture is black"),
        (exchanged, "the second and the third plane are exchanged"),
        (full_range, "the range or the matrix is wrong"),
        (shifted_chroma, r"the colours are wrong .* dB, up to"),
        (noisy, "the picture differs in Y "),
        (lazy_corner, "the picture differs in Y "),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_engine_that_is_wrong_is_refused(spoil: Callable[..., None], words: str) -> None:
    job, device = make_job(260, 200), JobDevice(spoil)
    with clean(device), pytest.raises(EngineError, match=words) as caught:
        compile_fake(job, device, graphs=False)
    assert "engine fake on cuda:0: Fake GPU" in str(caught.value)


def test_too_little_memory_means_tiles(caplog: pytest.LogCaptureFixture) -> None:
    job, whole = make_job(400, 300), JobDevice()
    compile_fake(job, whole, graphs=False).close()
    device = JobDevice(memory_limit=whole.peak_memory // 3)
    devices = iter([device, JobDevice(memory_limit=whole.peak_memory // 3)])
    used: list[JobDevice] = []

    def open_device() -> JobDevice:
        used.append(next(devices))
        return used[-1]

    def load_for(fitting: FrameJob) -> Any:
        return lambda opened, hold: opened.load_for(fitting)(opened, hold)

    with caplog.at_level(logging.WARNING):
        session = compile_on_device(job, open_device, load_for, one_thread, graphs=False)
    assert "does not fit into the GPU's memory; trying tiles" in caplog.text
    (planes,) = make_frames(job, 1)
    got, expected = allocate_planes(job.target), allocate_planes(job.target)
    session.run(planes, got).wait()
    reference = one_thread(job)
    reference.run(planes, expected).wait()
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(got, expected, strict=True))
    with clean(used[0]), clean(used[1]):
        session.close()


@pytest.mark.parametrize("graphs", [True, False], ids=["while graphs are tried", "in the check"])
def test_a_first_frame_without_memory_means_tiles(graphs: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Libraries such as torch take their memory with the first frame. What failed holds nothing meanwhile."""
    job, left = make_job(400, 300), []
    devices: list[JobDevice] = []

    def open_device() -> JobDevice:
        gc.collect()
        left.append(sum(program() is not None for program in programs))
        devices.append(JobDevice())
        return devices[-1]

    programs: list[weakref.ref[Hungry]] = []

    class Hungry(FrameJobProgram):
        def enqueue(self, frame: DeviceFrame, stream: Stream) -> None:
            if self.job.source.width == 400:
                raise DeviceMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            super().enqueue(frame, stream)

    def load_for(fitting: FrameJob) -> Any:
        def load(opened: Any, hold: Hold) -> Hungry:
            opened.load_for(fitting)
            program = Hungry(fitting, opened, hold)
            program.job = fitting
            programs.append(weakref.ref(program))
            return program

        return load

    with caplog.at_level(logging.WARNING):
        session = compile_on_device(job, open_device, load_for, one_thread, graphs=graphs)
    assert isinstance(session, TiledSession) and "trying tiles" in caplog.text
    assert "graphs are not used" not in caplog.text
    assert left == [0] * len(devices) and len(devices) > 1
    with clean(devices[0]), clean(devices[-1]):
        session.close()


def test_precision_fp32_that_is_none_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    """TF32 would pass the check for pictures by far: 66 dB."""

    def tf32(planes: Planes, status: np.ndarray) -> None:
        rng = np.random.default_rng(0)
        for plane in planes:
            other = rng.random(plane.shape) < 0.01  # of the samples are rounded the other way
            plane[other] ^= 1

    job = make_job(64, 48)
    for spoil, warns in ((nothing_wrong, False), (tf32, True)):
        device = JobDevice(spoil)
        caplog.clear()
        with clean(device), caplog.at_level(logging.WARNING):
            compile_fake(job, device, graphs=False).close()
        assert ("is less exact than fp32" in caplog.text) is warns


def test_far_too_little_memory_is_said() -> None:
    job, opened = make_job(400, 300), []

    def open_device() -> JobDevice:
        opened.append(JobDevice(memory_limit=100_000))
        return opened[-1]

    def load_for(fitting: FrameJob) -> Any:
        return lambda device, hold: device.load_for(fitting)(device, hold)

    with pytest.raises(DeviceMemoryError, match=r"400x300 yuv420p does not fit .* not even in tiles of"):
        compile_on_device(job, open_device, load_for, one_thread)
    assert len(opened) > 1
    for device in opened:
        with clean(device):
            pass


@pytest.mark.parametrize(
    ("name", "numbers"),
    [(None, (0,)), ("cuda", (0,)), ("cuda:3", (3,)), ("cuda:2,cuda:0", (2, 0)), ("cuda, cuda:1", (0, 1))],
)
def test_which_gpus(name: str | None, numbers: tuple[int, ...]) -> None:
    assert ordinals(name) == numbers


def test_all_gpus_but_old_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    new = FakeDevice(ordinal=1).info
    old = replace(new, ordinal=0, compute_capability=(6, 1))
    monkeypatch.setattr(discovery, "find_gpus", lambda: ([old, new, replace(new, ordinal=2)], ""))
    assert ordinals("cuda:all") == (1, 2)
    monkeypatch.setattr(discovery, "find_gpus", lambda: ([], "none"))
    assert ordinals("cuda:all") == (0,)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "cpu", "cuda:0,cpu", "cuda:0,", "cuda:0,1"])
def test_no_gpu_of_that_name(name: str) -> None:
    with pytest.raises(UsageError, match="there is no GPU called"):
        ordinals(name)


def test_no_gpu_twice() -> None:
    with pytest.raises(UsageError, match="names a GPU twice"):
        ordinals("cuda,cuda:0")
