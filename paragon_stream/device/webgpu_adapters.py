"""Lists the GPUs that WebGPU (wgpu-py) finds, and maps its exceptions."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import wgpu

from paragon_stream.device.interface import DeviceInfo
from paragon_stream.errors import DeviceMemoryError, EngineError

logging.getLogger("wgpu").setLevel(logging.CRITICAL)  # it raises the same errors

HALF = "shader-f16"
_NO_MEMORY = ("out of memory", "not enough memory")
_KINDS = {"DiscreteGPU": "discrete", "IntegratedGPU": "integrated", "CPU": "software"}


@dataclass(frozen=True, kw_only=True)
class AdapterInfo(DeviceInfo):
    """Facts of a GPU: `kind` is discrete, integrated, software or other, `backend` Vulkan, Metal …"""

    compute_capability: tuple[int, int] = (0, 0)
    memory: int = 0
    multiprocessors: int = 0
    driver: str = ""
    kind: str
    backend: str
    has_half: bool

    @property
    def is_cuda(self) -> bool:
        return False

    @property
    def is_hardware(self) -> bool:
        return self.kind in ("discrete", "integrated")

    @property
    def label(self) -> str:
        return f"gpu:{self.ordinal}"

    def __str__(self) -> str:
        return f"{self.label}: {self.name} ({self.kind}, {self.backend})"


def adapters() -> list[AdapterInfo]:
    """Every GPU, discrete ones first; software ones, which are for tests, last. Raises EngineError."""
    return [adapter_info(number, each) for number, each in enumerate(open_adapters())]


def open_adapters() -> list[Any]:
    """wgpu's objects of `adapters()`."""
    _prepare()
    with errors("looking for GPUs"):
        found = wgpu.gpu.enumerate_adapters_sync()
    # OpenGL lists the same GPUs again, without features that are needed here.
    usable = [each for each in found if each.info["backend_type"] != "OpenGL"]
    order = [*_KINDS]
    return sorted(usable, key=lambda each: _rank(order, each.info["adapter_type"]))


def _prepare() -> None:
    """Prepare the process for loading a Vulkan driver.

    Mesa's drivers and Triton, torch's compiler, each have their own LLVM. The process crashes if Mesa's is
    loaded first, so Triton is loaded here. Vulkan's loader prints an error if XDG_RUNTIME_DIR is not set, as
    in services, so it is set.
    """
    if importlib.util.find_spec("triton") is not None:
        with suppress(ImportError, OSError):
            importlib.import_module("triton._C.libtriton")
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())


def _rank(order: Sequence[str], kind: str) -> int:
    return order.index(kind) if kind in order else order.index("CPU")


def adapter_info(number: int, adapter: Any) -> AdapterInfo:
    facts = adapter.info
    return AdapterInfo(
        name=facts["device"],
        ordinal=number,
        driver=facts["description"],
        kind=_KINDS.get(facts["adapter_type"], "other"),
        backend=facts["backend_type"],
        has_half=HALF in adapter.features,
    )


@contextmanager
def errors(what: str) -> Iterator[None]:
    """Map wgpu's exceptions to EngineError."""
    try:
        yield
    except (wgpu.GPUError, RuntimeError, ValueError, OSError) as error:
        text = " ".join(str(error).split())
        if "device is lost" in text.lower():
            raise EngineError("the GPU was lost: its driver was reset, or it was switched off") from error
        # wgpu reports a full GPU as a validation error, "Not enough memory left".
        no_memory = isinstance(error, MemoryError) or any(each in text.lower() for each in _NO_MEMORY)
        kind = DeviceMemoryError if no_memory else EngineError
        raise kind(f"WebGPU failed, {what}: {text}") from error
