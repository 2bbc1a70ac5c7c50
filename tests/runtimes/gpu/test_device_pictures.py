"""Pictures that a decoder left in device memory: copied on the device, kept until then, back for a rerun."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from device_material import DOUBLE, CpuDoubling, clean, doubled, make_frames, make_job, open_session
from fake_device import FakeDevice, FakeKernel, FakeResource, Misuse

from paragon_stream import upscaler
from paragon_stream.device import DevicePicture, DevicePlane
from paragon_stream.device.discovery import find_gpus
from paragon_stream.errors import EngineError
from paragon_stream.framejob import FrameJob, allocate_planes
from paragon_stream.media.encode.device_frames import DeviceFrames
from paragon_stream.render.kept import KeptUpscalers
from paragon_stream.upscaler import UpscalerOptions

PITCH = 256


class Surface:
    """Keeps a picture: when it is released, the decoder overwrites it with the next one, as decoders do."""

    def __init__(self, decoder: FakeDecoder, memories: list[FakeResource]) -> None:
        weakref.finalize(self, decoder.paint, memories, [])


class FakeDecoder:
    """Paints pictures into surfaces of its own, by kernels in the default stream."""

    def __init__(self, device: FakeDevice, job: FrameJob) -> None:
        self._device, self._job = device, job
        self._surfaces: list[FakeResource] = []
        self._next: list[bytes] = []
        device.kernels["paint"] = FakeKernel(self._paint, (), (0,), seconds=0.5)

    def decode(self, planes: tuple[np.ndarray, ...]) -> DevicePicture:
        memories, described, rows = [], [], []
        with self._device.current():
            for plane in planes:
                flat = plane.reshape(plane.shape[0], -1).view(np.uint8)
                memories.append(self._device.allocate(PITCH * flat.shape[0]))
                rows.append(flat)
                described.append(
                    DevicePlane(
                        pointer=memories[-1].handle, pitch=PITCH, row_bytes=flat.shape[1], rows=len(flat)
                    )
                )
        self._surfaces += memories
        self.paint(memories, rows)
        return DevicePicture(planes=tuple(described), owner=Surface(self, memories))

    def paint(self, memories: list[FakeResource], rows: list[np.ndarray]) -> None:
        if self._device.closed:
            return
        with self._device.current():
            kernel = FakeKernel(self._paint, (), (0,), 0.5, "paint")
            for index, memory in enumerate(memories):
                picture = rows[index].copy() if rows else np.full((memory.size // PITCH, 1), 0x77, np.uint8)
                self._next.append(picture)
                number = np.int32(len(self._next) - 1)
                self._device.launch(
                    kernel,
                    grid=(1, 1, 1),
                    block=(1, 1, 1),
                    shared_bytes=0,
                    arguments=[memory.handle, number],
                    stream=self._device.default_stream(),
                )

    def _paint(self, memory: np.ndarray, number: int) -> None:
        picture = self._next[number]
        memory[: PITCH * len(picture)].reshape(-1, PITCH)[:, : picture.shape[1]] = picture

    def close(self) -> None:
        """Before the session, which takes the device along."""
        with self._device.current():
            done = self._device.event()
            self._device.record(done, self._device.default_stream())
            self._device.synchronize(done)
            for resource in (done, *self._surfaces):
                self._device.release(resource)
        self._surfaces.clear()


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("name", ["nv12", "p010le", "yuv420p"])
def test_pictures_of_the_device_give_what_planes_give(name: str, graphs: bool) -> None:
    """More than are in flight; each surface is painted over as soon as it is let go of."""
    job, device = make_job(70, 38, name), FakeDevice()
    frames = make_frames(job, 9)
    with clean(device):
        session = open_session(job, device, graphs=graphs)
        decoder = FakeDecoder(device, job)
        slots = [session.allocate_planes(job.target) for _ in frames]
        uploads = device.calls.count("upload")
        waits = [
            session.run(decoder.decode(planes), outputs)
            for planes, outputs in zip(frames, slots, strict=True)
        ]
        for completion in waits:
            completion.wait()
        assert all(
            all(map(np.array_equal, outputs, doubled(planes)))
            for planes, outputs in zip(frames, slots, strict=True)
        )
        assert device.calls.count("upload") == uploads and device.calls.count("move") == 9 * len(frames[0])
        decoder.close()
        session.close()


def test_host_planes_and_device_pictures_take_turns() -> None:
    """A decoder that gives up on the way: the rest comes from the CPU."""
    job, device = make_job(64, 48, "nv12"), FakeDevice()
    frames, results = make_frames(job, 6), []
    with clean(device):
        session, waits = open_session(job, device), []
        decoder = FakeDecoder(device, job)
        for number, planes in enumerate(frames):
            results.append(allocate_planes(job.target))
            waits.append(session.run(decoder.decode(planes) if number % 2 else planes, results[-1]))
        for completion in waits:
            completion.wait()
        for planes, result in zip(frames, results, strict=True):
            assert all(map(np.array_equal, result, doubled(planes)))
        decoder.close()
        session.close()


def test_a_picture_is_kept_until_it_was_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the tests above can fail: a flight that lets go at once lets the decoder paint over the picture."""
    from paragon_stream.runtimes.gpu.device_slot import Flight

    original = Flight.__init__

    def forgetful(self: Flight, slot: Any, inputs: Any, *rest: Any, **more: Any) -> None:
        original(self, slot, (), *rest, **more)

    monkeypatch.setattr(Flight, "__init__", forgetful)
    job, device = make_job(64, 48, "nv12"), FakeDevice()
    session = open_session(job, device)
    decoder = FakeDecoder(device, job)
    (planes,) = make_frames(job, 1)
    unraised: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: unraised.append(str(args.exc_value)))
    monkeypatch.setattr("sys.excepthook", lambda kind, error, trace: unraised.append(str(error)))
    session.run(decoder.decode(planes), session.allocate_planes(job.target))
    assert any("use the same bytes at the same time" in each for each in device.misuse)


