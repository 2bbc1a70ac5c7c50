"""torch, for machines and devices that it knows and the others do not. Needs the extra `torch`.

Frames run one after another; `run` returns when the samples are there.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import torch

from paragon_stream.errors import EngineError, UsageError
from paragon_stream.framejob.emit_onnx import STRENGTH_INPUT, input_names, output_names, tensor_shapes
from paragon_stream.framejob.emit_torch import TorchFrameJob, emit_torch
from paragon_stream.framejob.job import FrameJob
from paragon_stream.pipeline.slot import DONE, Completion
from paragon_stream.runtimes.base import Plane, Precision, Session, SessionOptions
from paragon_stream.runtimes.buffers import check_planes
from paragon_stream.runtimes.cpu import cores, in_words
from paragon_stream.runtimes.engine_errors import engine_errors
from paragon_stream.runtimes.tiles import in_tiles_if_large

logger = logging.getLogger(__name__)

_BODIES = {
    Precision.FP32: torch.float32,
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
}


class TorchRuntime:
    """Frame jobs on the CPU in fp32, or on a CUDA device in fp16 (unless told otherwise)."""

    name = "torch"

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """Raises EngineError for a device that is not there and for 16 bits on the CPU, UsageError for a
        device that torch has no name for."""
        device = _device(options.device or "cpu")
        precision = _precision(device, options.precision)

        def compile_whole(job: FrameJob) -> Session:
            with engine_errors(f"torch cannot compile {job}"):
                return TorchSession(job, device, precision, options.threads or cores())

        session = in_tiles_if_large(job, compile_whole)
        logger.info("engine: torch %s, %s, %s", torch.__version__, precision, session.device)
        return session


class TorchSession:
    """See `Session`."""

    engine = "torch"
    in_flight = 1

    def __init__(self, job: FrameJob, device: torch.device, precision: Precision, threads: int) -> None:
        self.job = job
        self.precision = precision
        self.device = (
            in_words(threads) if device.type == "cpu" else f"CUDA: {torch.cuda.get_device_name(device)}"
        )
        self._device, self._threads = device, threads
        self._program: TorchFrameJob | None = emit_torch(job, device=device, body=_BODIES[precision])
        self._lock = threading.Lock()

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        """See `Session.run`; everything is done when it returns."""
        check_planes(inputs, self.job.source)
        check_planes(outputs, self.job.target)
        source, target = self.job.source, self.job.target
        with self._lock, engine_errors("torch failed on a frame"):
            if self._program is None:
                raise EngineError("the session is closed")
            if torch.get_num_threads() != self._threads:
                torch.set_num_threads(self._threads)  # a setting of the process, not of the session
            given = {
                name: torch.from_numpy(plane).view(shape).to(self._device)
                for name, plane, shape in zip(input_names(source), inputs, tensor_shapes(source), strict=True)
            }
            if self.job.spec.conditioned:
                given[STRENGTH_INPUT] = torch.tensor([strength], device=self._device)
            results = self._program(given)
            for name, plane, shape in zip(output_names(target), outputs, tensor_shapes(target), strict=True):
                torch.from_numpy(plane).view(shape).copy_(results[name])
        return DONE

    def close(self) -> None:
        with self._lock:
            self._program = None


def _device(name: str) -> torch.device:
    """Raises UsageError for no device's name, EngineError for one that this machine lacks."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"there is no device {name} for the engine torch; choose cpu or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"torch {torch.__version__} finds no {name}; CUDA devices here: {torch.cuda.device_count()}"
        )
    return device


def _precision(device: torch.device, wanted: Precision) -> Precision:
    if device.type == "cuda":
        return Precision.FP16 if wanted is Precision.AUTO else wanted
    if wanted in (Precision.BF16, Precision.FP16):
        raise EngineError(f"the engine torch computes in fp32 on CPUs, not in {wanted}")
    return Precision.FP32


RUNTIME = TorchRuntime()
