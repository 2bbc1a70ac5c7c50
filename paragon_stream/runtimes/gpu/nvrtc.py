"""CUDA C++ to machine code by NVIDIA's run-time compiler, which needs neither a GPU nor a driver."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from paragon_stream.errors import EngineError
from paragon_stream.framejob.cuda.program import CudaProgram
from paragon_stream.runtimes.disk_cache import DiskCache, default_cache_folder

logger = logging.getLogger(__name__)

OPTIONS = ("--std=c++17", "--ptxas-options=-v", "--diag-suppress=177")  # 177: a constant that nobody reads


@dataclass(frozen=True, kw_only=True)
class Cubin:
    """Machine code for one architecture. `log` is the compiler's, empty where the code was in the cache."""

    code: bytes
    log: str
    from_cache: bool


def cubin_cache() -> DiskCache:
    """Where compiled kernels are kept."""
    return DiskCache(default_cache_folder("kernels"), ".cubin")


def cubin(program: CudaProgram, architecture: str, cache: DiskCache | None = None) -> Cubin:
    """`program` compiled for `architecture` ("sm_90"), from `cache` if it is there: else that takes seconds.

    Raises EngineError if the compiler is absent, or refuses the source or the architecture.
    """
    with _nvrtc() as nvrtc:
        version = ".".join(str(part) for part in _result(nvrtc, nvrtc.nvrtcVersion()))
    facts = {
        "source": program.source,
        "architecture": architecture,
        "options": " ".join(OPTIONS),
        "nvrtc": version,
    }
    log = ""

    def compile_now() -> bytes:
        nonlocal log
        start = time.perf_counter()
        code, log = compile_source(program.source, architecture)
        logger.info("kernels compiled for %s in %.1f s", architecture, time.perf_counter() - start)
        return code

    code, from_cache = (cache or cubin_cache()).get_or_make(facts, compile_now)
    return Cubin(code=code, log=log, from_cache=from_cache)


def compile_source(source: str, architecture: str) -> tuple[bytes, str]:
    """Machine code, and the compiler's log: registers, spills and shared memory of each kernel.

    Raises EngineError.
    """
    options = [f"--gpu-architecture={architecture}", *OPTIONS]
    with _nvrtc() as nvrtc:
        made = _result(nvrtc, nvrtc.nvrtcCreateProgram(source.encode(), b"kernels.cu", 0, [], []))[0]
        try:
            (error,) = nvrtc.nvrtcCompileProgram(made, len(options), [each.encode() for each in options])
            log = _text(nvrtc, made, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog).decode()
            if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
                told = [line for line in log.splitlines() if "error" in line] or [error.name]
                raise EngineError(f"the kernels cannot be compiled for {architecture}: {told[0]}")
            return _text(nvrtc, made, nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN), log.rstrip("\0")
        finally:
            nvrtc.nvrtcDestroyProgram(made)


def _text(nvrtc: Any, program: Any, size_of: Any, get: Any) -> bytes:
    (size,) = _result(nvrtc, size_of(program))
    content: bytes = b" " * size
    _result(nvrtc, get(program, content))
    return content


def _result(nvrtc: Any, answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a call of the library returned, less its code."""
    if answer[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise EngineError(f"NVIDIA's run-time compiler failed: {answer[0].name}")
    return answer[1:]


@contextmanager
def _nvrtc() -> Iterator[Any]:
    """The library; whatever it raises because it is absent or damaged, as EngineError."""
    try:
        from cuda.bindings import nvrtc

        yield nvrtc
    except EngineError:
        raise
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise EngineError(
            f"NVIDIA's run-time compiler cannot be loaded ({reason}); pip install 'paragon-stream[cuda]'"
        ) from error
