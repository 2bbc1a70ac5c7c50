"""Run by test_nvdec.py in a process whose libcuda and libnvcuvid are stubs; its arguments are clips.

FFmpeg's NVDEC code hands each coded picture to the stub, whose surfaces are painted here, by FFmpeg's decoder
for CPUs. So everything but the hardware is as with a GPU: contexts, frames in device memory, what keeps them.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from device_material import CpuDoubling, DoublingProgram, doubled, make_job

from paragon_stream import upscaler
from paragon_stream.api import upscale
from paragon_stream.device import DevicePicture, DevicePlane
from paragon_stream.device.cuda import CudaDevice
from paragon_stream.device.discovery import ordinals
from paragon_stream.frame import Timing, pixel_format
from paragon_stream.framejob import FrameJob, allocate_planes
from paragon_stream.media.decode.abilities import decodes_on_gpu
from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.decode.decoder_choice import decoded_on_gpu
from paragon_stream.media.decode.nvdec import hand_over, is_on_gpu, on_host
from paragon_stream.media.encode.device_frames import DeviceFrames
from paragon_stream.media.facts.info import Gpu
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.ffmpeg.planes import copy_interleaved
from paragon_stream.media.frames.strength import StrengthTrack
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.media.quantisers.meter import Origin
from paragon_stream.render import device_results
from paragon_stream.runtimes import SessionOptions
from paragon_stream.runtimes.gpu.session import DeviceSession
from paragon_stream.runtimes.gpu.team import DeviceTeam

_NVDEC = ctypes.CDLL("libnvcuvid.so.1")
_DECODE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int
)
_PAINTERS: list[Painter] = []
"""The library holds no reference to them."""
_RESIDENT, _COPIED = Gpu(number=0, resident=True), Gpu(number=0)


class Painter:
    """What the "hardware" computes; `spoil` may change it."""

    def __init__(
        self, path: Path, spoil: Callable[[int, np.ndarray], None] = lambda number, luma: None
    ) -> None:
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context
            self._context: Any = av.VideoCodecContext.create(codec.name, "r")
            self._context.thread_count = 1
            self._headers = _parameter_sets(codec.name, codec.extradata or b"")
        self._spoil, self._count = spoil, 0
        self.wrong: list[BaseException] = []
        self._callback = _DECODE(self._decode)
        _PAINTERS.append(self)
        target = ctypes.c_void_p.in_dll(_NVDEC, "nvdec_stub_decode")
        target.value = ctypes.cast(self._callback, ctypes.c_void_p).value

    def _decode(self, data: int, size: int, luma: int, chroma: int, pitch: int) -> int:
        try:
            packet = self._headers + ctypes.string_at(data, size)
            for frame in self._context.decode(av.Packet(packet)):
                depth = frame.format.components[0].bits
                sample = np.uint8 if depth == 8 else np.uint16
                width, height = frame.width, frame.height
                views = [
                    np.frombuffer((ctypes.c_uint8 * (pitch * rows)).from_address(where), sample)
                    for where, rows in ((luma, height), (chroma, height // 2))
                ]
                planes = [
                    v.reshape(r, -1)[:, :width] for v, r in zip(views, (height, height // 2), strict=True)
                ]
                shift = 16 - depth if depth > 8 else 0
                copy_interleaved(
                    frame, (planes[0], planes[1].reshape(height // 2, width // 2, 2)), shift=shift
                )
                self._spoil(self._count, planes[0])
            self._count += 1
        except BaseException as error:
            self.wrong.append(error)
            return 0
        return 1


def _parameter_sets(codec: str, extradata: bytes) -> bytes:
    """What an avcC or hvcC holds, behind start codes: NVDEC gets it otherwise."""
    found = b""

    def take(at: int, count: int) -> int:
        nonlocal found
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2])
            found += b"\0\0\1" + extradata[at + 2 : at + 2 + size]
            at += 2 + size
        return at

    if codec == "h264":
        at = take(6, extradata[5] & 31)
        take(at + 1, extradata[at])
    elif codec == "hevc":
        at = 23
        for _ in range(extradata[22]):
            at = take(at + 3, int.from_bytes(extradata[at + 1 : at + 3]))
    return found


def number(name: str) -> Any:
    return ctypes.c_int.in_dll(_NVDEC, f"nvdec_stub_{name}")


@contextmanager
def decoder(path: Path, gpu: Gpu | None, **options: Any) -> Iterator[Decoder]:
    opened = Decoder(path, 0, threads=4, gpu=gpu, **options)
    try:
        yield opened
    finally:
        opened.close()


def semiplanar(frame: av.VideoFrame) -> tuple[np.ndarray, ...]:
    """The frame as NV12 or P010, whatever and wherever it is."""
    frame = on_host(frame) if is_on_gpu(frame) else frame
    layout = pixel_format("p010le" if frame.format.components[0].bits > 8 else "nv12")
    planes = tuple(
        np.empty(shape, layout.sample_type) for shape in layout.plane_shapes(frame.width, frame.height)
    )
    assert hand_over(frame, planes, (), layout) is None
    return planes


def pictures(path: Path, gpu: Gpu | None, **options: Any) -> list[tuple[int, tuple[np.ndarray, ...]]]:
    with decoder(path, gpu, **options) as opened:
        return [(frame.pts, semiplanar(frame)) for frame in opened]


def same(ours: list, theirs: list) -> bool:
    return len(ours) == len(theirs) > 0 and all(
        a[0] == b[0] and all(map(np.array_equal, a[1], b[1])) for a, b in zip(ours, theirs, strict=True)
    )


def frames(path: Path) -> None:
    """The same frames with the same times, copied to the host or left where they are."""
    expected = pictures(path, None)
    for gpu in (_COPIED, _RESIDENT):
        painter = Painter(path)
        with decoder(path, gpu) as opened:
            got = [(f.pts, semiplanar(f), is_on_gpu(f)) for f in opened]
            assert opened.left_gpu is None, opened.left_gpu
            assert opened.damage.undecodable_packets == 0
        assert not painter.wrong, painter.wrong
        assert {where for *_, where in got} == {gpu.resident}
        assert same([each[:2] for each in got], expected)


def chosen(path: Path) -> None:
    """A GPU is taken if its first frames are the CPU's."""
    info = probe(path)
    Painter(path)
    on_gpu, reason = decoded_on_gpu(info, _RESIDENT)
    assert reason == "" and on_gpu.video.gpu == _RESIDENT
    assert on_gpu.video.format.pixel_format.name in ("nv12", "p010le")

    def one_sample(number: int, luma: np.ndarray) -> None:
        luma[3, 5] ^= number == 2

    Painter(path, one_sample)
    unchanged, reason = decoded_on_gpu(info, _RESIDENT)
    assert unchanged is info and reason == "the GPU decodes to other samples than the CPU"
    number("supported").value = 0
    unchanged, reason = decoded_on_gpu(info, _RESIDENT)
    assert unchanged is info and reason, "NVDEC does not know this profile"


