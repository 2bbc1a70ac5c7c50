"""The passes of the network between the planes: their texts, weights, and the maps that they read and write.

    Realtime: conv_in and block 1 → block 2 → block 3 → conv_mid → tail (cells of detail)
    Stream: conv_in → (near and far → gate) of each of six blocks → conv_mid → tail

A map of features is larger than the picture by the pixels that the next passes read around it, as in the
shaders for players; the tail's outputs are cells, as on every engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from paragon_stream.framejob.cells import Cells
from paragon_stream.framejob.conv import Conv
from paragon_stream.framejob.fold import RealtimeBlock, StreamBlock
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Pair, Tail
from paragon_stream.framejob.wgsl.stream import FAR, gate_text, mix_text
from paragon_stream.framejob.wgsl.text import Source, block_text, conv_text, input_text
from paragon_stream.framejob.wgsl.weights import (
    block_weights,
    conv_weights,
    first_weights,
    gate_weights,
    mix_weights,
)


class Workspace(IntEnum):
    """Buffers between passes: two maps of features, used alternately; Stream's mixed maps; cells of
    detail."""

    FEATURES = 0
    OTHER_FEATURES = 1
    CELLS = 2
    MIXED = 3


@dataclass(frozen=True, kw_only=True)
class Step:
    """One pass. Its text follows `head`."""

    name: str
    text: str
    weights: bytes
    size: Pair[int]
    """Rows and columns of the map that it writes."""
    reads: tuple[Workspace, ...]
    """Bound as `input_map` and `mixed`; empty for the pass that reads the source's planes."""
    writes: Workspace
    channels: int
    macs: int
    """Multiplications for a pixel of the source."""


def network_steps(
    job: FrameJob, tail: Tail, cells: Cells, *, half: bool, single: bool, unit: float
) -> list[Step]:
    """All passes up to the cells. Texts divide centred codes by `unit`; for the rest see `emit_wgsl`."""
    passes = _Passes(job, tail, cells, unit)
    blocks = list(enumerate(job.blocks, 1))
    if isinstance(job.blocks[0], RealtimeBlock):
        passes.first_with_block(job.blocks[0])
        blocks = blocks[1:]
    else:
        passes.first()
    for number, block in blocks:
        if isinstance(block, RealtimeBlock):
            passes.realtime(number, block)
        elif isinstance(block, StreamBlock):
            passes.stream(number, block, half=half, single=single)
    passes.mid()
    passes.tail()
    return passes.steps


class _Passes:
    """Collects the passes of a job, in order. Each map is as large as the passes after it need."""

    def __init__(self, job: FrameJob, tail: Tail, cells: Cells, unit: float) -> None:
        self.steps: list[Step] = []
        self._job, self._tail, self._cells, self._unit = job, tail, cells, unit
        self._features = job.spec.features
        self._beyond = 1 + sum(_reach(block) for block in job.blocks)
        """Pixels by which the latest map is larger than conv_mid's, on every side."""
        self._here, self._there = Workspace.FEATURES, Workspace.OTHER_FEATURES
        """The workspace of the latest features, and the other one."""
        self._taps = tail.conv.weight.shape[2:]
        self._whole = (cells.size[0] + self._taps[0] - 1, cells.size[1] + self._taps[1] - 1)
        """The size of conv_mid's map."""

    def first(self) -> None:
        """conv_in."""
        text = input_text(self._features, self._source(self._beyond))
        self._add("conv_in", text, self._first_weights(), [self._job.first], writes=self._here)

    def first_with_block(self, block: RealtimeBlock) -> None:
        """conv_in with block 1 of Realtime."""
        source = self._source(self._beyond - _reach(block))
        self._beyond -= _reach(block)
        text = block_text(self._features, source=source)
        weights = self._first_weights() + block_weights(block)
        convs = [self._job.first, block.expand, block.depthwise, block.project]
        self._add("conv_in, block 1", text, weights, convs, writes=self._here)

    def realtime(self, number: int, block: RealtimeBlock) -> None:
        self._beyond -= _reach(block)
        convs = [block.expand, block.depthwise, block.project]
        text, weights = block_text(self._features), block_weights(block)
        self._add(f"block {number}", text, weights, convs, reads=(self._here,), writes=self._there)
        self._swap()

    def stream(self, number: int, block: StreamBlock, *, half: bool, single: bool) -> None:
        self._beyond -= _reach(block)
        self._add(
            f"block {number}, near and far",
            mix_text(self._features),
            mix_weights(block),
            [block.near, block.far, block.from_near, block.from_far],
            wider=1,
            reads=(self._here,),
            writes=Workspace.MIXED,
        )
        self._add(
            f"block {number}, gate",
            gate_text(self._features, limit=block.limit, half=half, single=single),
            gate_weights(block),
            [*block.expand, *block.gate, block.project],
            reads=(self._here, Workspace.MIXED),
            writes=self._there,
        )
        self._swap()

    def mid(self) -> None:
        self._beyond = 0
        mid, text = self._job.mid, conv_text(self._features, self._features, (3, 3), cells=False)
        self._add("conv_mid", text, conv_weights(mid), [mid], reads=(self._here,), writes=self._there)
        self._swap()

    def tail(self) -> None:
        conv = self._tail.conv
        outputs = len(conv.weight)
        self.steps.append(
            Step(
                name="tail",
                text=conv_text(self._features, outputs, (self._taps[0], self._taps[1]), cells=True),
                weights=conv_weights(conv),
                size=self._cells.size,
                reads=(self._here,),
                writes=Workspace.CELLS,
                channels=outputs,
                macs=conv.macs,
            )
        )

    def _add(
        self,
        name: str,
        text: str,
        weights: bytes,
        convs: Sequence[Conv],
        *,
        reads: tuple[Workspace, ...] = (),
        writes: Workspace,
        wider: int = 0,
    ) -> None:
        """Add a pass whose map is `wider` pixels larger, on every side, than the latest size."""
        beyond = self._beyond + wider
        self.steps.append(
            Step(
                name=name,
                text=text,
                weights=weights,
                size=(self._whole[0] + 2 * beyond, self._whole[1] + 2 * beyond),
                reads=reads,
                writes=writes,
                channels=self._features,
                macs=sum(conv.macs for conv in convs),
            )
        )

    def _swap(self) -> None:
        self._here, self._there = self._there, self._here

    def _first_weights(self) -> bytes:
        return first_weights(self._job, self._unit)

    def _source(self, beyond: int) -> Source:
        """The source's planes for the first pass, whose map is `beyond` pixels larger than conv_mid's."""
        pads, lead = self._tail.conv.pads[:2], self._cells.lead
        top, left = (pad + more for pad, more in zip(pads, lead, strict=True))
        return Source(components=len(self._job.inputs), margin=(top + beyond, left + beyond), unit=self._unit)


def _reach(block: object) -> int:
    """Pixels that a block reads around each pixel."""
    return FAR + 1 if isinstance(block, StreamBlock) else 1
