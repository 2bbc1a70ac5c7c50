"""The network's tensors, folded with the colour maps of both formats.

Formulas: reference of the release line, f = conv_in(x), y = base + gain · conv_out(PS(up(conv_mid(body(f))))).
All sums in float64; the results are float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import STRENGTH_TENSOR, NetworkSpec, Variant
from paragon_stream.framejob.color import ColorMap
from paragon_stream.framejob.taps import FilterBank

type Floats = NDArray[np.float32]
type Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Conv:
    """A convolution: `weight` (outputs, inputs / groups, kernel rows, kernel columns), `bias` (outputs).

    Rows and columns of zeros around the input: `pads` = (top, left, bottom, right).
    """

    weight: Floats
    bias: Floats
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    stride: tuple[int, int] = (1, 1)
    dilation: int = 1
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiplications per output position."""
        return self.weight.size


@dataclass(frozen=True, kw_only=True)
class RealtimeBlock:
    """`x + project(GELU(depthwise(expand(x))))`."""

    expand: Conv
    depthwise: Conv
    project: Conv


@dataclass(frozen=True, kw_only=True)
class StreamBlock:
    """`x + project(a ⊙ b)`, [a; b] = gate(expand(fuse(near(x) ++ far(x)))).

    Upstream clamps a ⊙ b to ±65504 for the sake of fp16; no trained network comes near, and bf16 needs none.
    """

    near: Conv
    far: Conv
    fuse: Conv
    expand: Conv
    gate: Conv
    project: Conv


type Block = RealtimeBlock | StreamBlock

TAIL_TAPS = 4
"""Support of the collapsed tail on the grid that is shifted by one HR sample: LR offsets -2 … 1."""


def fold_input(tensors: Tensors, colors: ColorMap) -> Conv:
    """conv_in on centred codes. Conditioned weights have one more input: the strength, on every sample."""
    weight = np.float64(tensors["conv_in.weight"])
    folded = np.einsum("foyx,oc->fcyx", weight, colors.to_rgb)
    bias = tensors["conv_in.bias"] + np.einsum("foyx,o->f", weight, colors.rgb_of_centre)
    if STRENGTH_TENSOR in tensors:
        plane = np.zeros((weight.shape[0], 1, 3, 3))
        plane[:, 0, 1, 1] = tensors[STRENGTH_TENSOR]
        folded = np.concatenate([folded, plane], axis=1)
    return _conv(folded, bias, pad=1)


def fold_block(tensors: Tensors, spec: NetworkSpec, group: int, index: int) -> Block:
    """One residual block, its layer scale inside the last 1×1."""
    prefix = f"body.{group}.blocks.{index}"

    def layer(
        name: str, *, pad: int = 0, dilation: int = 1, groups: int = 1, gain: Doubles | None = None
    ) -> Conv:
        weight, bias = (np.float64(tensors[f"{prefix}.{name}.{part}"]) for part in ("weight", "bias"))
        if gain is not None:
            weight, bias = weight * gain[:, None, None, None], bias * gain
        return _conv(weight, bias, pad=pad, dilation=dilation, groups=groups)

    gamma = np.float64(tensors[f"{prefix}.scale.gamma"]).reshape(-1) if spec.has_layer_scale else None
    f = spec.features
    if spec.variant is Variant.REALTIME:
        return RealtimeBlock(
            expand=layer("conv1"),
            depthwise=layer("dw", pad=1, groups=2 * f),
            project=layer("conv2", gain=gamma),
        )
    return StreamBlock(
        near=layer("dw1", pad=1, groups=f),
        far=layer("dw3", pad=3, dilation=3, groups=f),
        fuse=layer("fuse"),
        expand=layer("proj"),
        gate=layer("gate", pad=1, groups=4 * f),
        project=layer("out", gain=gamma),
    )


def fold_mid(tensors: Tensors) -> Conv:
    return _conv(np.float64(tensors["conv_mid.weight"]), np.float64(tensors["conv_mid.bias"]), pad=1)


def collapse_tail(tensors: Tensors, scale: int, colors: ColorMap) -> tuple[Doubles, Doubles]:
    """up → PixelShuffle → conv_out → gain → colour as one LR convolution that gives HR detail in cells.

    Cell j of an axis holds the HR samples scale·j - 1 … scale·j + scale - 2: on this shifted grid every phase
    lies within 4 LR taps, at every scale, against 5 on the unshifted one.

    Returns weight (components, scale, scale, features, 4, 4), taps for LR offsets -2 … 1, and bias
    (components, scale, scale); the result is in code values of the target.
    """
    up = np.float64(tensors["up.0.weight"])
    features = up.shape[1]
    up = up.reshape(-1, scale, scale, features, 3, 3)
    up_bias = np.float64(tensors["up.0.bias"]).reshape(-1, scale, scale)
    gain = colors.from_rgb * float(tensors["detail_gain"])
    out = np.einsum("or,rcyx->ocyx", gain, np.float64(tensors["conv_out.weight"]))
    components = out.shape[0]
    weight = np.zeros((components, scale, scale, features, TAIL_TAPS, TAIL_TAPS))
    bias = np.zeros((components, scale, scale))
    bias += (gain @ np.float64(tensors["conv_out.bias"]))[:, None, None]
    for r in range(scale):
        for q in range(scale):
            for u in range(3):
                for v in range(3):
                    # HR sample (r - 1) of the cell, conv_out's tap u reads HR sample r - 1 + u - 1.
                    cell_y, phase_y = divmod(r - 2 + u, scale)
                    cell_x, phase_x = divmod(q - 2 + v, scale)
                    tap = out[:, :, u, v]
                    rows, columns = slice(cell_y + 1, cell_y + 4), slice(cell_x + 1, cell_x + 4)
                    weight[:, r, q, :, rows, columns] += np.einsum(
                        "oc,cfyx->ofyx", tap, up[:, phase_y, phase_x]
                    )
                    bias[:, r, q] += tap @ up_bias[:, phase_y, phase_x]
    return weight, bias


