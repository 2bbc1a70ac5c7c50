"""Which GPUs there are, asked without needing any package or driver for the question."""

from __future__ import annotations

import importlib.util

from paragon_stream.device.interface import DeviceInfo
from paragon_stream.errors import EngineError


def find_gpus() -> tuple[list[DeviceInfo], str]:
    """The CUDA devices of this machine and, if there are none that could be used, why."""
    try:
        if importlib.util.find_spec("cuda.bindings") is None:
            return [], "the package cuda-bindings is not installed"
    except (ImportError, ValueError):
        return [], "the package cuda-bindings is not installed"
    try:
        from paragon_stream.device.cuda import device_infos

        found = device_infos()
    except ImportError as error:
        return [], f"cuda-bindings cannot be loaded: {error}"
    except EngineError as error:
        return [], str(error)
    return found, "" if found else "the driver finds no GPU"
