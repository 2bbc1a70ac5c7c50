"""torch in a device session, for jobs without kernels in the engine `cuda`.

The session does uploads, streams, graphs, the guard and the check at the start; torch only computes, in the
given stream and context.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor

from paragon_stream.device import Device, DevicePlane, Stream
from paragon_stream.errors import DeviceMemoryError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.emit_torch import emit_torch
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.onnx.emit import tensor_shapes
from paragon_stream.runtimes.base import Precision
from paragon_stream.runtimes.engine_errors import engine_errors
from paragon_stream.runtimes.gpu.program import (
    DeviceFrame,
    DeviceProgram,
    Hold,
    Load,
    guard_is_finite,
    tight_pitches,
)

logger = logging.getLogger(__name__)

BODIES = {
    Precision.FP32: torch.float32,
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
}


class Place(Protocol):
    """The device that torch computes on."""

    device: torch.device

    def bytes_at(self, pointer: int, size: int) -> Tensor:
        """A view of device memory as uint8 of shape [size]; the owner does not change."""
        ...

    def queue(self, work: Callable[[], None], stream: Stream) -> None:
        """Run `work`, which queues its operations into `stream` and uses a private memory pool."""
        ...

    def close(self) -> None:
        """Release the memory of `queue`."""
        ...


class TorchProgram:
    """See `DeviceProgram`. The status word is the graph's guard, an fp32."""

    engine = "torch"
    slack = 0

    def __init__(self, job: FrameJob, precision: Precision, place: Place, *, compiles: bool) -> None:
        """`compiles`: try torch.compile. Raises EngineError, DeviceMemoryError."""
        self.precision = precision
        self.input_pitches, self.output_pitches = tight_pitches(job.source), tight_pitches(job.target)
        self._job, self._place = job, place
        with _torch_errors(f"torch cannot compile {job}"):
            self._plain = emit_torch(job, device=place.device, body=BODIES[precision], guard=True)
            self._program: Callable[..., Sequence[Tensor]] = self._plain
            if compiles:
                self._program = torch.compile(self._plain, dynamic=False, fullgraph=True)
        self._is_tried = not compiles

    def enqueue(self, frame: DeviceFrame, stream: Stream) -> None:
        source, target = self._job.source, self._job.target

        def work() -> None:
            given = self._tensors(frame.inputs, source)
            if self._job.spec.conditioned:
                given.append(self._place.bytes_at(frame.strength, 4).view(torch.float32))
            with _ieee() if self.precision is Precision.FP32 else nullcontext():
                *made, guard = self._compute(given)
            status = self._place.bytes_at(frame.status, 4).view(torch.float32)
            for there, result in zip(
                (*self._tensors(frame.outputs, target), status), (*made, guard), strict=True
            ):
                there.copy_(result)

        with _torch_errors("torch failed to start a frame"):
            self._place.queue(work, stream)

    def is_healthy(self, status: int) -> bool:
        return guard_is_finite(status)

    def close(self) -> None:
        del self._program, self._plain  # even if a traceback keeps this object alive
        self._place.close()

    def _compute(self, given: list[Tensor]) -> Sequence[Tensor]:
        if self._is_tried:
            return self._program(*given)
        self._is_tried = True
        logger.info("torch compiles %s, which takes a minute or two", self._job)
        try:
            return self._program(*given)
        except torch.OutOfMemoryError:
            raise
        except (
            Exception
        ) as error:  # no Triton, no C compiler, or a bug of either: torch has no common base class
            reason = str(error).strip().partition("\n")[0]
            logger.warning("torch.compile failed, so torch runs each operation separately: %s", reason)
            self._program = self._plain
            return self._program(*given)

    def _tensors(self, planes: Sequence[DevicePlane], format: FrameFormat) -> list[Tensor]:
        dtype = torch.uint8 if format.pixel_format.bytes_per_sample == 1 else torch.uint16
        return [
            self._place.bytes_at(plane.pointer, plane.rows * plane.pitch).view(dtype).view(shape)
            for plane, shape in zip(planes, tensor_shapes(format), strict=True)
        ]


class CudaPlace:
    """A GPU, in the primary context, which torch uses too. See `Place`."""

    def __init__(self, device: Device) -> None:
        """Inside `device.current()`."""
        self.device = torch.device("cuda", device.info.ordinal)
        self._session_device = device
        torch.cuda.empty_cache()  # an earlier attempt may have run out of memory
        with torch.cuda.device(self.device):  # the pool belongs to torch's current GPU
            self._pool = torch.cuda.MemPool()

    def bytes_at(self, pointer: int, size: int) -> Tensor:
        return torch.as_tensor(_Memory(pointer, size), device=self.device)

    def queue(self, work: Callable[[], None], stream: Stream) -> None:
        ours = torch.cuda.ExternalStream(stream.handle, device=self.device)
        # All slots compute in one stream, so their graphs may share memory; a private pool keeps torch from
        # using it for other tensors.
        contexts: list[AbstractContextManager[Any]] = [
            self._session_device.current(),  # restores the thread's GPU, which torch changes
            torch.inference_mode(),
            torch.cuda.device(self.device),
            # Before the stream: while the current stream is capturing, torch expects a graph of its own.
            torch.cuda.use_mem_pool(self._pool, self.device),
            torch.cuda.stream(ours),
        ]
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context)
            work()

    def close(self) -> None:
        del self._pool
        torch.cuda.empty_cache()


class _Memory:
    """Device memory for torch, by the CUDA array interface, version 3."""

    def __init__(self, pointer: int, size: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (pointer, False),
            "strides": None,
            "version": 3,
        }


def load_on_gpu(job: FrameJob, precision: Precision, *, compiles: bool = True) -> Load:
    """The function that loads the program of `job` on a GPU; `compiles`: with torch.compile."""

    def load(device: Device, hold: Hold) -> DeviceProgram:
        del hold  # torch manages its own memory
        with device.current():  # see `CudaPlace.queue`
            return TorchProgram(job, precision, CudaPlace(device), compiles=compiles)

    return load


_ARITHMETIC = threading.RLock()
"""Held while a setting of torch is changed, because settings apply to the whole process."""


@contextmanager
def _ieee() -> Iterator[None]:
    """Compute convolutions in IEEE fp32 in the block. By default cuDNN rounds their operands to TF32, with 10
    bits of mantissa, on GPUs of compute capability 8.0 and later.

    Matrix products are IEEE by default. A precision set with torch's newer settings, which must not be mixed
    with this one, is not changed: the check at the start warns if it is TF32.
    """
    cudnn: Any = torch.backends.cudnn
    with _ARITHMETIC:
        try:
            before = cudnn.allow_tf32
        except RuntimeError:
            yield
            return
        cudnn.allow_tf32 = False
        try:
            yield
        finally:
            cudnn.allow_tf32 = before


@contextmanager
def _torch_errors(doing: str) -> Iterator[None]:
    """Map torch's exceptions to EngineError, and its OutOfMemoryError to DeviceMemoryError."""
    with engine_errors(doing):
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise DeviceMemoryError(f"{doing}: the GPU's memory is full") from error
