"""The end of the network, up → PixelShuffle → conv_out → gain → colour, as one LR convolution.

Nothing in it is non-linear, so it collapses, chroma downsampling included. Its output channels are HR samples
in *cells*: for every LR position a block of samples of each component, which a shuffle spreads out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.framejob.color import ColorMap
from paragon_stream.framejob.conv import Conv, Doubles, double, folded
from paragon_stream.framejob.taps import FilterBank

type Pair[T] = tuple[T, T]
"""(vertical, horizontal)."""

_FIRST_TAP = -2  # LR offset of the collapsed tail's first row and column
_CHANNEL_BLOCK = 8  # runtimes mask what does not fill a vector register, which costs more than zeros
_CELLS = range(-1, 2)  # cells whose samples a target sample may be made of


@dataclass(frozen=True, kw_only=True)
class Detail:
    """The computation of one target plane's detail: channels of the tail, then `down` if any, then a shuffle.

    A cell has `block` samples (rows, columns); the first cell begins `lead` target samples before the padded
    grid.
    """

    channels: tuple[int, int]
    down: Conv | None
    block: Pair[int]
    lead: Pair[int]


@dataclass(frozen=True, kw_only=True)
class Tail:
    """The convolution, and one `Detail` for each plane; None for planes without detail."""

    conv: Conv
    details: tuple[Detail | None, ...]


def collapse_tail(tensors: Tensors, scale: int, colors: ColorMap) -> tuple[Doubles, Doubles]:
    """Detail of every component at full HR resolution, in code values of the target.

    Cell j of an axis holds the HR samples scale·j - 1 … scale·j + scale - 2: on this shifted grid every phase
    lies within 4 LR taps, at every scale, against 5 on the unshifted one.

    Returns weight (components, scale, scale, features, 4, 4), taps for LR offsets -2 … 1, and bias
    (components, scale, scale).
    """
    up = double(tensors["up.0.weight"])
    features = up.shape[1]
    up = up.reshape(-1, scale, scale, features, 3, 3)
    up_bias = double(tensors["up.0.bias"]).reshape(-1, scale, scale)
    gain = colors.from_rgb * float(tensors["detail_gain"])
    out = np.einsum("or,rcyx->ocyx", gain, double(tensors["conv_out.weight"]))
    weight = np.zeros((len(out), scale, scale, features, 4, 4))
    bias = np.zeros((len(out), scale, scale)) + (gain @ double(tensors["conv_out.bias"]))[:, None, None]
    for r, q, u, v in np.ndindex(scale, scale, 3, 3):
        # Row r of the cell is HR row r - 1; tap u of conv_out reads the row u - 1 below it.
        cell_y, phase_y = divmod(r - 2 + u, scale)
        cell_x, phase_x = divmod(q - 2 + v, scale)
        tap = out[:, :, u, v]
        rows, columns = slice(cell_y + 1, cell_y + 4), slice(cell_x + 1, cell_x + 4)
        weight[:, r, q, :, rows, columns] += np.einsum("oc,cfyx->ofyx", tap, up[:, phase_y, phase_x])
        bias[:, r, q] += tap @ up_bias[:, phase_y, phase_x]
    return weight, bias


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One plane's share of the tail: weight (rows, columns, features, taps, taps) and bias (rows, columns)
    of the block's samples, with the LR offset of the first tap."""

    weight: Doubles
    bias: Doubles
    first: Pair[int]
    down: Conv | None
    block: Pair[int]
    lead: Pair[int]

    @property
    def last(self) -> Pair[int]:
        return self.first[0] + self.weight.shape[3] - 1, self.first[1] + self.weight.shape[4] - 1


