"""Compiles CUDA C++ to machine code or PTX with NVIDIA's run-time compiler, which needs no GPU and no
driver."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from paragon_stream.errors import EngineError, install_command
from paragon_stream.framejob.cuda.program import CudaProgram
from paragon_stream.runtimes.disk_cache import DiskCache, default_cache_folder

logger = logging.getLogger(__name__)

OPTIONS = ("--std=c++17", "--ptxas-options=-v", "--diag-suppress=177")  # 177: a constant that is not read


@dataclass(frozen=True, kw_only=True)
class Cubin:
    """The input of `Device.load`. `log` is the compiler's; it is empty for cached code."""

    code: bytes
    """Machine code; for GPUs newer than the compiler PTX, which the driver compiles."""
    log: str
    from_cache: bool


def cubin_cache() -> DiskCache:
    """The cache of compiled kernels."""
    return DiskCache(default_cache_folder("kernels"), ".cubin")


def cubin(program: CudaProgram, sm: int, cache: DiskCache | None = None) -> Cubin:
    """`program` for GPUs of compute capability `sm` (90 is 9.0), from `cache` or compiled in some seconds.

    Raises EngineError if the compiler is absent, or refuses the source or the architecture.
    """
    version = compiler_version()
    architecture = architecture_for(sm)
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


def compiler_version() -> str:
    """The version of NVIDIA's run-time compiler, such as "13.0". Raises EngineError if it is missing."""
    with _nvrtc() as nvrtc:
        return ".".join(str(part) for part in _result(nvrtc, nvrtc.nvrtcVersion()))


def drawback_of(driver: str) -> str:
    """Why code of the installed compiler does not run with a driver for CUDA `driver` ("12.4"); "" if it
    does.

    Within a major version of CUDA older drivers run newer code, beyond it they do not. Raises EngineError
    without the compiler.
    """
    version = compiler_version()
    if int(driver.partition(".")[0]) >= int(version.partition(".")[0]):
        return ""
    return (
        f"the driver is for CUDA {driver}, older than the compiler's {version}: update the display driver "
        "(CUDA 13 needs 580 or newer)"
    )


def architecture_for(sm: int) -> str:
    """The target architecture: "sm_90", or, if the compiler does not support the GPU, PTX for the newest
    supported one before it: "compute_121". Raises EngineError without the compiler."""
    with _nvrtc() as nvrtc:
        known = list(_result(nvrtc, nvrtc.nvrtcGetSupportedArchs())[0])
    older = [each for each in known if each < sm]
    if sm in known or not older:
        return f"sm_{sm}"
    logger.warning(
        "the installed compiler is older than GPUs of compute capability %d.%d; the driver compiles the "
        "kernels from PTX for %d.%d (newer: pip install -U nvidia-cuda-nvrtc)",
        *divmod(sm, 10),
        *divmod(max(older), 10),
    )
    return f"compute_{max(older)}"


def compile_source(source: str, architecture: str) -> tuple[bytes, str]:
    """Machine code for "sm_90", PTX for "compute_90"; and the compiler's log: registers, spills and shared
    memory of each kernel, for machine code.

    Raises EngineError.
    """
    is_ptx = architecture.startswith("compute_")
    options = [f"--gpu-architecture={architecture}", *OPTIONS]
    with _nvrtc() as nvrtc:
        handle = _result(nvrtc, nvrtc.nvrtcCreateProgram(source.encode(), b"kernels.cu", 0, [], []))[0]
        try:
            (error,) = nvrtc.nvrtcCompileProgram(handle, len(options), [each.encode() for each in options])
            log = _text(nvrtc, handle, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog).decode()
            if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
                errors = [line for line in log.splitlines() if "error" in line] or [error.name]
                raise EngineError(f"the kernels cannot be compiled for {architecture}: {errors[0]}")
            if is_ptx:
                code = _text(nvrtc, handle, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
            else:
                code = _text(nvrtc, handle, nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
            return code, log.rstrip("\0")
        finally:
            nvrtc.nvrtcDestroyProgram(handle)


def _text(nvrtc: Any, program: Any, size_of: Any, get: Any) -> bytes:
    """The text that `get` writes into a buffer of `size_of` bytes."""
    (size,) = _result(nvrtc, size_of(program))
    # Not into bytes: an empty log has one byte, and Python has one object for each single byte.
    content = bytearray(size)
    _result(nvrtc, get(program, content))
    return bytes(content)


def _result(nvrtc: Any, answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """The results of a call of the library, without its status. Raises EngineError for an error status."""
    if answer[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise EngineError(f"NVIDIA's run-time compiler failed: {answer[0].name}")
    return answer[1:]


@contextmanager
def _nvrtc() -> Iterator[Any]:
    """The library. Raises EngineError if it is missing or damaged."""
    try:
        from cuda.bindings import nvrtc

        yield nvrtc
    except EngineError:
        raise
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise EngineError(
            f"NVIDIA's run-time compiler cannot be loaded ({reason}); "
            f"install it with: {install_command('cuda-bindings nvidia-cuda-nvrtc')}"
        ) from error