def test_the_upload_waits_for_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the event between the default stream and ours, the copy may see half a picture."""
    job, device = make_job(64, 48, "nv12"), FakeDevice()
    session = open_session(job, device)
    decoder = FakeDecoder(device, job)
    (planes,) = make_frames(job, 1)
    picture = decoder.decode(planes)
    monkeypatch.setattr(device, "wait", lambda event, stream: None)
    with pytest.raises(Misuse, match="use the same bytes at the same time"):
        session.run(picture, session.allocate_planes(job.target))


def test_frames_of_nan_are_brought_back_to_be_computed_again() -> None:
    def run(source: Any, target: Any, strength: Any, status: Any, *rest: Any) -> None:
        DOUBLE.run(source, target, strength, status, *rest)
        target[:100] = 0
        status[0] = 1

    job, device = make_job(64, 48, "nv12"), FakeDevice({"double": FakeKernel(run, (0, 2), (1, 3, 4))})
    with clean(device):
        session = open_session(job, device, second_opinion=lambda: CpuDoubling(job), graphs=False)
        decoder = FakeDecoder(device, job)
        for planes in make_frames(job, 3):
            outputs = session.allocate_planes(job.target)
            session.run(decoder.decode(planes), outputs).wait()
            assert all(map(np.array_equal, outputs, doubled(planes)))
        assert session.reruns == 3
        decoder.close()
        session.close()


def test_some_rows_of_a_picture_on_the_host() -> None:
    """The rows that scene cuts are found by: every fourth row of luma."""
    job, device = make_job(70, 38, "nv12"), FakeDevice()
    with clean(device):
        session = open_session(job, device)
        decoder = FakeDecoder(device, job)
        for planes in make_frames(job, 3):
            picture = decoder.decode(planes)
            luma = picture.planes[0]
            every_fourth = DevicePlane(
                pointer=luma.pointer, pitch=4 * luma.pitch, row_bytes=luma.row_bytes, rows=-(-luma.rows // 4)
            )
            assert np.array_equal(session.fetch(every_fourth), planes[0][::4])
        decoder.close()
        session.close()


def test_pictures_of_another_size_are_refused() -> None:
    job, device = make_job(64, 48, "nv12"), FakeDevice()
    with clean(device):
        session = open_session(job, device)
        other = make_job(66, 48, "nv12")
        decoder = FakeDecoder(device, other)
        (planes,) = make_frames(other, 1)
        with pytest.raises(EngineError, match="has planes of"):
            session.run(decoder.decode(planes), session.allocate_planes(job.target))
        decoder.close()
        session.close()


@pytest.mark.parametrize("name", ["nv12", "p010le"])
def test_results_stay_on_the_device(name: str) -> None:
    job, device = make_job(70, 38, name), FakeDevice()
    with clean(device):
        session = open_session(job, device)
        frames = make_frames(job, 6)
        pictures = [session.allocate_picture(job.target) for _ in frames]
        luma, chroma = pictures[0].planes
        assert chroma.pointer == luma.pointer + luma.pitch * luma.rows and chroma.pitch == luma.pitch
        before = device.calls.count("download")
        for done in [session.run(f, p) for f, p in zip(frames, pictures, strict=True)]:
            done.wait()
        assert device.calls.count("download") - before == len(frames), "each frame's status, nothing else"
        for planes, picture in zip(frames, pictures, strict=True):
            assert all(map(np.array_equal, on_host(session, picture, job), doubled(planes)))
        session.close()


def test_results_of_nan_are_computed_again_and_put_there() -> None:
    def nan(source, target, strength, status, *rest) -> None:
        DOUBLE.run(source, target, strength, status, *rest)
        status[0] = 1

    job, device = (
        make_job(70, 38, "nv12"),
        FakeDevice({"double": FakeKernel(nan, DOUBLE.reads, DOUBLE.writes)}),
    )
    with clean(device):
        session = open_session(job, device, graphs=False)
        (planes,), picture = make_frames(job, 1), session.allocate_picture(job.target)
        session.run(planes, picture).wait()
        assert session.reruns == 1
        assert all(map(np.array_equal, on_host(session, picture, job), doubled(planes)))
        session.close()


@pytest.mark.skipif(bool(find_gpus()[0]), reason="this machine has a GPU")
def test_where_ffmpeg_cannot_use_the_gpu_that_is_said() -> None:
    job, lent = make_job(64, 48, "nv12"), np.zeros((144, 256), np.uint8)
    luma = DevicePlane(pointer=lent.ctypes.data, pitch=256, row_bytes=128, rows=96)
    chroma = DevicePlane(pointer=lent.ctypes.data + 96 * 256, pitch=256, row_bytes=128, rows=48)
    picture = DevicePicture(planes=(luma, chroma), owner=lent)
    with pytest.raises(EngineError, match="FFmpeg takes no frames from cuda:0"):
        DeviceFrames(job.target, 0, lambda: picture, in_flight=1)


def test_a_kept_session_uses_its_pictures_in_the_next_render_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of files does not need more of the GPU's memory with every file."""
    device, taken = FakeDevice(), []
    monkeypatch.setattr(upscaler, "compile_job", lambda job, *rest: open_session(job, device))
    with clean(device):
        with KeptUpscalers() as kept:
            for count in (3, 5, 4):
                with kept.open(make_job(64, 48, "nv12").source, UpscalerOptions()) as opened:
                    room = opened.device_results
                    assert room is not None and room[0] == 0
                    taken.append([room[1]().planes[0].pointer for _ in range(count)])
            assert kept.compiled == 1
        assert all(len(set(pointers)) == len(pointers) for pointers in taken), "no picture is lent twice"
        assert set(taken[0]) < set(taken[1]) and set(taken[2]) < set(taken[1])


def on_host(session, picture: DevicePicture, job) -> list[np.ndarray]:
    dtype = np.dtype(job.target.pixel_format.sample_type)
    return [
        session.fetch(plane).view(dtype).reshape(shape)
        for plane, shape in zip(picture.planes, job.target.plane_shapes, strict=True)
    ]
