"""The engine `cuda`: this package's own kernels, compiled by NVRTC at first use. Needs no TensorRT."""

from __future__ import annotations

import logging

import numpy as np

from paragon_stream.device import Argument, Device, Stream
from paragon_stream.device.discovery import OLDEST
from paragon_stream.errors import DeviceMemoryError, EngineError
from paragon_stream.framejob.cuda.emit import emit_cuda
from paragon_stream.framejob.cuda.program import Buffer, CudaProgram, Launch
from paragon_stream.framejob.job import FrameJob
from paragon_stream.runtimes.base import Precision, Session, SessionOptions
from paragon_stream.runtimes.gpu.compilation import compile_on_gpus
from paragon_stream.runtimes.gpu.nvrtc import cubin, drawback_of
from paragon_stream.runtimes.gpu.program import DeviceFrame, DeviceProgram, Hold, Load
from paragon_stream.runtimes.gpu.program_buffers import Pointers, own_buffers, with_frame

logger = logging.getLogger(__name__)


class CudaRuntime:
    name = "cuda"

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """Raises EngineError without a GPU, for another precision than fp16, and for jobs without kernels."""
        if options.precision not in (Precision.AUTO, Precision.FP16):
            raise EngineError(f"the engine cuda computes in fp16, not in {options.precision}")
        return compile_on_gpus(job, options, loader)


def loader(job: FrameJob) -> Load:
    """The function that loads the kernels of `job` on a device."""

    def load(device: Device, hold: Hold) -> DeviceProgram:
        info = device.info
        if info.sm < OLDEST:  # no matrix instructions
            raise EngineError(f"{info} is too old for the engine cuda, which needs compute capability 7.5")
        program = emit_cuda(job, multiprocessors=info.multiprocessors)
        code = cubin(program, info.sm).code
        logger.info(
            "kernels compiled for sm_%d; not tested on such a GPU before, but checked with one frame now",
            info.sm,
        )
        try:
            return KernelProgram(program, code, device, hold)
        except DeviceMemoryError:
            raise
        except EngineError as error:
            raise EngineError("; ".join(filter(None, [str(error), drawback_of(info.driver)]))) from error

    return load


class KernelProgram:
    """A `CudaProgram` on a device; see `DeviceProgram`. The status word is 0 for a healthy frame."""

    engine = "cuda"
    precision = Precision.FP16
    slack = 0

    def __init__(self, program: CudaProgram, code: bytes, device: Device, hold: Hold) -> None:
        """`code` is the cubin. Raises EngineError, DeviceMemoryError."""
        self.input_pitches = tuple(plane.pitch for plane in program.inputs)
        self.output_pitches = tuple(plane.pitch for plane in program.outputs)
        self._device = device
        self._launches = program.launches
        module = hold(device.load(code))
        shared = {launch.kernel: launch.shared_bytes for launch in program.launches}
        self._kernels = {
            name: device.kernel(module, name, shared_bytes=size) for name, size in shared.items()
        }
        self._buffers = own_buffers(device, hold, workspaces=program.workspaces, constants=program.constants)

    def enqueue(self, frame: DeviceFrame, stream: Stream, only: str | None = None) -> None:
        """See `DeviceProgram`. `only` launches the kernel of that name alone, for measuring it."""
        pointers = with_frame(self._buffers, frame)
        for launch in self._launches:
            if only not in (None, launch.kernel):
                continue
            self._device.launch(
                self._kernels[launch.kernel],
                grid=launch.grid,
                block=launch.block,
                shared_bytes=launch.shared_bytes,
                arguments=_arguments(launch, pointers),
                stream=stream,
            )

    def is_healthy(self, status: int) -> bool:
        return status == 0

    def close(self) -> None:
        """Nothing to do: the session releases all resources."""


def _arguments(launch: Launch, pointers: Pointers) -> list[Argument]:
    return [
        pointers[each.kind][each.index] if isinstance(each, Buffer) else np.int32(each.value)
        for each in launch.args
    ]


RUNTIME = CudaRuntime()
