"""Runtimes by name. A runtime is imported at first use, so that unused libraries are not loaded."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from paragon_stream.device.discovery import (
    LOADING_ERRORS,
    OLDEST,
    find_adapters,
    find_gpus,
    may_have_gpu,
    ordinals,
)
from paragon_stream.errors import EngineError, UsageError, install_command
from paragon_stream.framejob.job import FrameJob
from paragon_stream.native.library import missing
from paragon_stream.runtimes.base import Precision, Runtime, Session, SessionOptions
from paragon_stream.runtimes.faster import FasterRuntime

logger = logging.getLogger(__name__)


class _Entry(NamedTuple):
    module: str
    package: str | None
    """Name of its Python module."""
    install: str = ""
    """Name of the pip package, if it differs from the module's."""
    on_gpu: bool = False
    """Whether it needs an NVIDIA GPU."""
    is_reference: bool = False
    """Whether its fp32 result on the CPU is a reference for GPUs; the first such engine that can do a job is
    used."""


_RUNTIMES = {
    "native": _Entry("paragon_stream.runtimes.native.runtime", None, is_reference=True),
    "openvino": _Entry("paragon_stream.runtimes.openvino", "openvino", is_reference=True),
    "onnxruntime": _Entry("paragon_stream.runtimes.onnxruntime", "onnxruntime", is_reference=True),
    "torch": _Entry("paragon_stream.runtimes.torch", "torch", is_reference=True),
    "cuda": _Entry("paragon_stream.runtimes.cuda", "cuda", "cuda-bindings nvidia-cuda-nvrtc", on_gpu=True),
    "tensorrt": _Entry("paragon_stream.runtimes.tensorrt", "tensorrt", on_gpu=True),
    "tensorrt-rtx": _Entry(
        "paragon_stream.runtimes.tensorrt_rtx", "tensorrt_rtx", "tensorrt-rtx", on_gpu=True
    ),
    "webgpu": _Entry("paragon_stream.runtimes.webgpu", "wgpu"),
    "null": _Entry("paragon_stream.runtimes.null", None),
}

CPU_ENGINES = ("native", "openvino", "onnxruntime")
"""Engines that never run on a GPU."""

ENGINES = ("auto", *_RUNTIMES)
"""The values of `--engine`."""


def runtime(name: str = "auto") -> Runtime:
    """The runtime called `name`; `auto` is the fastest one that this machine can use, and logs its choice and
    the reason.

    Raises UsageError for a name that is not in `ENGINES` and for a package that is not installed, and
    EngineError if its library cannot be loaded.
    """
    if name == "auto":
        return _automatic()
    if name not in _RUNTIMES:
        raise UsageError(f"there is no engine {name}; choose from {', '.join(ENGINES)}")
    entry = _RUNTIMES[name]
    if name == "native" and (reason := missing()):
        raise EngineError(f"the engine native cannot run: {reason}")
    if entry.package is not None and not _is_installed(entry.package):
        wanted = entry.install or entry.package
        raise UsageError(
            f"the engine {name} needs the package {wanted}; install it with: {install_command(wanted)}"
        )
    try:
        engine: Runtime = importlib.import_module(entry.module).RUNTIME
    except LOADING_ERRORS as error:
        # vs-mlrt-ov loads another OpenVINO into VapourSynth's process.
        reason = str(error).strip().rpartition("\n")[2]
        raise EngineError(f"engine {name} cannot be loaded: {reason}") from error
    return engine


def set_torch_compile(compiles: bool) -> None:
    """Whether the engine `torch` uses torch.compile, in this process and on every device."""
    engine: Any = runtime("torch")
    engine.compiles = compiles


def cpu_reference(job: FrameJob) -> Session:
    """`job` in fp32 on the CPU: the reference for devices, and the fallback for frames that they cannot
    compute.

    Raises EngineError if no engine for CPUs is installed that can compute it.
    """
    reasons = []
    references = [name for name, entry in _RUNTIMES.items() if entry.is_reference]
    # Engines of other projects first, because they are independent of this package's kernels.
    for name in sorted(references, key=lambda name: _RUNTIMES[name].package is None):
        try:
            session = runtime(name).compile(job, SessionOptions(precision=Precision.FP32, device="cpu"))
        except (UsageError, EngineError) as error:
            reasons.append(f"{name}: {error}")
        else:
            logger.debug("the reference on the CPU: %s", name)
            return session
    raise EngineError(f"no engine can compute {job} on the CPU, for comparison: {'; '.join(reasons)}")


def installed_engines() -> tuple[str, ...]:
    """The engines whose packages are installed and whose GPU exists, without `null`."""
    has_gpu = bool(find_gpus()[0])
    no_adapter = () if any(each.is_hardware for each in find_adapters()[0]) else ("webgpu",)
    own = () if missing() else ("native",)
    return *own, *(
        name
        for name, entry in _RUNTIMES.items()
        if entry.package
        and _is_installed(entry.package)
        and (has_gpu or not entry.on_gpu)
        and name not in no_adapter
    )


def gpu_of(engine: str, device: str | None) -> int | None:
    """The number of the (first) GPU that an engine would run on; None for a CPU or if unknown."""
    on_gpu = engine in _RUNTIMES and _RUNTIMES[engine].on_gpu
    if device is None and not on_gpu and engine not in ("auto", "torch"):
        return None
    try:
        number = ordinals(device)[0]
    except UsageError:  # the CPU, or what the engine will refuse
        return None
    return number if number < len(find_gpus()[0]) else None