def merge_down(
    weight: Doubles, bias: Doubles, banks: tuple[FilterBank, FilterBank]
) -> tuple[Doubles, Doubles] | None:
    """A collapsed tail followed by downsampling `banks` (rows, columns; HR samples to target samples).

    The banks' cells must be the LR grid. Returns weight (components, rows, columns, features, 4, 4) and bias,
    or None where the result does not fit the 4 taps.
    """
    for axis, bank in enumerate(banks):
        moved = _fold_bank(np.moveaxis(weight, (1 + axis, 4 + axis), (0, 1)), bank)
        if moved is None:
            return None
        weight = np.moveaxis(moved, (0, 1), (1 + axis, 4 + axis))
        matrix = _phase_matrix(bank, bias.shape[1 + axis])
        bias = np.moveaxis(np.tensordot(matrix.sum(axis=1), bias, axes=(1, 1 + axis)), 0, 1 + axis)
    return weight, bias


def _phase_matrix(bank: FilterBank, scale: int) -> Doubles:
    """(phases, cells, scale): what each output takes from the samples of shifted cells -1, 0, 1."""
    matrix = np.zeros((len(bank.phases), 3, scale))
    for p, taps in enumerate(bank.phases):
        for k, tap in taps.items():
            cell, phase = divmod(k + 1, scale)
            matrix[p, cell + 1, phase] = tap
    return matrix


def _fold_bank(weight: Doubles, bank: FilterBank) -> Doubles | None:
    """`weight` (scale, taps, …) through the bank: (phases, taps, …), or None if it needs more taps."""
    scale = weight.shape[0]
    low, high = bank.reach
    if low + 1 < -scale or high + 1 >= 2 * scale:
        return None
    matrix = _phase_matrix(bank, scale)
    wide = np.zeros((len(bank.phases), TAIL_TAPS + 2, *weight.shape[2:]))
    for cell in range(3):
        wide[:, cell : cell + TAIL_TAPS] += np.tensordot(matrix[:, cell], weight, axes=1)
    if wide[:, 0].any() or wide[:, -1].any():
        return None
    return wide[:, 1:-1]


def tail_conv(weights: list[Doubles], biases: list[Doubles]) -> Conv:
    """The tail's parts as one convolution; output channels in the order of the parts."""
    weight = np.concatenate([w.reshape(-1, *w.shape[-3:]) for w in weights])
    bias = np.concatenate([b.reshape(-1) for b in biases])
    folded = _conv(weight, bias)
    return Conv(weight=folded.weight, bias=folded.bias, pads=(2, 2, 1, 1))


def down_conv(banks: tuple[FilterBank, FilterBank], scale: int, components: int) -> Conv:
    """Downsampling of packed HR detail (shifted cells) to target samples, packed in the banks' cells.

    `banks` (rows, columns) count HR samples; their step is a multiple of `scale`. Channels in: component,
    row, column of the cell; out: component, row, column of the bank's phases.
    """
    axes = []
    for bank in banks:
        low, high = bank.reach
        first, last = (low + 1) // scale, max((high + 1) // scale, bank.step // scale - 1)
        matrix = np.zeros((len(bank.phases), last - first + 1, scale))
        for p, taps in enumerate(bank.phases):
            for k, tap in taps.items():
                cell, phase = divmod(k + 1, scale)
                matrix[p, cell - first, phase] = tap
        axes.append((matrix, -first, matrix.shape[1] + first - bank.step // scale, bank.step // scale))
    (rows, top, bottom, step_y), (columns, left, right, step_x) = axes
    one = np.einsum("ayr,bxq->abrqyx", rows, columns)
    weight = np.einsum("ij,abrqyx->iabjrqyx", np.eye(components), one)
    outputs = components * rows.shape[0] * columns.shape[0]
    folded = _conv(weight.reshape(outputs, -1, rows.shape[1], columns.shape[1]), np.zeros(outputs))
    return Conv(
        weight=folded.weight, bias=folded.bias, pads=(top, left, bottom, right), stride=(step_y, step_x)
    )


def _conv(weight: Doubles, bias: Doubles, *, pad: int = 0, dilation: int = 1, groups: int = 1) -> Conv:
    return Conv(
        weight=np.ascontiguousarray(weight, np.float32),
        bias=np.ascontiguousarray(bias, np.float32),
        pads=(pad, pad, pad, pad),
        dilation=dilation,
        groups=groups,
    )
