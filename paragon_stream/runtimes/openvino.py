"""OpenVINO on the CPU. Only `quiet_openvino` imports the library."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from paragon_stream.checkpoint import Variant
from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.onnx.emit import (
    STRENGTH_INPUT,
    emit_onnx,
    input_names,
    output_names,
    tensor_shapes,
)
from paragon_stream.framejob.onnx.wide_kernels import split_wide_kernels
from paragon_stream.pipeline.slot import Completion
from paragon_stream.runtimes import tiles
from paragon_stream.runtimes.base import Flavour, Plane, Precision, Session, SessionOptions
from paragon_stream.runtimes.buffers import check_planes
from paragon_stream.runtimes.cpu import check_device, cores
from paragon_stream.runtimes.engine_errors import engine_errors
from paragon_stream.runtimes.int8.calibration import Arrays
from paragon_stream.runtimes.int8.frame_jobs import in_int8
from paragon_stream.runtimes.quiet_openvino import ov
from paragon_stream.runtimes.tiles import in_tiles_if_large

logger = logging.getLogger(__name__)

_DEVICE = "CPU"

_NARROW_LANES = 8  # fp32 in an AVX2 register
_WIDE_LANES = 16  # fp32 in an AVX-512 register, which CPUs with bf16 have


class OpenVinoRuntime:
    """Frame jobs on the CPU, in fp32, int8 or, where the CPU has the instructions, bf16."""

    name = "openvino"

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """See `Runtime`. Raises EngineError for fp16, for bf16 on a CPU without it, and if OpenVINO refuses
        the job.

        Frames whose feature maps need more than `tiles.WORKING_SET` are computed in tiles.
        """
        check_device(self.name, options)
        return in_tiles_if_large(job, lambda fitting: self._compile(fitting, options))

    def _compile(self, job: FrameJob, options: SessionOptions) -> OpenVinoSession:
        with engine_errors(f"OpenVINO cannot compile {job}"):
            core = _core()
            precision = _precision(core, options.precision, job)
            threads = options.threads or cores()
            streams = _streams(job, threads) if options.flavour is Flavour.THROUGHPUT else 1
            config = {
                "INFERENCE_PRECISION_HINT": _hint(core, precision, job),
                "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": streams,
            }
            graph = _in_int8(core, job) if precision is Precision.INT8 else _graph(job, precision)
            model = core.read_model(graph.SerializeToString())
            if precision is Precision.FP32 and job.spec.variant is Variant.REALTIME:
                _keep_depthwise_apart(model)
            compiled = core.compile_model(model, _DEVICE, config)
            cpu = str(core.get_property(_DEVICE, "FULL_DEVICE_NAME"))
            session = OpenVinoSession(job, compiled, precision, f"CPU: {cpu}, {threads} threads", streams)
        logger.info("engine: OpenVINO %s, %s, %d frames in flight", precision, session.device, streams)
        return session


class OpenVinoSession:
    """See `Session`. Each infer request is one frame in flight; requests are used in turn."""

    engine = "openvino"

    def __init__(
        self, job: FrameJob, compiled: ov.CompiledModel, precision: Precision, device: str, in_flight: int
    ) -> None:
        self.job = job
        self.precision = precision
        self.device = device
        self.in_flight = in_flight
        self.compiled = compiled
        self._lock = threading.Lock()
        self._requests = [_Request(job, compiled.create_infer_request()) for _ in range(in_flight)]
        self._next = 0

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        check_planes(inputs, self.job.source)
        check_planes(outputs, self.job.target)
        with self._lock:
            if not self._requests:
                raise EngineError("the session is closed")
            request = self._requests[self._next]
            self._next = (self._next + 1) % len(self._requests)
            return request.start(inputs, outputs, strength)

    def close(self) -> None:
        with self._lock:
            for request in self._requests:
                request.finish()
            self._requests.clear()


class _Request:
    """One infer request and the run that occupies it."""

    def __init__(self, job: FrameJob, request: ov.InferRequest) -> None:
        self._job = job
        self._request = request
        self._occupant: _Run | None = None

    def start(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float) -> _Run:
        self.finish()
        with engine_errors("OpenVINO failed to start a frame"):
            self._bind(input_names(self._job.source), inputs, tensor_shapes(self._job.source))
            self._bind(output_names(self._job.target), outputs, tensor_shapes(self._job.target))
            if self._job.spec.conditioned:
                self._request.set_tensor(STRENGTH_INPUT, ov.Tensor(np.array([strength], np.float32)))
            self._request.start_async()
        self._occupant = _Run(self._request, (inputs, outputs))
        return self._occupant

    def finish(self) -> None:
        """Wait for the run that occupies it. Its own completion raises its error."""
        if self._occupant is not None:
            self._occupant.settle()
            self._occupant = None

    def _bind(self, names: Sequence[str], planes: Sequence[Plane], shapes: Sequence[tuple[int, ...]]) -> None:
        for name, plane, shape in zip(names, planes, shapes, strict=True):
            self._request.set_tensor(name, ov.Tensor(plane.reshape(shape), shared_memory=True))


class _Run:
    """The completion of one frame; it may outlive the request's use for later frames.

    It keeps the frame's buffers alive, because OpenVINO has only pointers to them.
    """

    def __init__(self, request: ov.InferRequest, buffers: object) -> None:
        self._request: ov.InferRequest | None = request
        self._buffers = buffers
        self._error: EngineError | None = None
        self._lock = threading.Lock()

    def settle(self) -> None:
        with self._lock:
            if self._request is not None:
                try:
                    with engine_errors("OpenVINO failed on a frame"):
                        self._request.wait()
                except EngineError as error:
                    self._error = error
                self._request = self._buffers = None

    def wait(self) -> None:
        self.settle()
        if self._error is not None:
            raise self._error


@cache
def _core() -> ov.Core:
    """OpenVINO in this process, once and until its end.

    Its CPU plugin sets a signal stack for the thread that loads it, and frees that stack on the thread that
    drops the last reference. The next signal of the first thread, such as Ctrl-C, is then a segmentation
    fault (OpenVINO 2026.4, CPUs with AVX-512).
    """
    return ov.Core()


def devices() -> dict[str, str]:
    """OpenVINO's devices on this machine, with their full names. Raises EngineError."""
    with engine_errors("OpenVINO cannot list its devices"):
        core = _core()
        return {name: str(core.get_property(name, "FULL_DEVICE_NAME")) for name in core.available_devices}


