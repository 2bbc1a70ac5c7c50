"""The engine `torch`: on a GPU for jobs without kernels of this package, on the CPU for comparison. Needs the
extra `torch`.

On the CPU frames run one after another, and `run` returns when the result is complete; for GPUs see
gpu/torch_program.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import torch

from paragon_stream.device.discovery import ordinals
from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.emit_torch import emit_torch
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.onnx.emit import tensor_shapes
from paragon_stream.pipeline.slot import DONE, Completion
from paragon_stream.runtimes.base import Plane, Precision, Session, SessionOptions
from paragon_stream.runtimes.buffers import check_planes
from paragon_stream.runtimes.cpu import cores, in_words
from paragon_stream.runtimes.engine_errors import engine_errors
from paragon_stream.runtimes.gpu.compilation import compile_on_gpus
from paragon_stream.runtimes.gpu.torch_program import load_on_gpu
from paragon_stream.runtimes.tiles import in_tiles_if_large

logger = logging.getLogger(__name__)


class TorchRuntime:
    """Frame jobs in fp16 (by default) on GPUs that torch can use, in fp32 on the CPU."""

    name = "torch"
    compiles: bool | None = None
    """Whether torch.compile is used; None: on GPUs. Benchmarks set it."""

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """See `Runtime`. The default device is the first GPU, else the CPU.

        Raises EngineError for a GPU that torch cannot use and for 16 bits on the CPU, UsageError for an
        invalid device.
        """
        has_gpu = torch.cuda.is_available()
        if options.device == "cpu" or (options.device is None and not has_gpu):
            return self._compile_on_cpu(job, options)
        ordinals(options.device)  # reports an invalid name before a missing GPU
        if not has_gpu:
            raise EngineError(f"torch {torch.__version__} cannot use a GPU on this machine")
        if options.precision is Precision.INT8:
            raise EngineError("the engine torch does not compute in int8; openvino and onnxruntime do")
        usual = Precision.FP32 if job.sorts_pixels else Precision.FP16
        precision = usual if options.precision is Precision.AUTO else options.precision
        compiles = self.compiles is not False
        return compile_on_gpus(
            job, options, lambda fitting: load_on_gpu(fitting, precision, compiles=compiles)
        )

    def _compile_on_cpu(self, job: FrameJob, options: SessionOptions) -> Session:
        if options.precision not in (Precision.AUTO, Precision.FP32):
            raise EngineError(f"the engine torch computes in fp32 on CPUs, not in {options.precision}")

        def compile_whole(job: FrameJob) -> Session:
            with engine_errors(f"torch cannot compile {job}"):
                return TorchSession(job, options.threads or cores(), compiles=bool(self.compiles))

        session = in_tiles_if_large(job, compile_whole)
        logger.info("engine: torch %s, fp32, %s", torch.__version__, session.device)
        return session


class TorchSession:
    """See `Session`."""

    engine = "torch"
    precision = Precision.FP32
    in_flight = 1

    def __init__(self, job: FrameJob, threads: int, *, compiles: bool = False) -> None:
        self.job = job
        self.device = in_words(threads)
        self._threads = threads
        program: Callable[..., Sequence[torch.Tensor]] = emit_torch(job)
        self._program: Callable[..., Sequence[torch.Tensor]] | None = (
            torch.compile(program, dynamic=False, fullgraph=True) if compiles else program
        )
        self._lock = threading.Lock()

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        """See `Session.run`; everything is done when it returns."""
        check_planes(inputs, self.job.source)
        check_planes(outputs, self.job.target)
        with self._lock, engine_errors("torch failed on a frame"), torch.inference_mode():
            if self._program is None:
                raise EngineError("the session is closed")
            if torch.get_num_threads() != self._threads:
                torch.set_num_threads(self._threads)  # it applies to the whole process, so every call sets it
            given = _tensors(inputs, self.job.source)
            if self.job.spec.conditioned:
                given.append(torch.tensor([strength]))
            for there, result in zip(_tensors(outputs, self.job.target), self._program(*given), strict=True):
                there.copy_(result)
        return DONE

    def close(self) -> None:
        with self._lock:
            self._program = None


def _tensors(planes: Sequence[Plane], format: FrameFormat) -> list[torch.Tensor]:
    """The planes themselves, in the shapes of the graph."""
    return [
        torch.from_numpy(plane).view(shape)
        for plane, shape in zip(planes, tensor_shapes(format), strict=True)
    ]


RUNTIME = TorchRuntime()
