"""The result of the WebGPU emitter: dispatches with their texts, and their buffers."""

from __future__ import annotations

from dataclasses import dataclass

from paragon_stream.framejob.cuda.program import Buffer, PlaneLayout


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """One entry point over one grid of workgroups.

    `buffers` are bound to @binding(0), (1) …; if there are `sizes`, a uniform of int32s follows.
    """

    name: str
    """A name for messages. `text` has one entry point."""
    text: str
    """WGSL, the same for all frame sizes and all weights of a variant, scale and pixel format."""
    grid: tuple[int, int, int]
    buffers: tuple[Buffer, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class WgslProgram:
    """Everything that computes a frame on a WebGPU device, for one frame job.

    The dispatches run in order in one queue. Inputs are not changed, outputs are written completely, and
    workspaces keep no state between frames. The kinds of buffers are those of CUDA programs.
    """

    dispatches: tuple[Dispatch, ...]
    constants: tuple[bytes, ...]
    """Buffers that are uploaded once and shared by all frames."""
    workspaces: tuple[int, ...]
    """Sizes in bytes."""
    inputs: tuple[PlaneLayout, ...]
    outputs: tuple[PlaneLayout, ...]
    macs: int
    """Multiplications of the network for a frame, without halos and GELU."""
    written: int
    """Bytes of features and detail that a frame writes, and reads at least once."""
