"""on_lavapipe.py TASK [ARGUMENT]…: one task of the engine webgpu on a software Vulkan; prints JSON.

A process of its own: the driver is chosen by the environment, and a mistake in WebGPU may end the process.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import load_weights
from paragon_stream.device import webgpu
from paragon_stream.device.interface import DevicePlane
from paragon_stream.device.webgpu_adapters import AdapterInfo, adapters
from paragon_stream.errors import DeviceMemoryError, EngineError, ParagonError
from paragon_stream.frame import (
    ChromaLocation,
    ColorRange,
    ColorSpec,
    Family,
    FrameFormat,
    Matrix,
    PixelFormat,
    pixel_format,
)
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.geometry import parse_fit, parse_size, place
from paragon_stream.media.ffmpeg.planes import copy_from_frame
from paragon_stream.runtimes import Plane, Precision, Session, SessionOptions, registry, runtime

STRENGTH = 0.4


def picture(format: FrameFormat, seed: int = 0) -> tuple[Plane, ...]:
    """Waves and noise in every plane, clear of both ends of the range."""
    pixels, planes = format.pixel_format, []
    for index, shape in enumerate(format.plane_shapes):
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
        noise = np.random.default_rng([seed, index]).uniform(-0.05, 0.05, x.shape)
        value = 0.5 + 0.25 * np.sin((x * x + y * y) / 900 + index + seed) + 0.1 * np.sin(x / 3) + noise
        if len(shape) == 3:
            value = np.stack([np.roll(value, 3 * k, 1) for k in range(shape[2])], -1)
        codes = np.rint(value * pixels.peak).astype(np.uint16) << pixels.shift
        planes.append(codes.astype(pixels.sample_type))
    return tuple(planes)


def color_of(layout: PixelFormat) -> ColorSpec:
    rgb = layout.family is Family.RGB
    return ColorSpec(
        matrix=Matrix.RGB if rgb else Matrix.BT709,
        range=ColorRange.FULL if rgb else ColorRange.LIMITED,
        chroma_location=ChromaLocation.LEFT,
    )


def make_job(
    name: str,
    scale: int,
    pixels: str,
    size: str,
    target: str = "",
    to: str | None = None,
    fit: str | None = None,
    *,
    temporal: bool = False,
) -> FrameJob:
    width, height = map(int, size.split("x"))
    layout = pixel_format(pixels)
    color = color_of(layout)
    source = FrameFormat(width=width, height=height, pixel_format=layout, color=color)
    name, _, variant = name.partition("/")
    weights = load_weights(name, variant=variant or "realtime", scale=scale)
    wanted = pixel_format(target) if target else None
    placement = None
    if to is not None and (wanted_size := parse_size(to)) is not None:
        placement = place(source, wanted_size, parse_fit(fit, wanted_size))
    return build_job(
        weights,
        source,
        pixel_format=wanted,
        color=None if wanted is None else color_of(wanted),
        placement=placement,
        temporal=temporal,
    )


def compiled(job: FrameJob, engine: str = "webgpu", precision: str = "auto") -> Session:
    return runtime(engine).compile(job, SessionOptions(precision=Precision(precision)))


def output(session: Session, inputs: tuple[Plane, ...]) -> tuple[NDArray[Any], ...]:
    outputs = allocate_planes(session.job.target)
    session.run(inputs, outputs, STRENGTH).wait()
    return outputs


def real_picture(path: str, format: FrameFormat) -> tuple[Plane, ...]:
    """The sixth frame of a file, in the size and pixel format of `format`."""
    with av.open(path) as container:
        frame = next(itertools.islice(container.decode(video=0), 5, None))
    frame = frame.reformat(format.width, format.height, format.pixel_format.name, interpolation="AREA")
    planes = allocate_planes(format)
    copy_from_frame(frame, planes)
    return planes


def compare(*cases: str) -> list[dict[str, Any]]:
    """Worst code and dB of the worst plane of each case, which is
    NAME[/VARIANT],SCALE,PIXELS,SIZE,PRECISION[,TARGET[,TO[,FIT]]]."""
    return _compared(cases, picture)


def real(path: str, *cases: str) -> list[dict[str, Any]]:
    """`compare` on a frame of the file `path`."""
    return _compared(cases, partial(real_picture, path))


def _compared(
    cases: Sequence[str], make_picture: Callable[[FrameFormat], tuple[Plane, ...]]
) -> list[dict[str, Any]]:
    found = []
    for case in cases:
        name, scale, pixels, size, precision, *more = case.split(",")
        job = make_job(name, int(scale), pixels, size, *more)
        ours, reference = compiled(job, precision=precision), compiled(job, "openvino", "fp32")
        inputs = make_picture(job.source)
        unit = 2.0 ** (job.target.pixel_format.depth - 8 + job.target.pixel_format.shift)
        errors = [
            (a.astype(float) - b) / unit
            for a, b in zip(output(ours, inputs), output(reference, inputs), strict=True)
        ]
        found.append(
            {
                "case": case,
                "codes": max(float(np.abs(each).max()) for each in errors),
                "db": min(float(10 * np.log10(255**2 / max(1e-9, np.square(e).mean()))) for e in errors),
                "precision": str(ours.precision),
            }
        )
        ours.close()
        reference.close()
    return found


def several() -> dict[str, Any]:
    """Frames in flight, in any buffers, from two threads: every one gets its own result."""
    job = make_job("video", 2, "yuv420p", "48x32")
    session = compiled(job)
    frames = [picture(job.source, seed) for seed in range(12)]
    alone = [output(session, each) for each in frames]
    outputs = [allocate_planes(job.target) for _ in frames]
    waiting: list[Any] = [session.run(a, b, STRENGTH) for a, b in zip(frames, outputs, strict=True)]
    threads = [threading.Thread(target=each.wait) for each in waiting]
    for each in [*threads]:
        each.start()
    for each in threads:
        each.join()
    same = all(
        np.array_equal(a, b) for x, y in zip(alone, outputs, strict=True) for a, b in zip(x, y, strict=True)
    )
    reruns = session.reruns  # type: ignore[attr-defined]
    session.close()
    return {"same": same, "in_flight": session.in_flight, "reruns": reruns}


def lost() -> dict[str, Any]:
    """A GPU that goes away in the middle of the work."""
    job = make_job("video", 2, "yuv420p", "48x32")
    opened: list[Any] = []
    make = webgpu.WebGpuDevice.__init__

    def watched(self: webgpu.WebGpuDevice, ordinal: int = 0) -> None:
        make(self, ordinal)
        opened.append(self)

    webgpu.WebGpuDevice.__init__ = watched  # type: ignore[method-assign]
    session = compiled(job)
    output(session, picture(job.source))
    opened[0]._device.destroy()
    messages = []
    for _ in range(2):
        try:
            output(session, picture(job.source))
        except ParagonError as error:
            messages.append(f"{type(error).__name__}: {error}")
    session.close()
    return {"messages": messages}


def auto() -> dict[str, Any]:
    """The choice of `auto` if lavapipe counts as an integrated GPU and there is no GPU for CUDA."""
    said: list[str] = []
    AdapterInfo.is_hardware = True  # type: ignore[assignment,method-assign]
    registry.find_gpus = lambda: ([], "no driver")
    registry.may_have_gpu = lambda: True
    logging.disable(logging.NOTSET)
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("paragon_stream.runtimes")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    engines = []
    for temporal in (False, True):
        job = make_job("video", 2, "yuv420p", "64x48", temporal=temporal)
        session = runtime("auto").compile(job, SessionOptions())
        engines.append(session.engine)
        session.close()
    return {"engines": engines, "said": said}


def team() -> dict[str, Any]:
    """Two GPUs on one stream, one of which goes away in the middle."""
    job = make_job("video", 2, "yuv420p", "48x32")
    frames = [picture(job.source, seed) for seed in range(10)]
    single = compiled(job)
    alone = [output(single, each) for each in frames]
    single.close()
    session = runtime("webgpu").compile(job, SessionOptions(device="gpu:0,gpu:1"))
    rounds = []
    for round_ in range(2):
        outputs = [allocate_planes(job.target) for _ in frames]
        waiting = [session.run(a, b, STRENGTH) for a, b in zip(frames, outputs, strict=True)]
        for each in waiting:
            each.wait()
        same = [all(map(np.array_equal, one, other)) for one, other in zip(alone, outputs, strict=True)]
        rounds.append({"same": all(same), "device": session.device})
        if not round_:
            session._members[1].session._device._device.destroy()  # type: ignore[attr-defined]
    session.close()
    return {"session": type(session).__name__, "rounds": rounds}


def tiles(*placement: str) -> dict[str, Any]:
    """Bindings too small for the frame: tiles, and nearly the same picture; of the size `placement`."""
    job = make_job("video", 2, "yuv420p", "192x160", "", *placement)
    reference = compiled(job, "openvino", "fp32")
    wanted = output(reference, picture(job.source))
    allocate = webgpu.WebGpuDevice.allocate

    def small(self: webgpu.WebGpuDevice, size: int) -> Any:
        if size > 900_000:
            raise DeviceMemoryError(f"{size} bytes are too many for this test")
        return allocate(self, size)

    webgpu.WebGpuDevice.allocate = small  # type: ignore[method-assign]
    session = compiled(job)
    got = output(session, picture(job.source))
    session.close()
    worst = max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in zip(got, wanted, strict=True))
    return {"session": type(session).__name__, "codes": worst}


def device() -> dict[str, Any]:
    """The device by itself: bytes there and back, and what it refuses."""
    gpu = webgpu.WebGpuDevice()
    stream, event = gpu.stream("one"), gpu.event()
    back = []
    for size in (1, 2, 3, 4, 5, 4097, 1 << 20):
        memory = gpu.allocate(size)
        sent = np.random.default_rng(size).integers(0, 256, (1, size)).astype(np.uint8)
        plane = DevicePlane(pointer=memory.handle, pitch=size, row_bytes=size, rows=1)
        gpu.upload(sent, plane, stream)
        came = np.zeros_like(sent)
        gpu.download(plane, came, stream)
        gpu.record(event, stream)
        gpu.synchronize(event)
        back.append(bool(np.array_equal(sent, came)))
        gpu.release(memory)
    refused = {}
    for name, attempt in {
        "too large": lambda: gpu.allocate(1 << 40),
        "no memory": lambda: gpu.clear(12345, 4, stream),
        "graph": lambda: gpu.begin_capture(stream),
        "not timed": lambda: gpu.elapsed(event, event),
        "bad text": lambda: gpu.load(b"fn main( {"),
        "no such GPU": lambda: webgpu.WebGpuDevice(99),
        "full": lambda: _filled(gpu),
    }.items():
        try:
            attempt()
        except EngineError as error:
            refused[name] = f"{type(error).__name__}: {error}"
    begin, end = gpu.event(timed=True), gpu.event(timed=True)
    gpu.record(begin, stream)
    gpu.synchronize(begin)  # what is recorded is not submitted before
    time.sleep(0.05)
    gpu.record(end, stream)
    seconds = gpu.elapsed(begin, end)
    submits = _submits(gpu)
    refused |= _given_back(gpu)
    gpu.close()
    gpu.close()
    try:
        gpu.synchronize(event)
    except EngineError as error:
        refused["closed"] = str(error)
    threads = [type(each).__name__ for each in threading.enumerate()]
    return {
        "back": back,
        "refused": refused,
        "seconds": seconds,
        "submits": submits,
        "threads": threads,
        "adapters": [*map(str, adapters())],
    }


def _filled(gpu: webgpu.WebGpuDevice) -> None:
    """A software GPU has this process's memory, which is limited for it."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1, before[1]))
    try:
        gpu.allocate(100 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _submits(gpu: webgpu.WebGpuDevice) -> int:
    """The number of command buffers that download 16 bytes; wgpu's usual mode of mapping takes one of its
    own."""
    stream, event, memory = gpu.stream("three"), gpu.event(), gpu.allocate(16)
    queue, count = type(gpu._device.queue), 0
    submit = queue.submit

    def counted(self: Any, buffers: Any) -> None:
        nonlocal count
        count += len(buffers)
        submit(self, buffers)

    queue.submit = counted
    try:
        plane = DevicePlane(pointer=memory.handle, pitch=16, row_bytes=16, rows=1)
        gpu.download(plane, np.zeros((1, 16), np.uint8), stream)
        gpu.record(event, stream)
        gpu.synchronize(event)
    finally:
        queue.submit = submit
    return count


def _given_back(gpu: webgpu.WebGpuDevice) -> dict[str, str]:
    """Memory is given back while work on it is queued, and afterwards work on it is asked for again."""
    stream, event = gpu.stream("two"), gpu.event()
    kernel = gpu.kernel(
        gpu.load(
            b"@group(0) @binding(0) var<storage, read_write> went: array<u32>;\n"
            b"@compute @workgroup_size(1) fn main() { went[0] = 7u; }"
        ),
        "main",
    )
    memory = gpu.allocate(16)

    def launch() -> None:
        gpu.launch(
            kernel, grid=(1, 1, 1), block=(1, 1, 1), shared_bytes=0, arguments=[memory.handle], stream=stream
        )

    launch()
    gpu.release(memory)
    gpu.record(event, stream)
    gpu.synchronize(event)
    try:
        launch()
    except EngineError as error:
        return {"given back": str(error)}
    return {}


def leak(frames: str, size: str) -> dict[str, Any]:
    """Memory of this process after a few frames, and after many."""
    job = make_job("video", 2, "yuv420p", size)
    session = compiled(job)
    inputs, outputs = picture(job.source), allocate_planes(job.target)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    marks = []
    for number in range(int(frames)):
        session.run(inputs, outputs, STRENGTH).wait()
        if number in (int(frames) // 10, int(frames) - 1):
            marks.append(resident())
    session.close()
    return {"before": marks[0], "after": marks[1]}


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    tasks = {each.__name__: each for each in (compare, real, several, lost, auto, team, tiles, device, leak)}
    print(json.dumps(tasks[sys.argv[1]](*sys.argv[2:])))