def failures(path: Path, places: dict[Gpu, Sequence[int]]) -> None:
    """Whichever picture the hardware refuses, all frames come, once, and right."""
    expected = pictures(path, None)
    for gpu, refused in places.items():
        for at in refused:
            Painter(path)
            number("decoded").value, number("fail_at").value = 0, at
            with decoder(path, gpu) as opened:
                got = [(frame.pts, semiplanar(frame)) for frame in opened]
                assert opened.left_gpu is not None and opened.left_gpu.frames <= at
                assert opened.damage.undecodable_packets == 0
            assert same(got, expected), at


def timing_of(frame: Any) -> Timing:
    return Timing(pts=frame.pts, duration=0, time_base=frame.time_base)


def strengths(path: Path) -> None:
    """Quantisers come from packets, small pictures from every fourth row of what is on the GPU."""

    def measured(gpu: Gpu | None, fetch: Any) -> list[tuple[float, np.ndarray]]:
        with decoder(path, gpu, quantisers=True) as opened:
            readings = []
            track = StrengthTrack(opened.reading, fetch=fetch)
            seen = []
            original = track._look

            def look(frame: Any, timing: Any, previous: Any) -> Any:
                seen.append(original(frame, timing, previous))
                return seen[-1]

            track._look = look  # type: ignore[method-assign]
            for _ in track.watch((frame, timing_of(frame)) for frame in opened):
                pass
            for each in seen:
                assert each.reading is not None
                readings.append((each.reading.raw, each.picture, each.reading.origin))
            return readings

    Painter(path)
    device = CudaDevice(0)
    job = make_job(128, 64, "nv12")
    session = DeviceSession(
        job, device, lambda *where: DoublingProgram(job, *where), second_opinion=lambda: CpuDoubling(job)
    )
    cpu, gpu = measured(None, None), measured(_RESIDENT, session.fetch)
    session.close()
    assert len(cpu) == len(gpu)
    for (theirs, small, _), (ours, also_small, origin) in zip(cpu, gpu, strict=True):
        assert origin is Origin.HEADERS and ours == theirs
        assert np.array_equal(small, also_small)


