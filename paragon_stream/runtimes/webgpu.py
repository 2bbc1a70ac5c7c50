"""The engine `webgpu`: the network as WGSL, on GPUs of every brand through Vulkan, Metal or Direct3D 12."""

from __future__ import annotations

import logging
import re
from functools import partial

import numpy as np

from paragon_stream.device import Device, Kernel, Stream
from paragon_stream.device.discovery import find_adapters
from paragon_stream.device.webgpu import WebGpuDevice
from paragon_stream.device.webgpu_adapters import AdapterInfo
from paragon_stream.errors import EngineError, UsageError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.wgsl.emit import check_wgsl, emit_wgsl
from paragon_stream.framejob.wgsl.program import WgslProgram
from paragon_stream.runtimes.base import Precision, Session, SessionOptions
from paragon_stream.runtimes.gpu.compilation import compile_on_devices
from paragon_stream.runtimes.gpu.program import DeviceFrame, DeviceProgram, Hold, Load
from paragon_stream.runtimes.gpu.program_buffers import own_buffers, with_frame

logger = logging.getLogger(__name__)


class WebGpuRuntime:
    name = "webgpu"

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """See `Runtime`. Raises UsageError for an invalid device, EngineError without a GPU, and for jobs and
        precisions without WGSL programs."""
        if options.precision in (Precision.BF16, Precision.INT8):
            raise EngineError(f"the engine webgpu computes in fp32 or fp16, not in {options.precision}")
        check_wgsl(job)

        def load_for(fitting: FrameJob) -> Load:
            return _loader(fitting, options.precision)

        openers = [partial(open_gpu, number) for number in gpu_numbers(options.device)]
        return compile_on_devices(job, openers, load_for, graphs=False)


def open_gpu(number: int) -> Device:
    """The GPU of that number among those that `doctor` lists. Raises EngineError."""
    return WebGpuDevice(number)


def gpu_numbers(device: str | None) -> tuple[int, ...]:
    """The GPUs that `device` names as `doctor` lists them: "gpu:1", "gpu:0,gpu:1"; "gpu" and None are the
    first, "gpu:all" all but software ones, at least one number. Raises UsageError for anything else.
    """
    if device == "gpu:all":
        return tuple(each.ordinal for each in find_adapters()[0] if each.is_hardware) or (0,)
    named = [re.fullmatch(r"gpu(?::(\d+))?", each.strip()) for each in (device or "gpu").split(",")]
    numbers = tuple(int(each[1] or 0) for each in named if each)
    if len(numbers) < len(named):
        raise UsageError(
            f"the engine webgpu has no device {device}; choose gpu:N, gpu:N,gpu:M or gpu:all, as doctor lists"
        )
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"{device} names a GPU twice")
    return numbers


def _loader(job: FrameJob, precision: Precision) -> Load:
    def load(device: Device, hold: Hold) -> DeviceProgram:
        info = device.info
        assert isinstance(info, AdapterInfo)
        half, single = precision is Precision.FP16, precision is Precision.FP32
        if half and not info.has_half:
            raise EngineError(f"{info} has no 16-bit arithmetic; leave --precision fp16 out")
        if not info.is_hardware:
            logger.warning("%s is a software GPU that computes on the CPU: it is for tests only", info)
        program = emit_wgsl(job, half=half, single=single)
        # By default features are stored in 16 bits, and computed with in 32.
        return WgslOnDevice(program, device, hold, Precision.FP32 if single else Precision.FP16)

    return load


class WgslOnDevice:
    """A `WgslProgram` on a device; see `DeviceProgram`. The status word is 0 for a healthy frame."""

    engine = "webgpu"
    slack = 0

    def __init__(self, program: WgslProgram, device: Device, hold: Hold, precision: Precision) -> None:
        """Raises EngineError, DeviceMemoryError."""
        self.precision = precision
        self.input_pitches = tuple(plane.pitch for plane in program.inputs)
        self.output_pitches = tuple(plane.pitch for plane in program.outputs)
        self._device = device
        # Memory before shaders: if it is short, no shader is compiled in vain.
        self._buffers = own_buffers(device, hold, workspaces=program.workspaces, constants=program.constants)
        kernels: dict[str, Kernel] = {}  # blocks share a text
        for each in program.dispatches:
            if each.text not in kernels:
                kernels[each.text] = device.kernel(hold(device.load(each.text.encode())), "main")
        self._work = [(each, kernels[each.text]) for each in program.dispatches]

    def enqueue(self, frame: DeviceFrame, stream: Stream) -> None:
        pointers = with_frame(self._buffers, frame)
        for dispatch, kernel in self._work:
            self._device.launch(
                kernel,
                grid=dispatch.grid,
                block=(1, 1, 1),  # the shader states it
                shared_bytes=0,
                arguments=[
                    *(pointers[each.kind][each.index] for each in dispatch.buffers),
                    *map(np.int32, dispatch.sizes),
                ],
                stream=stream,
            )

    def is_healthy(self, status: int) -> bool:
        return status == 0

    def close(self) -> None:
        """Nothing to do: the session releases all resources."""


RUNTIME = WebGpuRuntime()
