"""The result of the CUDA emitter: source text, launches, and their buffers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BufferKind(StrEnum):
    """The target of a kernel's pointer."""

    INPUT = "input"
    """An array of the source's planes."""
    OUTPUT = "output"
    """An array of the target's planes."""
    CONSTANT = "constant"
    WORKSPACE = "workspace"
    STRENGTH = "strength"
    """One fp32 (index 0); read by conditioned weights only."""
    STATUS = "status"
    """One uint32 (index 0): the kernels set it to 1 if a sample is NaN or far out of range. Set it to 0
    before each frame."""


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """A device pointer as an argument: its kind and its index in that kind."""

    kind: BufferKind
    index: int = 0


@dataclass(frozen=True, kw_only=True)
class Int:
    """An int32 as an argument."""

    value: int


type Argument = Buffer | Int


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One kernel over one grid; `args` in the kernel's order."""

    kernel: str
    """Its name in the program's translation unit, extern "C"."""
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    """Dynamic shared memory. Above 48 KiB a kernel's attribute has to allow it."""
    args: tuple[Argument, ...]


@dataclass(frozen=True, kw_only=True)
class PlaneLayout:
    """One array of a frame in device memory."""

    shape: tuple[int, ...]
    itemsize: int
    pitch: int
    """Bytes from row to row."""


@dataclass(frozen=True, kw_only=True)
class CudaProgram:
    """Everything that computes a frame on a CUDA device, for one frame job.

    All buffers begin at multiples of 256 bytes and need no zeroing. The launches run in order on one stream;
    they can be captured into a graph. Inputs are not changed, outputs are written completely, and workspaces
    keep no state between frames; concurrent frames need one set of buffers each.
    """

    source: str
    """CUDA C++ without #include, the same for all frame sizes and all weights of a variant and scale."""
    launches: tuple[Launch, ...]
    constants: tuple[bytes, ...]
    """Buffers that are uploaded once and shared by all frames."""
    workspaces: tuple[int, ...]
    """Sizes in bytes."""
    inputs: tuple[PlaneLayout, ...]
    outputs: tuple[PlaneLayout, ...]