def sessions(path: Path) -> None:
    """From the decoder to the session's result without the host; everything is given back."""
    Painter(path)
    expected = pictures(path, None)
    job = make_job(128, 64, "nv12" if expected[0][1][0].dtype == np.uint8 else "p010le")
    session = DeviceSession(
        job,
        CudaDevice(0),
        lambda *where: DoublingProgram(job, *where),
        second_opinion=lambda: CpuDoubling(job),
    )
    planes, waits = allocate_planes(job.source), []
    with decoder(path, _RESIDENT) as opened:
        for frame in opened:
            picture = hand_over(frame, planes, (), job.source.pixel_format)
            assert isinstance(picture, DevicePicture) and isinstance(picture.planes[0], DevicePlane)
            assert picture.planes[0].pitch > picture.planes[0].row_bytes >= 128
            outputs = session.allocate_planes(job.target)
            waits.append((session.run(picture, outputs), outputs))
        for (done, outputs), (_, planes) in zip(waits, expected, strict=True):
            done.wait()
            assert all(map(np.array_equal, outputs, doubled(planes)))
    del frame, picture
    session.close()


def renders(path: Path) -> None:
    """Whole renders: frames that stay on the GPU, or are copied from it for the CPU; all as without."""

    class OnStub:
        name = "stub"

        def compile(self, job: FrameJob, options: SessionOptions) -> DeviceSession | DeviceTeam:
            sessions = [
                DeviceSession(
                    job,
                    CudaDevice(ordinal),
                    lambda *where: DoublingProgram(job, *where),
                    second_opinion=lambda: CpuDoubling(job),
                )
                for ordinal in ordinals(options.device)
            ]
            return DeviceTeam(sessions) if len(sessions) > 1 else sessions[0]

    uploads: list[int] = []
    upload = CudaDevice.upload

    def counting(self: CudaDevice, source: Any, target: Any, stream: Any) -> None:
        uploads.append(source.size)
        upload(self, source, target, stream)

    lossless = {"codec": "libx264", "encoder_options": {"qp": "0"}, "weights": "video"}
    results = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(upscaler, "runtime", lambda name: OnStub())
        patched.setattr(CudaDevice, "upload", counting)
        for hwaccel, fail_at in (("none", -1), ("auto", -1), ("auto", 15)):
            Painter(path)
            number("decoded").value, number("fail_at").value = 0, fail_at
            before = len(uploads)
            out = path.with_name(f"{path.stem}.{hwaccel}{fail_at}.mkv")
            # The stub's kernel makes planes of the same kind.
            pix_fmt = "yuv420p" if hwaccel == "none" else "nv12"
            report = upscale(path, out, engine="cuda", hwaccel=hwaccel, pix_fmt=pix_fmt, **lossless)
            results[hwaccel, fail_at] = pictures(out, None)
            decoder = report.decoder
            if hwaccel == "none":
                assert decoder.endswith("on the CPU") and len(uploads) - before > 3 * 12
            elif fail_at < 0:
                # What goes up are the slots' trials of their graphs, and each frame's strength.
                assert decoder.endswith("on cuda:0") and not report.warnings, report.warnings
                assert sum(size > 1 for size in uploads[before:]) <= 4 * 3 * 2
            else:
                assert ", from frame " in decoder and any("did not decode all" in w for w in report.warnings)
        number("fail_at").value = -1
        Painter(path)
        number("decoded").value, before = 0, len(uploads)
        out = path.with_name(f"{path.stem}.two.mkv")
        report = upscale(path, out, engine="cuda", device="cuda:1,cuda:0", pix_fmt="nv12", **lossless)
        results["two", -1] = pictures(out, None)
        # The first one decodes, and its frames come to the host for both.
        assert report.decoder.endswith("on cuda:1") and len(uploads) - before > 2 * 12
        assert "cuda:0: Stub 0" in report.device and "cuda:1: Stub 1" in report.device, report.device
    results["encoded there", -1] = encoded_there(path, OnStub, lossless)
    for hwaccel in ("none", "cuda"):
        Painter(path)
        out = path.with_name(f"{path.stem}.cpu-{hwaccel}.mkv")
        report = upscale(path, out, engine="openvino", hwaccel=hwaccel, threads=1, **lossless)
        assert report.decoder.endswith("on cuda:0" if hwaccel == "cuda" else "on the CPU")
        results["openvino", hwaccel] = pictures(out, None)
    assert same(results["auto", -1], results["none", -1])
    assert same(results["auto", 15], results["none", -1])
    assert same(results["two", -1], results["none", -1])
    assert same(results["encoded there", -1], results["none", -1])
    assert same(results["openvino", "cuda"], results["openvino", "none"])


