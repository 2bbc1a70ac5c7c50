"""A frame job as a program of this package's CPU kernels: tables, weights, and the unsupported cases.

This module runs nothing; docs/cpu.md describes the design of the kernels.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import Variant
from paragon_stream.errors import EngineError
from paragon_stream.framejob.components import InputPlane, Mix, OutputPlane
from paragon_stream.framejob.conv import Floats
from paragon_stream.framejob.fold import RealtimeBlock, StreamBlock
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.native.gelu import gelu_table
from paragon_stream.framejob.native.tail import PlaneTail, plane_tail
from paragon_stream.framejob.native.weights import (
    Packing,
    block_weights,
    dense_constant,
    packed,
    packed_in_tiles,
)
from paragon_stream.framejob.native.winograd import TAPS, products_of
from paragon_stream.framejob.tail import Pair, has_detail
from paragon_stream.framejob.taps import FilterBank
from paragon_stream.native import abi

FEATURES: dict[str, int] = {Variant.REALTIME: 16, Variant.STREAM: 32}
_MOST_BLOCKS = 8
_MOST_MIXES = 8


@dataclass(kw_only=True)
class NativeProgram:
    """A `Program` for the library, with all memory that it points to."""

    job: FrameJob
    program: abi.Program
    inputs: tuple[InputPlane, ...]
    """The source's planes, in the program's order."""
    outputs: tuple[OutputPlane, ...]
    step: tuple[int, int]
    """Source pixels (rows, columns) that a task's edges must be multiples of."""
    reach: int
    """Additional source pixels on each side that a task computes."""
    bias: Floats
    """conv_in's, without the strength."""
    slope: Floats
    """The addition to that bias at strength 1."""
    kept: list[Any] = field(default_factory=list)
    """Memory that the program points at."""

    def first_bias(self, strength: float) -> Floats:
        return np.ascontiguousarray(self.bias + np.float32(strength) * self.slope, np.float32)


def refusal(job: FrameJob) -> str:
    """Why there are no kernels for the network of `job`; "" if there are."""
    spec = job.spec
    if job.older is not None or spec.variant not in FEATURES:
        return f"the engine native has no kernels for networks like {spec}"
    if spec.features != FEATURES[spec.variant]:
        return f"the engine native computes {FEATURES[spec.variant]} features of {spec.variant}, not {spec}"
    if not 1 <= len(job.blocks) <= _MOST_BLOCKS:
        return f"the engine native computes 1 to {_MOST_BLOCKS} blocks, not {spec}"
    kind = RealtimeBlock if spec.variant == Variant.REALTIME else StreamBlock
    if any(not isinstance(block, kind) or getattr(block, "on_norm", False) for block in job.blocks):
        return f"the engine native has no kernels for the blocks of {spec}"
    return ""


def emit_native(job: FrameJob, packing: Packing) -> NativeProgram:
    """The program of `job`, packed for a form. Raises EngineError for jobs that the kernels cannot do."""
    if reason := refusal(job):
        raise EngineError(reason)
    return _Emitter(job, packing).emit()


def _plain_cell(scale: int, factor: Pair[int]) -> tuple[Pair[int], Pair[int]]:
    """Samples of a cell, and its source pixels, for planes without detail; both are (rows, columns)."""
    shares = [Fraction(scale, each) for each in factor]
    return (
        (shares[0].numerator, shares[1].numerator),
        (shares[0].denominator, shares[1].denominator),
    )


