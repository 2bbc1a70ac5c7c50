"""Shared parts of the benchmarks: the facts of the machine, repeats that share the noise, results on disk."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"
SAMPLE = REPOSITORY / "examples" / "sample.mkv"

sys.path.insert(0, str(REPOSITORY))  # scripts measure this checkout, installed or not

_LIBRARIES = ("av", "numpy", "onnx", "onnxruntime", "openvino", "torch", "vapoursynth")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The times of one run, in seconds. `cpu` is the CPU time of all threads of this process."""

    wall: float
    cpu: float


def cost_of(work: Callable[[], object]) -> Cost:
    """Run `work` once and measure it."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)


def interleaved(contestants: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[Cost]]:
    """Run each contestant `repeats` times, taking turns: a busy minute of the machine hits them all."""
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, work in contestants.items():
            costs[name].append(cost_of(work))
    return costs


def median_ratio(above: list[Cost], below: list[Cost], what: str) -> float:
    """The median, over the rounds of `interleaved`, of above/below; `what` is "wall" or "cpu"."""
    return median(getattr(a, what) / getattr(b, what) for a, b in zip(above, below, strict=True))


def machine() -> dict[str, Any]:
    """The machine and the libraries, for the head of a result file."""
    return {
        "cpu": _cpu_model(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_flags": _cpu_flags(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


def write_results(name: str, head: Mapping[str, Any], results: Mapping[str, Any]) -> Path:
    """Write benchmarks/results/<name>.json: the date, `head` (from `machine`, taken before), the results."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    record = {"date": time.strftime("%Y-%m-%d"), "machine": head, **results}
    path.write_text(json.dumps(record, indent=1, default=_plain, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _plain(value: object) -> object:
    if isinstance(value, Cost):
        return {name: round(seconds, 4) for name, seconds in asdict(value).items()}
    raise TypeError(f"{value!r} cannot be stored")


def _commit() -> str | None:
    """The checkout's commit, with a plus sign where files were changed since; None without git."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.check_output(command, cwd=REPOSITORY, text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpuinfo(key: str) -> str:
    """The first value of `key` in Linux' /proc/cpuinfo, or an empty string."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _cpu_model() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpu_flags() -> list[str]:
    """The vector instructions that decide which kernels run."""
    flags = set(_cpuinfo("flags").split())
    return sorted(
        flags
        & {"avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "avx_vnni", "amx_bf16"}
    )
