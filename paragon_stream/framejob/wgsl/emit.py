"""A frame job as WebGPU dispatches: WGSL programs, grids, and weights in the programs' order.

The network's passes (steps.py) make cells of detail; then every array of the target is written by a dispatch
that adds the base path, rounds and packs. Nothing here needs a GPU, or wgpu.
"""

from __future__ import annotations

import math

import numpy as np

from paragon_stream.checkpoint import Variant
from paragon_stream.checkpoint.spec import ReleaseSpec
from paragon_stream.errors import EngineError
from paragon_stream.framejob.cells import frame_cells
from paragon_stream.framejob.cuda.program import Buffer, BufferKind
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.wgsl.arrays import Arrays, Source, layouts, unit_text
from paragon_stream.framejob.wgsl.planes import source_text
from paragon_stream.framejob.wgsl.program import Dispatch, WgslProgram
from paragon_stream.framejob.wgsl.steps import Step, Workspace, network_steps
from paragon_stream.framejob.wgsl.text import SIDE, WEIGHTS, head
from paragon_stream.framejob.wgsl.weights import base_table

_LANES = 4
_FEATURES = {Variant.REALTIME: 16, Variant.STREAM: 32}
"""Numbers of features that fit into 32 KiB of workgroup memory."""

_STRENGTH = Buffer(kind=BufferKind.STRENGTH)


def emit_wgsl(job: FrameJob, *, half: bool = False, single: bool = False) -> WgslProgram:
    """The program of `job`.

    `half` computes the network in 16 bits, which the GPU must support; `single` stores features and detail in
    32 bits instead of 16. Base path, last addition and rounding are fp32. Raises EngineError for unsupported
    jobs.
    """
    check_wgsl(job)
    tail = job.tail(_LANES)
    cells = frame_cells(job, tail)
    unit = float(2.0 ** (job.source.pixel_format.depth - 1))
    steps = network_steps(job, tail, cells, half=half, single=single, unit=unit)
    source = Source(job)
    filters, places = _tables(job)
    arrays = Arrays(job, tail.details, cells, source, places, filters=len(steps), single=single)
    sample = 4 if single else 2
    written = [(step.writes, sample * step.channels * math.prod(step.size)) for step in steps]
    return WgslProgram(
        dispatches=(
            *(_network(job, step, n, source, half=half, single=single) for n, step in enumerate(steps)),
            *arrays.dispatches(),
        ),
        constants=(
            *(_halves(step.weights) if half else step.weights for step in steps),
            filters,
            *((arrays.resampling,) if arrays.resampling else ()),
        ),
        workspaces=(
            *(max((size for space, size in written if space == each), default=4) for each in Workspace),
            *arrays.workspaces,
        ),
        inputs=source.layouts,
        outputs=layouts(job.target, padded=True),
        macs=sum(step.macs for step in steps) * job.source.width * job.source.height,
        written=sum(size for _, size in written) + sum(arrays.workspaces),
    )


def _halves(singles: bytes) -> bytes:
    return np.frombuffer(singles, np.float32).astype(np.float16).tobytes()


def refusal(job: FrameJob) -> str:
    """Why no text computes `job`; "" if there are texts."""
    try:
        check_wgsl(job)
    except EngineError as error:
        return str(error)
    return ""


def check_wgsl(job: FrameJob) -> None:
    """Raise EngineError for jobs that the WGSL programs do not support."""
    spec = job.spec
    if not isinstance(spec, ReleaseSpec) or spec.features != _FEATURES.get(spec.variant):
        able = " and ".join(f"{each} networks of {count} features" for each, count in _FEATURES.items())
        raise EngineError(f"the engine webgpu computes {able}, not {spec}")
    if job.current:
        raise EngineError("the engine webgpu does not support --temporal; use the engine native or openvino")


def _network(job: FrameJob, step: Step, index: int, source: Source, *, half: bool, single: bool) -> Dispatch:
    """The dispatch of one pass; `index` is the index of its weights."""
    rows, columns = step.size
    sizes, text = {"columns": columns, "rows": rows}, step.text
    if step.reads:
        names = ("input_map", "mixed")[: len(step.reads)]
        declared = [f"<storage, read> {name}: array<Texel>" for name in names]
        buffers = tuple(Buffer(kind=BufferKind.WORKSPACE, index=each) for each in step.reads)
    else:
        declared = [*source.declared, "<storage, read> strength: array<f32>"]
        buffers = (*source.buffers, _STRENGTH)
        sizes, text = {**source.sizes, **sizes}, source_text(job) + text
    kind = "Pair" if step.writes is Workspace.CELLS else "Texel"
    declared += [WEIGHTS, f"<storage, read_write> output: array<{kind}>"]
    return Dispatch(
        name=step.name,
        text=head(declared, [*sizes], half=half, single=single) + unit_text(job) + text,
        grid=(math.ceil(columns / SIDE), math.ceil(rows / SIDE), 1),
        buffers=(
            *buffers,
            Buffer(kind=BufferKind.CONSTANT, index=index),
            Buffer(kind=BufferKind.WORKSPACE, index=step.writes),
        ),
        sizes=tuple(sizes.values()),
    )


def _tables(job: FrameJob) -> tuple[bytes, dict[int, list[int]]]:
    """The filters of the base path, and the positions of every component's filters, in floats."""
    parts: list[bytes] = []
    positions: dict[int, list[int]] = {}
    end = 0
    for plane in job.all_outputs.values():
        positions[plane.component] = []
        for term in plane.base:
            table = base_table(term)[0]
            positions[plane.component].append(end)
            parts.append(np.ascontiguousarray(table).tobytes())
            end += table.size
    return b"".join(parts), positions
