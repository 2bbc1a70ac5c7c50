"""TensorRT engines in a device session."""

from __future__ import annotations

import logging
from typing import Any

from paragon_stream.device import Device, DevicePlane, Stream
from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.onnx.emit import (
    GUARD_OUTPUT,
    STRENGTH_INPUT,
    graph_shapes,
    input_names,
    output_names,
)
from paragon_stream.runtimes.base import Precision
from paragon_stream.runtimes.disk_cache import DiskCache, default_cache_folder
from paragon_stream.runtimes.gpu.program import DeviceFrame, Hold, guard_is_finite, tight_pitches
from paragon_stream.runtimes.gpu.tensorrt_builder import Messages, graph_types, library_of

logger = logging.getLogger(__name__)

COMPILED = DiskCache(default_cache_folder("tensorrt"), ".kernels")
"""Cache of the kernels that TensorRT-RTX compiles when it loads an engine."""


class UnloadableError(EngineError):
    """An engine that TensorRT cannot load: of another version, for another GPU, or damaged."""


class TensorRtProgram:
    """See `DeviceProgram`. The status word is the graph's guard, an fp32."""

    slack = 0

    def __init__(
        self,
        trt: Any,
        name: str,
        job: FrameJob,
        precision: Precision,
        content: bytes,
        device: Device,
        hold: Hold,
    ) -> None:
        """`content` is the serialised engine. Raises UnloadableError, EngineError, DeviceMemoryError."""
        self.engine, self.precision = name, precision
        self.input_pitches, self.output_pitches = tight_pitches(job.source), tight_pitches(job.target)
        self._job = job
        self._messages = Messages(trt)
        self._runtime = trt.Runtime(self._messages.logger)
        self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise self._refusal("load", UnloadableError)
        self._kernels: Any = None
        self._kernel_facts = {
            "library": library_of(trt),
            "gpu": str(device.info),
            "driver": device.info.driver,
        }
        self._context = self._make_context(trt)
        if self._context is None:
            raise self._refusal("run", EngineError)
        size = int(self._engine.device_memory_size_v2)
        names, shapes = input_names(job.source), graph_shapes(job.source, graph_types(precision))
        if -1 in tuple(self._engine.get_tensor_shape(names[0])):  # an engine for many sizes
            for tensor, shape in zip(names, shapes, strict=True):
                if not self._context.set_input_shape(tensor, shape):
                    raise self._refusal(f"take frames of {job.source} in", EngineError)
            size = int(self._context.update_device_memory_size_for_shapes())
        if size:
            self._context.set_device_memory(hold(device.allocate(size)).handle, size)

    def enqueue(self, frame: DeviceFrame, stream: Stream) -> None:
        self._bind(input_names(self._job.source), frame.inputs)
        self._bind(output_names(self._job.target), frame.outputs)
        if self._job.spec.conditioned:
            self._bind_one(STRENGTH_INPUT, frame.strength)
        self._bind_one(GUARD_OUTPUT, frame.status)
        if not self._context.execute_async_v3(stream.handle):
            raise self._messages.refusal("TensorRT failed to start a frame")

    def is_healthy(self, status: int) -> bool:
        return guard_is_finite(status)

    def close(self) -> None:
        if self._kernels is not None:
            try:
                COMPILED.put(self._kernel_facts, bytes(self._kernels.serialize()))
            except Exception as error:  # any error of the binding: only the next start takes longer
                logger.warning("TensorRT's compiled kernels are not kept: %s", error)
        # Deleted in this order: each object needs the next one.
        self._context = self._kernels = self._engine = self._runtime = None

    def _make_context(self, trt: Any) -> Any:
        """An execution context whose memory this class allocates."""
        ours = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not hasattr(trt, "IRuntimeCache"):
            return self._engine.create_execution_context(ours)
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(ours)
        self._kernels = config.create_runtime_cache()
        known = COMPILED.get(self._kernel_facts)
        if known is not None and not self._kernels.deserialize(known):
            logger.warning("TensorRT does not load its compiled kernels; it compiles them again")
        config.set_runtime_cache(self._kernels)
        return self._engine.create_execution_context(config)

    def _refusal(self, what: str, otherwise: type[EngineError]) -> EngineError:
        return self._messages.refusal(f"TensorRT cannot {what} the engine", otherwise)

    def _bind(self, names: tuple[str, ...], planes: tuple[DevicePlane, ...]) -> None:
        for name, plane in zip(names, planes, strict=True):
            self._bind_one(name, plane.pointer)

    def _bind_one(self, name: str, address: int) -> None:
        """Set a tensor's address. If TensorRT refuses it, the old address stays and the frame would be
        written there, so that is an error."""
        if not self._context.set_tensor_address(name, address):
            raise EngineError(f"TensorRT takes no memory for {name}: {self._messages.last}")
