"""Builds TensorRT engines of frame jobs. One builder for both products; the module argument selects the
product.

`tensorrt` times kernels on the GPU that it builds for; `tensorrt_rtx` chooses them when the engine runs, so
its engines can be built ahead of time, on any machine, for an architecture. Networks are strongly typed:
every layer computes in the graph's type, and the builder checks this before the build.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paragon_stream.device import DeviceInfo
from paragon_stream.errors import DeviceMemoryError, EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.onnx.dynamic import SizeRange, emit_dynamic_onnx
from paragon_stream.framejob.onnx.emit import GraphTypes, emit_onnx
from paragon_stream.runtimes.base import Precision
from paragon_stream.runtimes.disk_cache import DiskCache, default_cache_folder

logger = logging.getLogger(__name__)

ENGINES = DiskCache(default_cache_folder("tensorrt"), ".engine")
TIMINGS = DiskCache(default_cache_folder("tensorrt"), ".timings")

_SIZES = "sizes"
"""Cache key of engines for many sizes."""

COMPUTE_CAPABILITIES = (75, 80, 86, 89, 120)
"""Architectures that TensorRT-RTX builds for without such a GPU."""

type OnProgress = Callable[[str, float], None]
"""Called from any thread with the current phase and its progress, 0…1."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of an engine: the GPU `device` of this machine, or all GPUs of compute capability `sm`."""

    sm: int
    device: DeviceInfo | None = None

    @property
    def facts(self) -> dict[str, str]:
        """The facts of the target that an engine depends on."""
        gpu = f"{self.device.name} " if self.device else ""
        return {"gpu": f"{gpu}sm_{self.sm}", "driver": self.device.driver if self.device else "any"}


def graph_types(precision: Precision) -> GraphTypes:
    """fp16 unless fp32 is requested. Raises EngineError for bf16, whose 8 bits are few for 10-bit video, and
    for int8."""
    if precision in (Precision.BF16, Precision.INT8):
        raise EngineError(f"TensorRT engines compute in fp16 or fp32, not in {precision}")
    return GraphTypes(half=precision is not Precision.FP32, bytes=True, filters=True, guard=True)


def tensorrt_engine(
    trt: Any,
    job: FrameJob,
    precision: Precision,
    target: Target,
    on_progress: OnProgress | None = None,
    *,
    sizes: SizeRange | None = None,
) -> tuple[bytes, Mapping[str, str]]:
    """The serialised engine of `job`, from the cache or built now, and its cache key.

    With `sizes` it is one engine for all of them. Without, an engine for many sizes is used if there is none
    for the job's own size. Raises EngineError if TensorRT refuses the job.
    """
    types = graph_types(precision)
    graph, facts = _graph_and_facts(trt, job, types, target, sizes)
    library = facts["library"]
    if _is_portable(trt):
        ahead = {**facts, **Target(sm=target.sm).facts}
        if (kept := ENGINES.get(ahead)) is not None:
            return kept, ahead
    if sizes is None and not ENGINES.path(facts).exists():
        wider = _for_many_sizes(trt, job, types, target)
        if wider is not None:
            return wider

    def make() -> bytes:
        logger.warning("building a %s engine for %s; it is cached", library, facts["job"])
        return build(trt, graph, types, target, on_progress, sizes.shapes(job, types) if sizes else None)

    content, found = ENGINES.get_or_make(facts, make)
    logger.info("%s engine %s", library, "from the cache" if found else "built")
    return content, facts


def _graph_and_facts(
    trt: Any, job: FrameJob, types: GraphTypes, target: Target, sizes: SizeRange | None
) -> tuple[bytes, dict[str, str]]:
    """The ONNX graph of the engine, and its cache key."""
    model = emit_onnx(job, types=types) if sizes is None else emit_dynamic_onnx(job, sizes, types)
    graph = model.SerializeToString(deterministic=True)
    facts = {
        "library": library_of(trt),
        "job": str(job),
        "weights": job.weights_name,
        "graph": hashlib.sha256(graph).hexdigest(),
        "precision": "fp16" if types.half else "fp32",
        **target.facts,
    }
    if sizes is not None:
        layouts = f"{job.source.pixel_format.name} → {job.target.pixel_format.name}"
        facts |= {"job": f"{sizes}: {layouts}, {job.spec}", _SIZES: str(sizes)}
    return graph, facts


def _for_many_sizes(
    trt: Any, job: FrameJob, types: GraphTypes, target: Target
) -> tuple[bytes, Mapping[str, str]] | None:
    """A cached engine for a range of sizes that includes the job's."""
    size = job.source.width, job.source.height
    for entry in ENGINES.entries():
        if _SIZES not in entry.facts:
            continue
        sizes = SizeRange.parse(entry.facts[_SIZES])
        for kind in (target, Target(sm=target.sm)):
            if not sizes.serves(job) or any(entry.facts.get(k) != v for k, v in kind.facts.items()):
                continue
            _, facts = _graph_and_facts(trt, job, types, kind, sizes)
            content = ENGINES.get(facts)
            if content is not None:
                logger.info("%s engine for %s serves %dx%d", facts["library"], sizes, *size)
                return content, facts
    return None


