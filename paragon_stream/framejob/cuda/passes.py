"""The division of planes among passes of the kernel `head`: one pass, or several if registers are too few."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paragon_stream.errors import EngineError
from paragon_stream.framejob.components import BaseTerm, Filter, OutputPlane
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Detail, Tail
from paragon_stream.framejob.taps import FilterBank

TILE = 8
"""The tail's outputs in a tensor-core product."""

_ROOM = 210
"""Registers of a thread, of 255, for what `_pass` counts; addresses and the like take the others. With it no
kernel spills on any architecture: tests/kernels/test_nvrtc.py, benchmarks/gpu/kernels.py."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A plane of the target, the location of its detail, and the inputs of its filters.

    The input of filter f is `own[f]` times the source's component of the same number, plus `shared[f]` times
    each component of the source; without `shared` it is that component alone, and `own` is its gain.
    """

    plane: OutputPlane
    detail: Detail
    filters: tuple[Filter, ...]
    own: tuple[float, ...]
    shared: tuple[tuple[float, ...], ...]

    @property
    def mixes(self) -> bool:
        return bool(self.shared)


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass over the rows of a warp's cells, for some of the target's planes."""

    groups: tuple[tuple[Member, ...], ...]
    """Neighbouring planes with the same size, cells and filters: one set of columns serves them."""
    first_tile: int
    tiles: int
    """Number of tiles of the tail's outputs. Passes may share a tile, at ×3."""
    holds_taps: bool
    """Whether the tail's taps stay in registers; otherwise every row of cells reads them through the
    cache."""
    registers: int
    """Number of registers of a thread for taps, unfinished sums and columns of samples."""


def tail_passes(job: FrameJob, tail: Tail) -> tuple[Pass, ...]:
    """Passes that fit into the registers; preferably with all taps in registers, and then as few as possible.

    Raises EngineError if the kernels do not support the job.
    """
    members = _members(job, tail)
    divisions = [
        tuple(_pass(members[a:b], tail) for a, b in itertools.pairwise((0, *cuts, len(members))))
        for count in range(len(members))
        for cuts in itertools.combinations(range(1, len(members)), count)
    ]
    return min(divisions, key=_price)


def _price(passes: tuple[Pass, ...]) -> tuple[int, ...]:
    """Smaller is better, from the first number on."""
    return (
        sum(max(0, each.registers - _ROOM) for each in passes),
        sum(each.tiles for each in passes if not each.holds_taps),
        len(passes),
        max(each.tiles for each in passes),
    )


def _members(job: FrameJob, tail: Tail) -> list[Member]:
    members = []
    for plane, detail in zip(job.outputs, tail.details, strict=True):
        assert detail is not None  # dense tails have all
        if detail.down is not None:
            raise EngineError(
                f"the cuda engine cannot make {job.target.pixel_format.name} at ×{job.scale}: "
                "chroma samples do not fit the network's cells; take another pixel format or engine openvino"
            )
        members.append(_member(job, plane, detail))
    return members


def _member(job: FrameJob, plane: OutputPlane, detail: Detail) -> Member:
    filters = tuple(each for term in plane.base for each in term.filters)
    component = plane.component
    if len(plane.base) == 1 and [c for c, _ in plane.base[0].mix] == [component]:
        gain = plane.base[0].mix[0][1]
        return Member(plane=plane, detail=detail, filters=filters, own=(gain,) * len(filters), shared=())
    factors = [each.factor for each in job.inputs] + [each.factor for each in job.outputs]
    if not filters or any(factor != (1, 1) for factor in factors):
        raise EngineError(
            f"the cuda engine cannot turn {job.source.pixel_format.name} into "
            f"{job.target.pixel_format.name} of other colour; keep the family or take engine openvino"
        )
    own: list[float] = []
    shared: list[tuple[float, ...]] = []
    for index, term in enumerate(plane.base):
        gains = _gains(job, term)
        common = list(gains)
        for other in job.outputs:  # the gain of this component is the same in all other planes
            if other.component != component and index < len(other.base):
                common[component] = _gains(job, other.base[index])[component]
                break
        own += [gains[component] - common[component]] * len(term.filters)
        shared += [tuple(common)] * len(term.filters)
    return Member(plane=plane, detail=detail, filters=filters, own=tuple(own), shared=tuple(shared))


def _gains(job: FrameJob, term: BaseTerm) -> list[float]:
    """The gain of each component of the source."""
    mix = dict(term.mix)
    return [mix.get(plane.component, 0.0) for plane in job.inputs]


def _pass(members: list[Member], tail: Tail) -> Pass:
    groups: list[list[Member]] = []
    for member in members:
        if groups and _alike(groups[-1][0], member):
            groups[-1].append(member)
        else:
            groups.append([member])
    first = members[0].detail.channels[0] // TILE
    tiles = math.ceil(members[-1].detail.channels[1] / TILE) - first
    _, features, rows, columns = tail.conv.weight.shape
    # Of a tile, lanes hold 4 sums for each row, and for each tap and 16 features 4 halves.
    sums, taps = tiles * rows * 4, tiles * rows * features // 16 * 2  # those of one column
    rest = sums + sum(_column_registers(group) for group in groups)
    holds_taps = rest + columns * taps <= _ROOM
    return Pass(
        groups=tuple(map(tuple, groups)),
        first_tile=first,
        tiles=tiles,
        holds_taps=holds_taps,
        registers=rest + (columns if holds_taps else 1) * taps,
    )


def _column_registers(group: list[Member]) -> int:
    """Registers for a lane's columns of samples: positions in the source, filters, and sums of a few rows."""
    first = group[0]
    filters = first.filters
    across = 16 * first.detail.block[1]  # columns of a plane that a warp has
    columns, phases = math.ceil(len(group) * across / 32), len(filters[0][2].phases)
    row_taps = joint_reach([rows for _, rows, _ in filters])[1]
    column_taps = joint_reach([columns for *_, columns in filters])[1]
    weights = column_taps * len(filters) * (columns if 32 % phases or across % phases else 1)
    places = 4 + 3 * len(first.shared[0] if first.mixes else ())
    return columns * (len(filters) * row_taps + column_taps + places) + weights


def joint_reach(banks: Sequence[FilterBank]) -> tuple[int, int]:
    """First offset and number of taps that hold all banks."""
    low = min(bank.reach[0] for bank in banks)
    return low, max(bank.reach[1] for bank in banks) - low + 1


def _alike(first: Member, second: Member) -> bool:
    """Whether one set of columns can serve both planes."""
    return (
        first.plane.factor == second.plane.factor
        and (first.detail.block, first.detail.lead) == (second.detail.block, second.detail.lead)
        and math.isclose(first.plane.offset, second.plane.offset)
        and first.filters == second.filters
        and len(first.shared) == len(second.shared)
        and np.allclose(first.own, second.own, rtol=1e-9, atol=1e-12)
        and np.allclose(first.shared, second.shared, rtol=1e-9, atol=1e-12)
    )
