"""Runtimes by name. Each is imported when asked for, so that no library is loaded in vain."""

from __future__ import annotations

import importlib
import logging

from paragon_stream.errors import EngineError, UsageError
from paragon_stream.runtimes.base import Runtime

logger = logging.getLogger(__name__)

_MODULES = {
    "openvino": "paragon_stream.runtimes.openvino",
    "null": "paragon_stream.runtimes.null",
}

ENGINES = ("auto", *_MODULES)
"""What `--engine` takes."""


def runtime(name: str = "auto") -> Runtime:
    """The runtime called `name`; `auto` takes the fastest that this machine can use and logs which.

    Raises UsageError for a name that is none of `ENGINES`, and EngineError if its library cannot be loaded.
    """
    if name == "auto":
        name = "openvino"
        logger.info("engine: openvino, the fastest for a CPU")
    if name not in _MODULES:
        raise UsageError(f"there is no engine {name}; choose from {', '.join(ENGINES)}")
    try:
        made: Runtime = importlib.import_module(_MODULES[name]).RUNTIME
    except ImportError as error:
        # Not only an absent library: vs-mlrt-ov brings another OpenVINO into VapourSynth's process.
        reason = str(error).strip().rpartition("\n")[2]
        raise EngineError(f"engine {name} cannot be loaded: {reason}") from error
    return made
