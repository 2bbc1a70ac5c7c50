"""Runtimes by name. Each is imported when asked for, so that no library is loaded in vain."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from typing import NamedTuple

from paragon_stream.errors import EngineError, UsageError
from paragon_stream.runtimes.base import Runtime

logger = logging.getLogger(__name__)


class _Entry(NamedTuple):
    module: str
    package: str | None
    """What pip installs for it, and Python imports."""


_RUNTIMES = {
    "openvino": _Entry("paragon_stream.runtimes.openvino", "openvino"),
    "onnxruntime": _Entry("paragon_stream.runtimes.onnxruntime", "onnxruntime"),
    "torch": _Entry("paragon_stream.runtimes.torch", "torch"),
    "null": _Entry("paragon_stream.runtimes.null", None),
}

ENGINES = ("auto", *_RUNTIMES)
"""What `--engine` takes."""


def runtime(name: str = "auto") -> Runtime:
    """The runtime called `name`; `auto` takes the fastest that this machine can use and logs which.

    Raises UsageError for a name that is none of `ENGINES` and for a package that is not installed, and
    EngineError if its library cannot be loaded.
    """
    if name == "auto":
        name = "openvino"
        logger.info("engine: openvino, the fastest for a CPU")
    if name not in _RUNTIMES:
        raise UsageError(f"there is no engine {name}; choose from {', '.join(ENGINES)}")
    module, package = _RUNTIMES[name]
    if package is not None and not _is_installed(package):
        raise UsageError(
            f"the engine {name} needs the package {package}; install it with: "
            f"{sys.executable or 'python'} -m pip install {package}"
        )
    try:
        made: Runtime = importlib.import_module(module).RUNTIME
    except ImportError as error:
        # vs-mlrt-ov brings another OpenVINO into VapourSynth's process.
        reason = str(error).strip().rpartition("\n")[2]
        raise EngineError(f"engine {name} cannot be loaded: {reason}") from error
    return made


def installed_engines() -> tuple[str, ...]:
    """The engines whose packages are there, without loading any; `null`, which computes nothing, left out."""
    return tuple(name for name, entry in _RUNTIMES.items() if entry.package and _is_installed(entry.package))


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # something else took its name
        return False
