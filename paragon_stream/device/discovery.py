"""Finds the GPUs of this machine; works without any GPU package or driver."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from paragon_stream.device.interface import DeviceInfo
from paragon_stream.errors import EngineError, UsageError

if TYPE_CHECKING:
    from paragon_stream.device.webgpu_adapters import AdapterInfo

OLDEST = 75
"""Compute capability 7.5, without its dot: the first GPUs that the engines on GPUs can use."""


LOADING_ERRORS = (ImportError, OSError, RuntimeError, ValueError)
"""Exceptions of a package that is damaged: torch without a library raises OSError, wgpu RuntimeError,
modules for another NumPy ValueError."""


def find_gpus() -> tuple[list[DeviceInfo], str]:
    """The CUDA devices of this machine and, if none is usable, the reason."""
    try:
        if importlib.util.find_spec("cuda.bindings") is None:
            return [], "the package cuda-bindings is not installed"
    except (ImportError, ValueError):
        return [], "the package cuda-bindings is not installed"
    try:
        from paragon_stream.device.cuda import device_infos

        found = device_infos()
    except LOADING_ERRORS as error:
        return [], f"cuda-bindings cannot be loaded: {error}"
    except EngineError as error:
        return [], str(error)
    return found, "" if found else "the driver finds no GPU"


_DEVICE_FILES = ("dri/*", "nvidia*", "nvhost*", "dxg", "kgsl*", "mali*", "pvr*")
"""Device files of GPUs in /dev: Linux's own, NVIDIA's, NVIDIA's for Jetson, WSL's, Qualcomm's, Arm's,
Imagination's."""


def may_have_gpu() -> bool:
    """False on Linux without device files of a GPU. Asking WebGPU instead would take most of a second."""
    if sys.platform != "linux":
        return True
    return any(next(Path("/dev").glob(each), None) for each in _DEVICE_FILES)


@cache
def find_adapters() -> tuple[tuple[AdapterInfo, ...], str]:
    """The GPUs of every brand that WebGPU finds and, if there are none, the reason. Cached in the process."""
    if importlib.util.find_spec("wgpu") is None:
        return (), "the package wgpu is not installed"
    try:
        from paragon_stream.device.webgpu_adapters import adapters

        found = adapters()
    except EngineError as error:
        return (), str(error)
    except LOADING_ERRORS as error:
        return (), f"wgpu cannot be loaded: {' '.join(str(error).split())}"
    return tuple(found), "" if found else "WebGPU finds no GPU: no driver for Vulkan, Metal or Direct3D 12"


def ordinals(device: str | None) -> tuple[int, ...]:
    """The numbers of the GPUs that `device` names: "cuda:1", "cuda:0,cuda:2"; "cuda" and None are the first
    GPU.

    "cuda:all" means all GPUs that are not too old, at least one. Raises UsageError for other values.
    """
    name = device or "cuda"
    if name == "cuda:all":
        return tuple(gpu.ordinal for gpu in find_gpus()[0] if gpu.sm >= OLDEST) or (0,)
    named = [re.fullmatch(r"cuda(?::(\d+))?", each.strip()) for each in name.split(",")]
    numbers = tuple(int(each[1] or 0) for each in named if each)
    if len(numbers) < len(named):
        raise UsageError(f"there is no GPU called {device}; choose cuda:N, cuda:N,cuda:M or cuda:all")
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"{device} names a GPU twice")
    return numbers