def encoded_there(path: Path, runtime: Any, lossless: dict[str, Any]) -> list:
    """A render whose frames stay on the GPU until the encoder has them, which is libx264 in NVENC's place: it
    gets copies, and keeps some frames for a while as NVENC does. What it decodes to."""
    kept: deque[av.VideoFrame] = deque(maxlen=7)
    encode, downloads, download = VideoWriter._encode, [], CudaDevice.download

    def in_place_of_nvenc(self: VideoWriter, frame: av.VideoFrame | None) -> Any:
        self._video.codec_context.is_open or setattr(self._video.codec_context, "pix_fmt", "nv12")
        if frame is None:
            kept.clear()
            return encode(self, None)
        luma, chroma = frame.planes
        assert is_on_gpu(frame) and chroma.line_size == luma.line_size
        assert chroma.buffer_ptr == luma.buffer_ptr + luma.line_size * frame.height  # NVENC gets one address
        kept.append(frame)
        copied = on_host(frame)
        copied.pts, copied.time_base = frame.pts, frame.time_base
        return encode(self, copied)

    def counting(self: CudaDevice, source: Any, target: Any, stream: Any) -> None:
        downloads.append(target.size)
        download(self, source, target, stream)

    made: list[DeviceFrames] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(upscaler, "runtime", lambda name: runtime())
        patched.setattr(device_results, "fits", lambda format, encoder: format.pixel_format.name == "nv12")
        patched.setattr(
            device_results, "DeviceFrames", lambda *a, **k: made.append(DeviceFrames(*a, **k)) or made[-1]
        )
        patched.setattr(VideoWriter, "_encode", in_place_of_nvenc)
        patched.setattr(CudaDevice, "download", counting)
        Painter(path)
        number("decoded").value = 0
        out = path.with_name(f"{path.stem}.there.mkv")
        report = upscale(path, out, engine="cuda", pix_fmt="nv12", **lossless)
    assert report.results_in == report.decoder[-6:] == "cuda:0" and report.frames_out == 12
    # What comes to the host are the slots' trials of their graphs, some rows of the source, and statuses.
    assert sum(size > 10_000 for size in downloads) == 4 * 3 * 2, downloads
    frames = made[0]
    assert len(frames._free) == frames.made <= 4 + 4 + 8, "every picture came back"
    return pictures(out, None)


def _any_picture() -> Any:
    """A hardware that decodes everything to what it finds; kept by whoever needs it."""
    painted = _DECODE(lambda *arguments: 1)
    ctypes.c_void_p.in_dll(_NVDEC, "nvdec_stub_decode").value = ctypes.cast(painted, ctypes.c_void_p).value
    return painted


def av1(path: Path) -> None:
    """NVDEC gets tiles, which no decoder here takes alone: times are compared, not samples."""
    painted = _any_picture()
    with decoder(path, None) as opened:
        expected = [frame.pts for frame in opened]
    with decoder(path, _RESIDENT) as opened:
        got = [(frame.pts, is_on_gpu(frame)) for frame in opened]
        assert painted and opened.left_gpu is None and opened.name == "av1 on cuda:0", opened.left_gpu
    assert got == [(pts, True) for pts in expected] and len(got) == 12


def abilities() -> None:
    """What doctor tells: each codec is tried with a picture."""
    painted = _any_picture()
    assert painted and decodes_on_gpu(0) == ["h264", "hevc", "vp8", "vp9", "av1"]
    number("supported").value = 0
    assert decodes_on_gpu(0) == [] and decodes_on_gpu(7) == []


def all_of(path: Path) -> None:
    frames(path)
    sessions(path)
    strengths(path)
    failures(path, {_RESIDENT: [0], _COPIED: [7]})
    number("fail_at").value = -1
    chosen(path)
    number("supported").value = 1


if __name__ == "__main__":
    if sys.argv[1] == "everywhere":
        failures(Path(sys.argv[2]), dict.fromkeys((_RESIDENT, _COPIED), range(12)))
    else:
        for name in sys.argv[2:]:
            all_of(Path(name))
        renders(Path(sys.argv[2]))
        av1(Path(sys.argv[1]))
        abilities()