def _automatic() -> Runtime:
    """The project's own kernels if there is an NVIDIA GPU for them, or else WebGPU or the CPU."""
    gpus, reason = find_gpus()
    if not gpus:
        return _of_any_brand(reason)
    if all(gpu.sm < OLDEST for gpu in gpus):
        return _of_any_brand(f"{gpus[0]} is too old for it")
    from paragon_stream.runtimes.gpu.nvrtc import drawback_of

    try:  # the module `cuda.bindings.nvrtc` is there without the library that it loads
        drawback = drawback_of(gpus[0].driver)
    except EngineError as error:
        return _of_any_brand(f"{gpus[0]} needs the package nvidia-cuda-nvrtc: {error}")
    if drawback:
        return _of_any_brand(drawback)
    return AutomaticRuntime(runtime("cuda"), CpuRuntime(), _other_on_gpu)


def _of_any_brand(no_cuda: str) -> Runtime:
    """The choice without a GPU for `cuda`: WebGPU on a hardware GPU if that is faster than the CPU, else the
    CPU."""
    if not may_have_gpu():
        reason = f"{no_cuda}; the system has no device file of one"
        logger.info("engine: one for CPUs; no GPU is used: %s", reason)
        return CpuRuntime(reason)
    adapters, reason = find_adapters()
    if any(each.is_hardware for each in adapters):
        logger.info("engine: webgpu or one for CPUs; cuda is not used: %s", no_cuda)
        from paragon_stream.framejob.wgsl.emit import refusal

        return FasterRuntime(runtime("webgpu"), CpuRuntime(no_cuda), refusal)
    reason = f"{no_cuda}; {reason or 'only ' + '; '.join(map(str, adapters))}"
    logger.info("engine: one for CPUs; no GPU is used: %s", reason)
    return CpuRuntime(reason)


class CpuRuntime:
    """The engine `native` if it has kernels for the job and is not slower, else `openvino`."""

    name = "auto"

    def __init__(self, no_gpu: str = "") -> None:
        """`no_gpu` is why no GPU is used, for the message if one is requested."""
        self._no_gpu = no_gpu

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """Raises EngineError, also for a GPU as the device."""
        if self._no_gpu and (options.device or "").startswith(("cuda", "gpu")):
            raise EngineError(f"the device {options.device} cannot be used: {self._no_gpu}")
        reason = missing() or importlib.import_module(_RUNTIMES["native"].module).drawback(job, options)
        if reason:
            logger.info("engine: openvino, because %s", reason)
            return runtime("openvino").compile(job, options)
        logger.info("engine: native, the fastest for this CPU")
        return runtime("native").compile(job, options)


def torch_on_gpu() -> Runtime | None:
    """The engine `torch` if it is installed and can use a GPU; else None. A damaged torch is logged."""
    if not _is_installed("torch"):
        return None
    try:
        engine = runtime("torch")
    except EngineError as error:
        logger.warning("torch is not used: %s", error)
        return None
    return engine if importlib.import_module("torch").cuda.is_available() else None


def _other_on_gpu(job: FrameJob) -> Runtime | None:
    """The engine on the GPU for jobs that `cuda` refuses: torch, or else WebGPU if it supports the job."""
    if (engine := torch_on_gpu()) is not None:
        return engine
    if not any(each.is_hardware for each in find_adapters()[0]):
        return None
    from paragon_stream.framejob.wgsl.emit import refusal

    return None if refusal(job) else runtime("webgpu")


class AutomaticRuntime:
    """The engine `cuda` if it has kernels for the job, or else another engine on the GPU, or else one on the
    CPU."""

    name = "auto"

    def __init__(self, gpu: Runtime, cpu: Runtime, find_other: Callable[[FrameJob], Runtime | None]) -> None:
        """`find_other` is called only if it is needed: torch takes seconds to load."""
        self._gpu, self._cpu, self._find_other = gpu, cpu, find_other

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """See `Runtime`. Raises EngineError, also if no engine can do the job on the requested GPU; there is
        no fallback from a failed GPU to a CPU that would take hours."""
        from paragon_stream.framejob.cuda.emit import refusal

        if options.device == "cpu" or options.precision is Precision.INT8:
            what = "the device cpu" if options.device == "cpu" else "int8"
            logger.info("engine: %s, because %s is selected", self._cpu.name, what)
            return self._cpu.compile(job, options)
        if (options.device or "").startswith("gpu"):
            logger.info("engine: webgpu, because the device %s is selected", options.device)
            return runtime("webgpu").compile(job, options)
        if options.precision in (Precision.AUTO, Precision.FP16):
            reason = refusal(job)
        else:
            reason = f"the engine cuda does not compute in {options.precision}"
        if not reason:
            logger.info("engine: cuda, the fastest for a GPU")
            return self._gpu.compile(job, options)
        other = self._find_other(job)
        # WebGPU has other names for GPUs, and does not compute in bf16.
        not_webgpu = options.device is not None or options.precision is Precision.BF16
        if other is not None and other.name == "webgpu" and not_webgpu:
            other = None
        if other is not None:
            logger.info("engine: %s on the GPU; %s", other.name, reason)
            return other.compile(job, options)
        if options.device is not None:
            ordinals(options.device)  # raises UsageError for what no engine calls a device
            raise EngineError(
                f"{reason}, so {options.device} cannot be used (torch could: pip install torch)"
            )
        logger.warning(
            "engine: %s on the CPU, although there is a GPU: %s (torch could: pip install torch)",
            self._cpu.name,
            reason,
        )
        return self._cpu.compile(job, options)


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # another module has the same name
        return False