def arrange_tail(
    weight: Doubles, bias: Doubles, downs: Sequence[Pair[FilterBank]], *, lanes: int, sparse: bool
) -> Tail:
    """The collapsed tail for planes that are downsampled by `downs` (rows, columns; one pair per component).

    `sparse` leaves out what is zero and computes what is the same for several planes once: where chroma is
    left to a filter, that of R, G and B.

    There are two ways to a subsampled plane: within the convolution, which needs a fifth tap at ×2, or after
    it, from all its HR samples. Which is cheaper depends on how many output channels the machine computes
    at once (`lanes`); the cheaper one is taken.
    """
    planes = range(len(downs))
    computed = [i for i in planes if not sparse or has_detail(weight[i], bias[i])] or [0]
    same = {
        i: next(k for k in computed if k == i or (sparse and _equal(weight, bias, downs, i, k)))
        for i in computed
    }
    first = [i for i in computed if same[i] == i]
    candidates = []
    for make in (_merged, _afterwards):
        parts = [
            _whole(weight[i], bias[i]) if _is_identity(downs[i]) else make(weight[i], bias[i], downs[i])
            for i in first
        ]
        if all(parts):
            candidates.append(_assemble([part for part in parts if part]))
    tail = min(candidates, key=lambda tail: _cost(tail, lanes))
    found = dict(zip(first, tail.details, strict=True))
    return replace(tail, details=tuple(found[same[i]] if i in same else None for i in planes))


def has_detail(weight: Doubles, bias: Doubles) -> bool:
    """Whether the network adds anything to a plane."""
    return bool(weight.any() or bias.any())


def _equal(
    weight: Doubles, bias: Doubles, downs: Sequence[Pair[FilterBank]], first: int, second: int
) -> bool:
    """Whether two planes get the same detail."""
    return (
        downs[first] == downs[second]
        and np.array_equal(weight[first], weight[second])
        and np.array_equal(bias[first], bias[second])
    )


def _is_identity(banks: Pair[FilterBank]) -> bool:
    return all(bank.step == 1 for bank in banks)


def _whole(weight: Doubles, bias: Doubles) -> _Part:
    block = (len(bias), len(bias))
    return _Part(
        weight=weight, bias=bias, first=(_FIRST_TAP, _FIRST_TAP), down=None, block=block, lead=(1, 1)
    )