class _Emitter:
    """One emission; keeps the memory that the structures point to."""

    def __init__(self, job: FrameJob, packing: Packing) -> None:
        self._job = job
        self._packing = packing
        self._kept: list[Any] = []
        self._mixes: dict[Mix, int] = {}
        self._inputs = tuple(job.all_inputs.values())
        self._outputs = tuple(job.all_outputs.values())

    def emit(self) -> NativeProgram:
        job = self._job
        components = [plane.component for plane in job.outputs]
        tails = {
            component: plane_tail(job.tail_weight[index], job.tail_bias[index], job.outputs[index].down)
            for index, component in enumerate(components)
            if index == 0 or has_detail(job.tail_weight[index], job.tail_bias[index])
        }
        blocks, missing = self._blocks()
        missing = dense_constant(job.mid, missing)
        made, places = self._tails(tails, missing)
        reach = tuple(
            tuple(max(tail.reach[side][axis] for tail in tails.values()) for side in (0, 1))
            for axis in (0, 1)
        )
        seen = len(job.inputs)
        first = job.first.weight
        program = abi.Program(
            width=job.source.width,
            height=job.source.height,
            features=job.spec.features,
            blocks=len(job.blocks),
            seen=seen,
            outputs=len(self._outputs),
            tails=len(made),
            centre=job.centre,
            reach=((ctypes.c_int32 * 2) * 2)(*((ctypes.c_int32 * 2)(*each) for each in reach)),
            input=self._array(abi.Input, [self._input(plane) for plane in self._inputs]),
            first=self._floats(packed(first[:, :seen], self._packing.exact)),
            block=self._array(abi.Block, blocks),
            gelu=self._floats(self._gelu()),
            mid=self._floats(packed_in_tiles(job.mid.weight, self._packing)),
            tail=self._array(abi.Tail, made),
            output=self._array(
                abi.Output,
                [
                    self._output(plane, tails.get(plane.component), places.get(plane.component))
                    for plane in self._outputs
                ],
            ),
        )
        assert len(self._mixes) <= _MOST_MIXES
        program.mixes, program.mix = len(self._mixes), self._array(abi.Mix, self._mix_structures())
        steps = [tail.step for tail in tails.values()]
        return NativeProgram(
            job=job,
            program=program,
            inputs=self._inputs,
            outputs=self._outputs,
            step=(max(step[0] for step in steps), max(step[1] for step in steps)),
            reach=max(max(each) for each in reach) + len(job.blocks) + 2,
            bias=job.first.bias,
            slope=first[:, seen, 1, 1] if job.spec.conditioned else np.zeros_like(job.first.bias),
            kept=self._kept,
        )

    def _tails(
        self, tails: Mapping[int, PlaneTail], missing: NDArray[np.float64]
    ) -> tuple[list[abi.Tail], dict[int, tuple[int, int]]]:
        """One structure for all planes that share a window, and for each component the number of its
        structure and its first channel there. Planes with equal weights share their channels."""
        groups: dict[object, list[int]] = {}
        for component, tail in tails.items():
            groups.setdefault(tail.window, []).append(component)
        made: list[abi.Tail] = []
        places: dict[int, tuple[int, int]] = {}
        for number, members in enumerate(groups.values()):
            channel = 0
            computed: list[int] = []
            for component in members:
                tail = tails[component]
                like = next((each for each in computed if tails[each].same(tail)), None)
                if like is None:
                    places[component] = (number, channel)
                    channel += tail.bias.size
                    computed.append(component)
                else:
                    places[component] = places[like]
            made.append(self._tail([tails[component] for component in computed], missing))
        return made, places

    def _blocks(self) -> tuple[list[abi.Block], NDArray[np.float64]]:
        weights, missing = block_weights(self._job.blocks, self._packing)
        made = [
            abi.Block(
                expand=self._floats(each.expand),
                depthwise=self._floats(each.depthwise),
                project=self._floats(each.project),
                near_far=self._floats(each.near_far) if each.near_far is not None else None,
                fuse=self._floats(each.fuse) if each.fuse is not None else None,
                limit=each.limit,
            )
            for each in weights
        ]
        return made, missing

    def _gelu(self) -> Floats:
        table = gelu_table()
        return table.astype(np.float16).view(np.float32) if self._packing.precision == "fp16" else table

    def _tail(self, planes: Sequence[PlaneTail], missing: NDArray[np.float64]) -> abi.Tail:
        """Planes that share a window, one after another."""
        features = len(missing)
        weight = np.concatenate([tail.weight.reshape(-1, features, *tail.taps) for tail in planes])
        bias = np.concatenate([tail.bias.ravel() for tail in planes]) + weight.sum(axis=(2, 3)) @ missing
        any_ = planes[0]
        in_tiles = any_.step[1] == 1 and any_.taps[1] in TAPS
        return abi.Tail(
            outputs=len(weight),
            first=any_.first,
            taps=any_.taps,
            step=any_.step,
            products=products_of(any_.taps[1]) if in_tiles else 0,
            weights=self._floats(
                packed_in_tiles(weight, self._packing) if in_tiles else packed(weight, self._packing.exact)
            ),
            bias=self._floats(bias),
        )

    def _input(self, plane: InputPlane) -> abi.Input:
        rows, columns = plane.up
        return abi.Input(rows=self._bank(rows), columns=self._bank(columns))

    def _output(
        self, plane: OutputPlane, tail: PlaneTail | None, place: tuple[int, int] | None
    ) -> abi.Output:
        job = self._job
        terms = []
        for term in plane.base:
            # The filter includes the gain of a single component, so that planes share the rows.
            gain = term.mix[0][1] if len(term.mix) == 1 else 1.0
            mix = ((term.mix[0][0], 1.0),) if len(term.mix) == 1 else term.mix
            index = self._mixes.setdefault(mix, len(self._mixes))
            terms += [
                abi.Term(mix=index, rows=self._bank(rows), columns=self._bank(columns, gain * weight))
                for weight, rows, columns in term.filters
            ]
        group, channel = place or (-1, 0)
        cell, step = (tail.bias.shape, tail.step) if tail else _plain_cell(job.scale, plane.factor)
        return abi.Output(
            rows=plane.size[0],
            columns=plane.size[1],
            offset=plane.offset,
            peak=job.target.pixel_format.peak,
            terms=len(terms),
            tail=group,
            channel=channel,
            cell=cell,
            lead=tail.lead if tail else (0, 0),
            step=step,
            term=self._array(abi.Term, terms),
        )

    def _mix_structures(self) -> list[abi.Mix]:
        order = [each.component for each in self._inputs]
        return [
            abi.Mix(
                inputs=len(mix),
                input=(ctypes.c_int32 * 3)(*(order.index(component) for component, _ in mix)),
                gain=(ctypes.c_float * 3)(*(gain for _, gain in mix)),
            )
            for mix in self._mixes
        ]

    def _bank(self, bank: FilterBank, gain: float = 1.0) -> abi.Bank:
        low, high = bank.reach
        weights = np.zeros((len(bank.phases), high - low + 1))
        for row, taps in zip(weights, bank.phases, strict=True):
            for k, weight in taps.items():
                row[k - low] = float(weight)
        return abi.Bank(
            step=bank.step,
            phases=len(bank.phases),
            first=low,
            taps=high - low + 1,
            weights=self._floats(gain * weights),
        )

    def _floats(self, values: NDArray[np.floating]) -> int:
        """The address of `values` in fp32, on a cache line."""
        lines = np.zeros(values.size + 16, np.float32)
        start = -lines.ctypes.data % 64 // 4
        lines[start : start + values.size] = values.ravel()
        self._kept.append(lines)
        return int(lines.ctypes.data) + 4 * start

    def _array(self, kind: type[Any], items: Sequence[Any]) -> Any:
        array = (kind * max(1, len(items)))(*items)
        self._kept.append(array)
        return array