def build(
    trt: Any,
    graph: bytes,
    types: GraphTypes,
    target: Target,
    on_progress: OnProgress | None = None,
    shapes: Mapping[str, Sequence[Sequence[int]]] | None = None,
) -> bytes:
    """Build the engine of an ONNX graph, without any cache of engines. Raises EngineError.

    `shapes` are the smallest, the best and the largest of each input of a graph for many sizes.
    """
    messages = Messages(trt)
    builder = trt.Builder(messages.logger)
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    parser = trt.OnnxParser(network, messages.logger)
    if not parser.parse(graph):
        errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise EngineError(f"TensorRT cannot read the graph: {'; '.join(errors) or messages.last}")
    check_types(trt, network, types)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # base path and filters need full fp32
    config.max_aux_streams = 0  # all work in the captured stream
    if shapes is not None:
        profile = builder.create_optimization_profile()
        for name, (least, best, most) in shapes.items():
            profile.set_shape(name, tuple(least), tuple(best), tuple(most))
        config.add_optimization_profile(profile)
    monitor = _progress_monitor(trt, on_progress) if on_progress else None
    if monitor is not None:
        config.progress_monitor = monitor
    timings: Any = None
    timing_facts = {"library": library_of(trt), **target.facts}
    if _is_portable(trt):
        config.num_compute_capabilities = 1
        config.set_compute_capability(_capability(trt, target.sm), 0)
    else:
        timings = config.create_timing_cache(TIMINGS.get(timing_facts) or b"")
        config.set_timing_cache(timings, False)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise messages.refusal("TensorRT could not build the engine")
    if timings is not None:
        TIMINGS.put(timing_facts, bytes(timings.serialize()))
    return bytes(built)


def check_types(trt: Any, network: Any, types: GraphTypes) -> None:
    """Raise EngineError unless planes are bytes and the convolutions have the requested type.

    The layers named `filter…` resample; they are always fp32.
    """
    planes = [network.get_input(n) for n in range(network.num_inputs)]
    planes += [network.get_output(n) for n in range(network.num_outputs)]
    for tensor in planes:
        wanted = trt.float32 if tensor.name in ("strength", "guard") else trt.uint8
        if tensor.dtype != wanted:
            raise EngineError(f"TensorRT made {tensor.name} {tensor.dtype}, not {wanted}")
    wanted = trt.float16 if types.half else trt.float32
    convolutions = 0
    for layer in (network.get_layer(n) for n in range(network.num_layers)):
        if layer.type == trt.LayerType.CONVOLUTION and not layer.name.startswith("filter"):
            convolutions += 1
            if layer.get_output(0).dtype != wanted:
                raise EngineError(
                    f"TensorRT computes {layer.name} in {layer.get_output(0).dtype}, not {wanted}"
                )
    if not convolutions:
        raise EngineError("TensorRT read a graph without convolutions")


def library_of(trt: Any) -> str:
    """Name and version: "tensorrt_rtx 1.7.1.116"."""
    return f"{trt.__name__} {trt.__version__}"


class Messages:
    """Forwards TensorRT's log to Python's; `last` is its latest error text, which its calls do not return."""

    def __init__(self, trt: Any) -> None:
        self.last = "it gave no reason"
        levels = {
            trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
            trt.ILogger.Severity.ERROR: logging.ERROR,
            trt.ILogger.Severity.WARNING: logging.INFO,
            trt.ILogger.Severity.INFO: logging.DEBUG,
        }
        outer = self

        class Bridge(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                level = levels.get(severity)
                if level is not None:
                    logger.log(level, "TensorRT: %s", message)
                if level == logging.ERROR:
                    outer.last = message

        self.logger = Bridge()

    def refusal(self, what: str, otherwise: type[EngineError] = EngineError) -> EngineError:
        """The exception for a failed call: TensorRT reports a lack of memory only in its log."""
        words = self.last.lower().replace(" ", "")
        is_short = "outofmemory" in words or "insufficientmemory" in words
        return (DeviceMemoryError if is_short else otherwise)(f"{what}: {self.last}")


def _is_portable(trt: Any) -> bool:
    """Whether engines are built for an architecture instead of for this machine's GPU."""
    return hasattr(trt, "ComputeCapability") and trt.__name__ == "tensorrt_rtx"


def _capability(trt: Any, sm: int) -> Any:
    try:
        return getattr(trt.ComputeCapability, f"SM{sm}")
    except AttributeError:
        raise EngineError(
            f"{library_of(trt)} has no engines for GPUs of compute capability {sm / 10}"
        ) from None


def _progress_monitor(trt: Any, on_progress: OnProgress) -> Any:
    """Reports the progress of TensorRT's outermost phases; it has nested ones."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._lock = threading.Lock()

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            with self._lock:
                self._steps[name] = max(1, steps)

        def phase_finish(self, name: str) -> None:
            on_progress(name, 1.0)

        def step_complete(self, name: str, step: int) -> bool:
            on_progress(name, min(1.0, (step + 1) / self._steps.get(name, 1)))
            return True

    return Monitor()
