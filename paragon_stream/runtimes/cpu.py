"""Helpers of the CPU engines: the number of cores, free memory, and the check of `device`."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import re
from pathlib import Path

from paragon_stream.errors import EngineError
from paragon_stream.runtimes.base import SessionOptions

_CGROUPS = Path("/sys/fs/cgroup")
_CPUS = Path("/sys/devices/system/cpu")


def cores() -> int:
    """Number of CPUs for this process: the minimum of its affinity and its container's CPU quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = quota(_CGROUPS, _own_group())
    return allowed if granted is None else max(1, min(allowed, math.ceil(granted)))


@functools.cache
def cores_differ() -> bool:
    """Whether some cores are much slower than others, as efficiency cores are; False if the system does not
    say."""
    return _differ(_CPUS)


def _differ(root: Path) -> bool:
    """Whether the cores are of different kinds, by their capacity (ARM) or highest frequency. Cores of one
    kind differ by less than a tenth."""
    for fact in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        found = []
        for path in root.glob(f"cpu[0-9]*/{fact}"):
            with contextlib.suppress(OSError, ValueError):
                found.append(int(path.read_text()))
        if found:
            return max(found) > 1.1 * min(found)
    return False


def free_memory() -> int | None:
    """Bytes that programs can get; None if the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    return 1024 * int(found[1]) if found else None


def quota(root: Path, group: str = "/") -> float | None:
    """CPU quota of `group` and its parent control groups, in CPUs; None without a limit.

    Version 2 of the groups (`cpu.max`), or version 1 (`cpu/cpu.cfs_quota_us`).
    """
    found = []
    parts = [part for part in group.split("/") if part not in ("", "..")]
    for depth in range(len(parts) + 1):
        below = Path(*parts[:depth])
        try:
            limit, period = (root / below / "cpu.max").read_text().split()
        except (OSError, ValueError):
            try:
                folder = root / "cpu" / below
                limit = (folder / "cpu.cfs_quota_us").read_text().strip()
                period = (folder / "cpu.cfs_period_us").read_text().strip()
            except OSError:
                continue
        if limit.isdigit() and period.isdigit() and int(period):  # "max", or -1: no limit
            found.append(int(limit) / int(period))
    return min(found, default=None)


def _own_group() -> str:
    """The version 2 control group of this process."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return "/"
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")


def in_words(threads: int) -> str:
    """`Session.device` for libraries that do not report the CPU's name."""
    return f"CPU: {platform.processor() or platform.machine()}, {threads} threads"


def check_device(engine: str, options: SessionOptions) -> None:
    """Raise EngineError if `options.device` is not the CPU."""
    if options.device not in (None, "cpu"):
        raise EngineError(f"the engine {engine} runs on the CPU only, not on {options.device}")