def _merged(weight: Doubles, bias: Doubles, banks: Pair[FilterBank]) -> _Part | None:
    """The plane straight from the convolution, with as few taps as possible; None if no cell fits (×3)."""
    scale = len(bias)
    if any(scale % bank.step for bank in banks):
        return None
    first, lead = [0, 0], [0, 0]
    for axis, bank in enumerate(banks):
        # Where the cells begin decides how many taps a whole cell needs.
        bank = bank.repeated(scale // bank.step)
        moved = [bank.shifted(count) for count in range(len(bank.phases))]
        folds = [(*_fold_axis(weight, each, axis), count) for count, each in enumerate(moved)]
        weight, first[axis], lead[axis] = min(folds, key=lambda fold: fold[0].shape[3 + axis])
        sums = _phases(moved[lead[axis]], scale).sum(axis=1)
        bias = np.moveaxis(np.tensordot(sums, bias, axes=(1, axis)), 0, axis)
    return _Part(
        weight=weight,
        bias=bias,
        first=(first[0], first[1]),
        down=None,
        block=(bias.shape[0], bias.shape[1]),
        lead=(lead[0], lead[1]),
    )


def _afterwards(weight: Doubles, bias: Doubles, banks: Pair[FilterBank]) -> _Part:
    """All HR samples from the convolution, and another one that makes the plane of them."""
    scale = len(bias)
    rows, columns = (bank.repeated(math.lcm(scale, bank.step) // bank.step) for bank in banks)
    whole = _whole(weight, bias)
    return _Part(
        weight=weight,
        bias=bias,
        first=whole.first,
        down=_down_conv((rows, columns), scale),
        block=(len(rows.phases), len(columns.phases)),
        lead=(0, 0),
    )


def _phases(bank: FilterBank, scale: int) -> Doubles:
    """(phases, cells, scale): what each output takes from the samples of the shifted cells -1, 0, 1."""
    matrix = np.zeros((len(bank.phases), len(_CELLS), scale))
    for p, taps in enumerate(bank.phases):
        for k, tap in taps.items():
            cell, phase = divmod(k + 1, scale)
            matrix[p, cell - _CELLS.start, phase] = tap
    return matrix


def _fold_axis(weight: Doubles, bank: FilterBank, axis: int) -> tuple[Doubles, int]:
    """`weight` with one axis of its block and taps put through `bank`; and the LR offset of its first tap."""
    moved = np.moveaxis(weight, (axis, 3 + axis), (0, 1))
    taps = moved.shape[1]
    matrix = _phases(bank, len(moved))
    wide = np.zeros((len(matrix), taps + len(_CELLS) - 1, *moved.shape[2:]))
    for index in range(len(_CELLS)):
        wide[:, index : index + taps] += np.tensordot(matrix[:, index], moved, axes=1)
    used = np.flatnonzero(wide.any(axis=(0, *range(2, wide.ndim))))
    trimmed = wide[:, used[0] : used[-1] + 1] if used.size else wide[:, :1]
    first = _FIRST_TAP + _CELLS.start + (int(used[0]) if used.size else 0)
    return np.moveaxis(trimmed, (0, 1), (axis, 3 + axis)), first


def _down_conv(banks: Pair[FilterBank], scale: int) -> Conv:
    """Downsampling of packed HR detail (shifted cells) to target samples, packed in the banks' cells."""
    axes = []
    for bank in banks:
        low, high = bank.reach
        stride = bank.step // scale
        first, last = (low + 1) // scale, max((high + 1) // scale, stride - 1)
        matrix = np.zeros((len(bank.phases), last - first + 1, scale))
        for p, taps in enumerate(bank.phases):
            for k, tap in taps.items():
                cell, phase = divmod(k + 1, scale)
                matrix[p, cell - first, phase] = tap
        axes.append((matrix, -first, last + 1 - stride, stride))
    (rows, top, bottom, stride_y), (columns, left, right, stride_x) = axes
    weight = np.einsum("ayr,bxq->abrqyx", rows, columns)
    weight = weight.reshape(len(rows) * len(columns), scale * scale, rows.shape[1], columns.shape[1])
    return folded(weight, np.zeros(len(weight)), pads=(top, left, bottom, right), stride=(stride_y, stride_x))


def _assemble(parts: list[_Part]) -> Tail:
    first_y, first_x = (min(part.first[axis] for part in parts) for axis in (0, 1))
    last_y, last_x = (max(part.last[axis] for part in parts) for axis in (0, 1))
    outputs = -(-sum(part.bias.size for part in parts) // _CHANNEL_BLOCK) * _CHANNEL_BLOCK
    features = parts[0].weight.shape[2]
    weight = np.zeros((outputs, features, last_y - first_y + 1, last_x - first_x + 1))
    bias = np.zeros(outputs)
    details = []
    start = 0
    for part in parts:
        stop = start + part.bias.size
        y, x = part.first[0] - first_y, part.first[1] - first_x
        taps = part.weight.shape[3:]
        weight[start:stop, :, y : y + taps[0], x : x + taps[1]] = part.weight.reshape(-1, features, *taps)
        bias[start:stop] = part.bias.reshape(-1)
        details.append(Detail(channels=(start, stop), down=part.down, block=part.block, lead=part.lead))
        start = stop
    return Tail(conv=folded(weight, bias, pads=(-first_y, -first_x, last_y, last_x)), details=tuple(details))


def _cost(tail: Tail, lanes: int) -> float:
    """Multiplications per LR sample, lanes that stay empty counted too."""

    def macs(conv: Conv) -> float:
        per_lane = float(conv.weight[0].size) / math.prod(conv.stride)
        return per_lane * math.ceil(len(conv.weight) / lanes) * lanes

    downs = [detail.down for detail in tail.details if detail is not None]
    return macs(tail.conv) + sum(macs(down) for down in downs if down is not None)
