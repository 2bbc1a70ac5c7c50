"""The change of size after the network, as tables of the CPU kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.components import OutputPlane
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.resample import Resampling
from paragon_stream.native import abi


@dataclass(frozen=True, kw_only=True)
class NativeResize:
    """A `Resize` of one plane, with the memory that it points to."""

    plane: OutputPlane
    structure: abi.Resize
    kept: tuple[NDArray[Any], ...]


def at_network_scale(job: FrameJob) -> FrameJob:
    """`job` up to the resampling and the bars, with unrounded floats as its result."""
    whole = job.resized(job.source.width, job.source.height)
    pixels = replace(whole.target.pixel_format, floating=True, shift=0)
    return replace(whole, target=replace(whole.target, pixel_format=pixels))


def emit_resizes(job: FrameJob) -> tuple[NativeResize, ...]:
    """The change of size of every plane of `job`'s target."""
    peak = job.target.pixel_format.peak
    return tuple(_resize(plane, peak) for plane in job.all_outputs.values())


def _resize(plane: OutputPlane, peak: int) -> NativeResize:
    kept: list[NDArray[Any]] = []
    rows, columns = (_table(axis, kept) for axis in plane.resampling)
    return NativeResize(
        plane=plane, structure=abi.Resize(rows=rows, columns=columns, peak=peak), kept=tuple(kept)
    )


def _table(axis: Resampling, kept: list[NDArray[Any]]) -> abi.Table:
    table = axis.table()
    used = (np.abs(table.weights) > 1e-9).any(axis=1)  # one tap where samples are only taken
    places = np.ascontiguousarray(table.places[used].T)
    weights = np.ascontiguousarray(table.weights[used].T)
    kept += [places, weights]
    return abi.Table(
        size=len(weights),
        taps=weights.shape[1],
        places=places.ctypes.data,
        weights=weights.ctypes.data,
    )
