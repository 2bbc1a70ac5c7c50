"""The passes of the network between the planes: their texts, weights, and the maps that they read and write.

    Realtime: conv_in and block 1 → block 2 → block 3 → conv_mid → tail (cells of detail)
    Stream: conv_in → (near and far → gate) of each of six blocks → conv_mid → tail

A map of features goes beyond the picture by what the next pass reads around a pixel, as in the shaders for
players; the tail's outputs are cells, as on every engine.
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
    """What a pass reads and writes: two maps of features in turn, what Stream mixes, cells of detail."""

    FEATURES = 0
    OTHER_FEATURES = 1
    CELLS = 2
    MIXED = 3


@dataclass(frozen=True, kw_only=True)
class Step:
    """One pass, behind `head`."""

    name: str
    text: str
    weights: bytes
    size: Pair[int]
    """Rows and columns of the map that it writes."""
    reads: tuple[Workspace, ...]
    """Bound as `came` and `mixed`; nothing for the pass that reads the source's planes."""
    writes: Workspace
    channels: int
    macs: int
    """Multiplications for a pixel of the source."""


def network_steps(
    job: FrameJob, tail: Tail, cells: Cells, *, half: bool, single: bool, unit: float
) -> list[Step]:
    """All passes up to the cells. Texts divide centred codes by `unit`; for the rest see `emit_wgsl`."""
    features = job.spec.features
    top, left = (pad + lead for pad, lead in zip(tail.conv.pads[:2], cells.lead, strict=True))
    taps = tail.conv.weight.shape[2:]
    whole = (cells.size[0] + taps[0] - 1, cells.size[1] + taps[1] - 1)
    steps: list[Step] = []

    def add(
        name: str,
        text: str,
        weights: bytes,
        convs: Sequence[Conv],
        *,
        beyond: int,
        reads: tuple[Workspace, ...],
        writes: Workspace,
    ) -> None:
        """`beyond` is how far the map goes beyond conv_mid's, on every side."""
        steps.append(
            Step(
                name=name,
                text=text,
                weights=weights,
                size=(whole[0] + 2 * beyond, whole[1] + 2 * beyond),
                reads=reads,
                writes=writes,
                channels=features,
                macs=sum(conv.macs for conv in convs),
            )
        )

    reach = sum(_reach(block) for block in job.blocks)
    first, beyond = job.blocks[0], 1 + reach
    here, there = Workspace.FEATURES, Workspace.OTHER_FEATURES
    on_first = 1 if isinstance(first, RealtimeBlock) else 0
    source = Source(
        components=len(job.inputs),
        margin=(top + beyond - on_first, left + beyond - on_first),
        unit=unit,
    )
    conv_in = first_weights(job, unit)
    if not on_first:
        add(
            "conv_in", input_text(features, source), conv_in, [job.first],
            beyond=beyond, reads=(), writes=here,
        )  # fmt: skip
    for number, block in enumerate(job.blocks, 1):
        beyond -= _reach(block)
        if isinstance(block, RealtimeBlock):
            convs = [block.expand, block.depthwise, block.project]
            if number == 1:
                text, weights = block_text(features, source=source), conv_in + block_weights(block)
                add(
                    "conv_in, block 1", text, weights, [job.first, *convs],
                    beyond=beyond, reads=(), writes=here,
                )  # fmt: skip
                continue
            text, weights = block_text(features), block_weights(block)
            add(f"block {number}", text, weights, convs, beyond=beyond, reads=(here,), writes=there)
        elif isinstance(block, StreamBlock):
            add(
                f"block {number}, near and far",
                mix_text(features),
                mix_weights(block),
                [block.near, block.far, block.from_near, block.from_far],
                beyond=beyond + 1,
                reads=(here,),
                writes=Workspace.MIXED,
            )
            add(
                f"block {number}, gate",
                gate_text(features, limit=block.limit, half=half, single=single),
                gate_weights(block),
                [*block.expand, *block.gate, block.project],
                beyond=beyond,
                reads=(here, Workspace.MIXED),
                writes=there,
            )
        here, there = there, here
    text = conv_text(features, features, (3, 3), cells=False)
    add("conv_mid", text, conv_weights(job.mid), [job.mid], beyond=0, reads=(here,), writes=there)
    outputs = len(tail.conv.weight)
    steps.append(
        Step(
            name="tail",
            text=conv_text(features, outputs, (taps[0], taps[1]), cells=True),
            weights=conv_weights(tail.conv),
            size=cells.size,
            reads=(there,),
            writes=Workspace.CELLS,
            channels=outputs,
            macs=tail.conv.macs,
        )
    )
    return steps


def _reach(block: object) -> int:
    """Pixels that a block reads around one."""
    return FAR + 1 if isinstance(block, StreamBlock) else 1