def _keep_depthwise_apart(model: ov.Model) -> None:
    """Stop OpenVINO from fusing Realtime's 1×1 convolutions with the depthwise ones that follow.

    On CPUs without AVX-512 it fuses large maps with a kernel whose memory layout differs from the layers
    around it, and the reordering takes more time than the fusion saves: Realtime ×2 takes 263 ms of CPU per
    540p frame with the fusion and 220 without. (With Stream's wider maps the fusion is faster.) It does not
    fuse a map that has another reader: here, unused outputs of one sample each.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "GroupConvolution":
            one = (np.array(bounds, np.int64) for bounds in ([0, 0, 0], [1, 1, 1], [1, 1, 1], [1, 2, 3]))
            model.add_outputs(ov.opset13.slice(node.input_value(0), *one).output(0))


def _precision(core: ov.Core, wanted: Precision, job: FrameJob) -> Precision:
    """The precision of the body. The default is bf16 if the CPU has AVX512_BF16 or AMX and the error is small
    enough.

    bf16 has eight significant bits: the first convolution rounds deeper codes, so a ramp of 10 bits is up to
    2 codes off. With 8 bits it stays within 1.
    """
    has_bf16 = _has_bf16(core)
    if wanted is Precision.AUTO:
        deepest = max(job.source.pixel_format.depth, job.target.pixel_format.depth)
        visible = deepest > 8 or job.all_in_features or job.sorts_pixels
        return Precision.BF16 if has_bf16 and not visible else Precision.FP32
    if wanted is Precision.BF16 and not has_bf16:
        raise EngineError("this CPU has no bf16 instructions; use precision fp32 or auto")
    if wanted is Precision.FP16:
        raise EngineError("OpenVINO does not compute in fp16 on CPUs; use precision fp32, bf16, int8 or auto")
    return wanted


def _has_bf16(core: ov.Core) -> bool:
    return "BF16" in core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")


def _hint(core: ov.Core, precision: Precision, job: FrameJob) -> str:
    """The precision of convolutions that are not INT8: with int8, that of `auto`."""
    wide = _precision(core, Precision.AUTO, job) if precision is Precision.INT8 else precision
    return "bf16" if wide is Precision.BF16 else "f32"


def _graph(job: FrameJob, precision: Precision) -> onnx.ModelProto:
    if precision is Precision.FP32:
        return emit_onnx(job, lanes=_NARROW_LANES)
    return split_wide_kernels(emit_onnx(job, lanes=_WIDE_LANES))


def _in_int8(core: ov.Core, job: FrameJob) -> onnx.ModelProto:
    """The graph of `job` in INT8, judged by this CPU's arithmetic."""
    hint = _hint(core, Precision.INT8, job)

    def compute(
        model: onnx.ModelProto, feeds: Sequence[Arrays], outputs: Sequence[str]
    ) -> list[list[NDArray[Any]]]:
        # Graphs without INT8 are what the others are compared with: exact.
        exact = not any(node.op_type == "QuantizeLinear" for node in model.graph.node)
        config = {"INFERENCE_PRECISION_HINT": "f32" if exact else hint}
        compiled = core.compile_model(core.read_model(model.SerializeToString()), _DEVICE, config)
        results = [compiled(dict(each)) for each in feeds]
        return [[np.array(each[name]) for name in outputs] for each in results]

    library = f"OpenVINO {ov.__version__}, {hint}"
    cpu = str(core.get_property(_DEVICE, "FULL_DEVICE_NAME"))
    return in_int8(job, partial(_graph, precision=Precision.INT8), compute, library=library, cpu=cpu)


def _streams(job: FrameJob, threads: int) -> int:
    """Frames in flight for files: one per thread, if their maps fit into memory."""
    return max(1, min(threads, tiles.WORKING_SET // job.working_set))


RUNTIME = OpenVinoRuntime()
