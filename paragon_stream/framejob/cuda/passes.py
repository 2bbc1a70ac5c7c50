"""Which planes the kernel `head` makes together: all, or, where registers are too few, some in each pass."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from paragon_stream.errors import EngineError
from paragon_stream.framejob.components import OutputPlane
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Detail, Tail
from paragon_stream.framejob.taps import FilterBank

TILE = 8
"""The tail's outputs in a tensor-core product."""

_ROOM = 210
"""Registers of a thread, of 255, for what `_pass` counts; addresses and the like take the others. With it no
kernel spills on any architecture: tests/kernels/test_nvrtc.py, benchmarks/gpu/kernels.py."""

type Member = tuple[OutputPlane, Detail]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """Once down the rows of a warp's cells, for some of the target's planes."""

    groups: tuple[tuple[Member, ...], ...]
    """Neighbouring planes with the same size, cells and filters: one set of columns serves them."""
    first_tile: int
    tiles: int
    """Of the tail's outputs. Passes may share a tile, at ×3."""
    holds_taps: bool
    """Whether the tail's taps stay in registers; else every row of cells reads them through the cache."""
    registers: int
    """Of a thread, for taps, open sums and columns of samples."""


def tail_passes(job: FrameJob, tail: Tail) -> tuple[Pass, ...]:
    """Passes with registers enough for each; of these, such as hold all taps; of these, the fewest.

    EngineError where the kernels have no way to do the job.
    """
    members = _members(job, tail)
    ways = [
        tuple(_pass(members[a:b], tail) for a, b in itertools.pairwise((0, *cuts, len(members))))
        for count in range(len(members))
        for cuts in itertools.combinations(range(1, len(members)), count)
    ]
    return min(ways, key=_price)


def _price(passes: tuple[Pass, ...]) -> tuple[int, ...]:
    """Smaller is better, from the first number on."""
    return (
        sum(max(0, each.registers - _ROOM) for each in passes),
        sum(each.tiles for each in passes if not each.holds_taps),
        len(passes),
        max(each.tiles for each in passes),
    )


def _members(job: FrameJob, tail: Tail) -> list[Member]:
    members = list(zip(job.outputs, tail.details, strict=True))
    for plane, detail in members:
        if detail.down is not None:
            raise EngineError(
                f"the cuda engine cannot make {job.target.pixel_format.name} at ×{job.scale}: "
                "chroma samples do not fit the network's cells; take another pixel format or engine openvino"
            )
        if len(plane.base) != 1 or plane.base[0].plane != plane.component:
            raise EngineError(
                f"the cuda engine cannot turn {job.source.pixel_format.name} into "
                f"{job.target.pixel_format.name} of other colour; keep the family or take engine openvino"
            )
    return members


def _pass(members: list[Member], tail: Tail) -> Pass:
    groups: list[list[Member]] = []
    for member in members:
        if groups and _alike(groups[-1][0], member):
            groups[-1].append(member)
        else:
            groups.append([member])
    first = members[0][1].channels[0] // TILE
    tiles = math.ceil(members[-1][1].channels[1] / TILE) - first
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
    """For a lane's columns of samples: where the source's are, filters, what they make of a few rows."""
    plane, detail = group[0]
    filters = plane.base[0].filters
    across = 16 * detail.block[1]  # columns of a plane that a warp has
    columns, phases = math.ceil(len(group) * across / 32), len(filters[0][2].phases)
    row_taps = joint_reach([rows for _, rows, _ in filters])[1]
    column_taps = joint_reach([columns for *_, columns in filters])[1]
    weights = column_taps * len(filters) * (columns if 32 % phases or across % phases else 1)
    return columns * (len(filters) * row_taps + column_taps + 4) + weights


def joint_reach(banks: Sequence[FilterBank]) -> tuple[int, int]:
    """First offset and number of taps that hold all banks."""
    low = min(bank.reach[0] for bank in banks)
    return low, max(bank.reach[1] for bank in banks) - low + 1


def _alike(one: Member, other: Member) -> bool:
    (a, first), (b, second) = one, other
    return (
        a.factor == b.factor
        and (first.block, first.lead) == (second.block, second.lead)
        and math.isclose(a.offset, b.offset)
        and math.isclose(a.base[0].gain, b.base[0].gain)
        and a.base[0].filters == b.base[0].filters
    )
