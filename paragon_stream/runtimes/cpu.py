"""What engines on the CPU have in common."""

from __future__ import annotations

import os
import platform

from paragon_stream.errors import EngineError
from paragon_stream.runtimes.base import SessionOptions


def cores() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_words(threads: int) -> str:
    """`Session.device`, for libraries that do not know the CPU's name."""
    return f"CPU: {platform.processor() or platform.machine()}, {threads} threads"


def check_device(engine: str, options: SessionOptions) -> None:
    """EngineError where another device than the CPU is asked for."""
    if options.device not in (None, "cpu"):
        raise EngineError(f"the engine {engine} runs on the CPU only, not on {options.device}")
