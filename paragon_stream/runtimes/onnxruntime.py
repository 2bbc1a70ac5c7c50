"""ONNX Runtime on the CPU. Needs the extra `onnxruntime`.

Frames run one after another; `run` returns when the result is complete.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.onnx.emit import (
    STRENGTH_INPUT,
    GraphTypes,
    emit_onnx,
    input_names,
    output_names,
    tensor_shapes,
)
from paragon_stream.pipeline.slot import DONE, Completion
from paragon_stream.runtimes.base import Plane, Precision, Session, SessionOptions
from paragon_stream.runtimes.buffers import check_planes
from paragon_stream.runtimes.cpu import check_device, cores, in_words
from paragon_stream.runtimes.engine_errors import engine_errors
from paragon_stream.runtimes.int8.calibration import Arrays
from paragon_stream.runtimes.int8.frame_jobs import in_int8
from paragon_stream.runtimes.tiles import in_tiles_if_large

logger = logging.getLogger(__name__)

_PROVIDER = "CPUExecutionProvider"
_ONLY_ERRORS = 3

_WINDOWS = 16
"""Attention windows per batch: 67 MB of scores for 16² pixels and four heads, twice. All windows of a 320×180
frame at once took 3.5 GB; batches of this size take 0.9 GB and the same time.."""


class OnnxRuntime:
    """Frame jobs on the CPU, in fp32 or int8."""

    name = "onnxruntime"

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """See `Runtime`. Raises EngineError for 16 bits, and if ONNX Runtime refuses the job."""
        check_device(self.name, options)
        if options.precision not in (Precision.AUTO, Precision.FP32, Precision.INT8):
            raise EngineError(f"ONNX Runtime computes in fp32 or int8 on CPUs, not in {options.precision}")

        def compile_whole(job: FrameJob) -> Session:
            with engine_errors(f"ONNX Runtime cannot compile {job}"):
                return OnnxRuntimeSession(job, options.threads or cores(), options.precision)

        session = in_tiles_if_large(job, compile_whole)
        logger.info("engine: ONNX Runtime %s, %s, %s", ort.__version__, session.precision, session.device)
        return session


def _graph(job: FrameJob) -> onnx.ModelProto:
    return emit_onnx(job, types=GraphTypes(windows=_WINDOWS))


def run_model(
    model: onnx.ModelProto, feeds: Sequence[Arrays], outputs: Sequence[str]
) -> list[list[NDArray[Any]]]:
    """The outputs of those names of any graph, for each set of inputs. Raises EngineError."""
    options = ort.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    with engine_errors("ONNX Runtime cannot run the graph"):
        session = ort.InferenceSession(model.SerializeToString(), options, providers=[_PROVIDER])
        return [session.run(list(outputs), dict(each)) for each in feeds]


class OnnxRuntimeSession:
    """See `Session`. ONNX Runtime reads and writes the planes in place."""

    engine = "onnxruntime"
    in_flight = 1

    def __init__(self, job: FrameJob, threads: int, precision: Precision = Precision.FP32) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = _ONLY_ERRORS
        options.intra_op_num_threads = threads
        options.enable_mem_pattern = not job.spec.window  # it would allocate the memory of all blocks at once
        self.precision = Precision.INT8 if precision is Precision.INT8 else Precision.FP32
        if precision is Precision.INT8:
            library = f"ONNX Runtime {ort.__version__}"
            model = in_int8(job, _graph, run_model, library=library, cpu="").SerializeToString()
        else:
            model = _graph(job).SerializeToString()
        self.job = job
        self.device = in_words(threads)
        self._session: ort.InferenceSession | None = ort.InferenceSession(
            model, options, providers=[_PROVIDER]
        )
        self._lock = threading.Lock()

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        """See `Session.run`; everything is done when it returns."""
        check_planes(inputs, self.job.source)
        check_planes(outputs, self.job.target)
        source, target = self.job.source, self.job.target
        level = np.array([strength], np.float32)
        with self._lock, engine_errors("ONNX Runtime failed on a frame"):
            if self._session is None:
                raise EngineError("the session is closed")
            binding = self._session.io_binding()
            for name, plane, shape in zip(input_names(source), inputs, tensor_shapes(source), strict=True):
                binding.bind_input(name, "cpu", 0, plane.dtype, shape, plane.ctypes.data)
            for name, plane, shape in zip(output_names(target), outputs, tensor_shapes(target), strict=True):
                binding.bind_output(name, "cpu", 0, plane.dtype, shape, plane.ctypes.data)
            if self.job.spec.conditioned:
                binding.bind_input(STRENGTH_INPUT, "cpu", 0, level.dtype, level.shape, level.ctypes.data)
            self._session.run_with_iobinding(binding)
        return DONE

    def close(self) -> None:
        with self._lock:
            self._session = None


RUNTIME = OnnxRuntime()
