"""Runs the CUDA kernels' own source on the CPU: any C++ compiler, and host_simt.h in place of the machine."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from places import REPOSITORY, SUPPORT

from paragon_stream.framejob.cuda.program import BufferKind, CudaProgram, Int
from paragon_stream.framejob.cuda.source import kernel_text

GUARD = 4096
FORWARD, BACKWARD, SHUFFLED = range(3)
"""The order in which the threads of a block run."""


@functools.cache
def compiler() -> list[str]:
    """A C++ compiler's command; skips the test where there is none, or no fibers."""
    if sys.platform == "win32":
        pytest.skip("the emulator's fibers need POSIX ucontext")
    for name in ("g++", "clang++", "c++"):
        if path := shutil.which(name):
            return [path]
    pytest.skip("no C++ compiler: the kernels' source cannot be run here")


@functools.cache
def build(source: str) -> ctypes.CDLL:
    """`source` (which includes what it needs of this folder) as a loaded library."""
    folder = REPOSITORY / ".pytest_cache" / "kernels"
    folder.mkdir(parents=True, exist_ok=True)
    parts = (
        source,
        *((SUPPORT / name).read_text(encoding="utf-8") for name in ("host_simt.h", "host_launch.h")),
    )
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    library = folder / f"{digest}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory() as work:
            code, made = Path(work) / "kernels.cpp", Path(work) / "kernels.so"
            code.write_text(source, encoding="utf-8")
            flags = [
                "-std=c++17",
                "-O1",
                "-fno-strict-aliasing",
                "-shared",
                "-fPIC",
                "-w",
                "-I",
                str(SUPPORT),
            ]
            command = [*compiler(), *flags, "-o", str(made), str(code)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=240)
            assert done.returncode == 0, done.stderr[-4000:]
            shutil.move(made, library)
    loaded = ctypes.CDLL(str(library))
    loaded.launch.restype = ctypes.c_char_p
    return loaded


def host_source(program: CudaProgram) -> str:
    """The program's text with the CPU's functions in place of the GPU's."""
    device = kernel_text("simt.cuh")
    assert program.source.startswith(device)
    kernels = program.source.removeprefix(device)
    names = " ".join(f"EACH({name})" for name in sorted({launch.kernel for launch in program.launches}))
    return f'#include "host_simt.h"\n{kernels}\n#define EACH_KERNEL {names}\n#include "host_launch.h"\n'


class Guarded:
    """Bytes at an address divisible by 256, with filled bytes around them that nobody may touch."""

    def __init__(self, size: int, fill: int, data: bytes = b"") -> None:
        self.memory = np.full(size + 2 * GUARD + 256, fill, np.uint8)
        self.start = GUARD + -(self.memory.ctypes.data + GUARD) % 256
        self.fill = fill
        self.data = self.memory[self.start : self.start + size]
        self.data[: len(data)] = np.frombuffer(data, np.uint8)

    @property
    def address(self) -> int:
        return self.memory.ctypes.data + self.start

    def check(self, name: str) -> None:
        around = (self.memory[: self.start], self.memory[self.start + len(self.data) :])
        assert all((part == self.fill).all() for part in around), f"bytes around {name} were written"


@dataclass(frozen=True, kw_only=True)
class Run:
    outputs: tuple[NDArray, ...]
    status: int


def run_program(
    program: CudaProgram,
    planes: Sequence[NDArray],
    strength: float = 0.0,
    *,
    order: int = FORWARD,
    fill: int = 0xFF,
) -> Run:
    """All launches of one frame. `fill` is what lies in and around all memory that nothing was written to.

    Fails if anything is written outside of a buffer, or an input or a constant is changed.
    """
    library = build(host_source(program))
    buffers: dict[tuple[BufferKind, int], Guarded] = {}
    for index, (layout, plane) in enumerate(zip(program.inputs, planes, strict=True)):
        rows = np.full((layout.shape[0], layout.pitch), fill, np.uint8)
        flat = plane.reshape(layout.shape[0], -1).view(np.uint8)
        rows[:, : flat.shape[1]] = flat
        buffers[BufferKind.INPUT, index] = Guarded(rows.size, fill, rows.tobytes())
    for index, layout in enumerate(program.outputs):
        buffers[BufferKind.OUTPUT, index] = Guarded(layout.shape[0] * layout.pitch, fill)
    for index, data in enumerate(program.constants):
        buffers[BufferKind.CONSTANT, index] = Guarded(len(data), fill, data)
    for index, size in enumerate(program.workspaces):
        buffers[BufferKind.WORKSPACE, index] = Guarded(size, fill)
    buffers[BufferKind.STRENGTH, 0] = Guarded(4, fill, np.float32(strength).tobytes())
    buffers[BufferKind.STATUS, 0] = Guarded(4, fill, bytes(4))
    kept = {key: each.data.copy() for key, each in buffers.items()}
    for launch in program.launches:
        words = [
            each.value if isinstance(each, Int) else buffers[each.kind, each.index].address
            for each in launch.args
        ]
        error = library.launch(
            launch.kernel.encode(),
            *launch.grid[:2],
            launch.block[0],
            launch.shared_bytes,
            order,
            fill,
            (ctypes.c_uint64 * len(words))(*words),
        )
        assert error is None, f"{launch.kernel}: {error.decode()}"
    for (kind, index), each in buffers.items():
        each.check(f"{kind} {index}")
        if kind in (BufferKind.INPUT, BufferKind.CONSTANT, BufferKind.STRENGTH):
            assert (each.data == kept[kind, index]).all(), f"{kind} {index} was written"
    return Run(
        outputs=tuple(
            _plane(buffers[BufferKind.OUTPUT, index].data, layout.shape, layout.itemsize, layout.pitch)
            for index, layout in enumerate(program.outputs)
        ),
        status=int(buffers[BufferKind.STATUS, 0].data.view(np.uint32)[0]),
    )


def _plane(data: NDArray[np.uint8], shape: tuple[int, ...], itemsize: int, pitch: int) -> NDArray:
    width = int(np.prod(shape[1:])) * itemsize
    rows = np.ascontiguousarray(data.reshape(shape[0], pitch)[:, :width])
    return rows.view(np.uint8 if itemsize == 1 else np.uint16).reshape(shape)
