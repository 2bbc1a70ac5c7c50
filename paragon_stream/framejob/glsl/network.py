"""A network in the form for shaders: independent of the frame size, samples of 0…1, arrays in the order of
the passes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import Variant, Weights, at_strength
from paragon_stream.checkpoint.spec import ReleaseSpec
from paragon_stream.errors import EngineError
from paragon_stream.frame import ColorRange, ColorSpec, FrameFormat, Matrix, pixel_format
from paragon_stream.framejob.color import network_luma
from paragon_stream.framejob.conv import Conv, Doubles
from paragon_stream.framejob.fold import RealtimeBlock, StreamBlock
from paragon_stream.framejob.job import FrameJob, build_job
from paragon_stream.framejob.taps import HALF_BAND, FilterBank, chroma_enlarged, magic_kernel

_PEAK = 255.0
UNIT = 128.0
"""Divisor of centred codes: a power of two, so 8-bit codes stay exact in 16-bit arithmetic."""


class Hook(StrEnum):
    """The player's texture that the network replaces with an enlarged one."""

    LUMA = "luma"
    """The luma plane, before colour conversion; the player enlarges chroma itself."""
    RGB = "rgb"
    """R'G'B' after colour conversion, chroma enlarged by the player."""


@dataclass(frozen=True, kw_only=True)
class ShaderNetwork:
    """Folded arrays for samples v of 0…1; the network's input is (255·v - 128) / 128.

    A sample has 1 or 3 `channels`, and the network's result `details` channels: 1 if all channels get the
    same. `mid` is None if it is merged into the tail. `tail` holds, for the `scale`² samples of a source
    pixel, taps on the features around it: (scale, scale, details, features, taps, taps), the first tap at
    `tail_first` (rows and columns alike) from the pixel; `tail_bias` (scale, scale, details). `low_pass`
    precedes the base path's enlargement (a square of taps, None for identity); `phases` is that enlargement:
    for every sample along an axis the weights of the source samples at -1, 0 and 1.

    If a filter enlarges chroma, `luma` are the weights of R, G and B for the luma that the base path
    enlarges, and `chroma_phases` (scale, 7), for the source samples at -3 … 3, enlarge the difference between
    the samples and luma. Otherwise both are None.
    """

    hook: Hook
    scale: int
    variant: str
    features: int
    first: Conv
    blocks: tuple[RealtimeBlock | StreamBlock, ...]
    mid: Conv | None
    tail: Doubles
    tail_first: int
    tail_bias: Doubles
    low_pass: Doubles | None
    phases: Doubles
    luma: Doubles | None
    chroma_phases: Doubles | None

    @property
    def channels(self) -> int:
        return 1 if self.hook is Hook.LUMA else 3

    @property
    def details(self) -> int:
        return int(self.tail.shape[2])

    @property
    def reach(self) -> int:
        """Margin around the picture in which the tail reads features, pixels."""
        return max(-self.tail_first, self.tail_first + int(self.tail.shape[-1]) - 1)


def shader_network(
    weights: Weights, *, hook: Hook, strength: float | None = None, full_range: bool = False
) -> ShaderNetwork:
    """Fold `weights` for the textures of `hook`.

    Conditioned weights are fixed at `strength` (0 for None). `full_range` applies to luma only: whether its
    black and white are 0 and 255 instead of 16 and 235.

    Raises EngineError for networks without a shader form, UsageError for an invalid strength.
    """
    spec = weights.spec
    if not isinstance(spec, ReleaseSpec) or spec.variant not in (Variant.REALTIME, Variant.STREAM):
        raise EngineError(f"shaders can be written for realtime and stream networks, not for {spec}")
    if spec.features % 16:
        raise EngineError(f"shaders can be written for networks with 16, 32 … features, not for {spec}")
    if strength is not None or spec.conditioned:
        weights = at_strength(weights, strength or 0.0)
    job = _job(weights, hook, full_range)
    filters = hook is Hook.RGB and spec.filters_chroma
    mid, tail, first, bias = _tail(job, details=1 if filters else len(job.outputs))
    return ShaderNetwork(
        hook=hook,
        scale=job.scale,
        variant=spec.variant,
        features=spec.features,
        first=_on_units(job),
        blocks=_blocks(job),
        mid=mid,
        tail=tail / _PEAK,
        tail_first=first,
        tail_bias=bias / _PEAK,
        low_pass=_low_pass(spec.alpha),
        phases=_phases(magic_kernel(job.scale), 1),
        luma=network_luma(job.source, job.target) if filters else None,
        chroma_phases=_phases(chroma_enlarged(job.scale, 1, Fraction(0)), 3) if filters else None,
    )


def _job(weights: Weights, hook: Hook, full_range: bool) -> FrameJob:
    """A format of any size: the shader does not depend on the size."""
    if hook is Hook.LUMA:
        pixels = pixel_format("gray")
        color = ColorSpec(matrix=Matrix.BT709, range=ColorRange.FULL if full_range else ColorRange.LIMITED)
    else:
        pixels, color = pixel_format("gbrp"), ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL)
    return build_job(weights, FrameFormat(width=64, height=64, pixel_format=pixels, color=color))


def _blocks(job: FrameJob) -> tuple[RealtimeBlock | StreamBlock, ...]:
    """The network's blocks, which have one type."""
    stream = tuple(block for block in job.blocks if isinstance(block, StreamBlock))
    return stream or tuple(block for block in job.blocks if isinstance(block, RealtimeBlock))


def _on_units(job: FrameJob) -> Conv:
    return Conv(weight=job.first.weight * np.float32(UNIT), bias=job.first.bias, pads=job.first.pads)


def _tail(job: FrameJob, *, details: int) -> tuple[Conv | None, Doubles, int, Doubles]:
    """conv_mid, the tail for the first `details` components, its first tap, its bias.

    No non-linearity is between conv_mid and the tail, so they can be one convolution of 6×6 taps; they are if
    that needs fewer multiplications (luma at ×2: 2304 instead of 3328).
    """
    scale, features = job.scale, job.spec.features
    mid = job.mid.weight.astype(np.float64)
    # On the job's shifted grid, sample r of a pixel is row (r + 1) mod scale of cell (r + 1) div scale.
    cells = [divmod(r + 1, scale) for r in range(scale)]
    taps, first = job.tail_weight[:details], -2
    bias = job.tail_bias[:details]
    merged = 36 * scale**2 * details < 9 * features + 16 * scale**2 * details
    if merged:
        whole = np.zeros((*taps.shape[:4], 6, 6))
        for y, x in np.ndindex(3, 3):
            whole[..., y : y + 4, x : x + 4] += np.einsum("orqfyx,fg->orqgyx", taps, mid[:, :, y, x])
        bias = bias + np.einsum("orqfyx,f->orq", taps, job.mid.bias.astype(np.float64))
        taps, first = whole, -3
    side = taps.shape[-1] + 1
    tail = np.zeros((scale, scale, details, features, side, side))
    tail_bias = np.zeros((scale, scale, details))
    for r, q in np.ndindex(scale, scale):
        (cell_y, row), (cell_x, column) = cells[r], cells[q]
        size = taps.shape[-1]
        tail[r, q, :, :, cell_y : cell_y + size, cell_x : cell_x + size] = taps[:, row, column]
        tail_bias[r, q] = bias[:, row, column]
    return (None if merged else job.mid), tail, first, tail_bias


def _low_pass(alpha: float) -> Doubles | None:
    """(1 - α)·identity + α·half-band, both ways: 7×7 taps, most of them 0."""
    if not alpha:
        return None
    (taps,) = HALF_BAND.phases
    row = np.array([float(taps.get(k, 0)) for k in range(-3, 4)])
    whole = alpha * np.outer(row, row)
    whole[3, 3] += 1 - alpha
    return whole


def _phases(bank: FilterBank, reach: int) -> NDArray[np.float64]:
    """(scale, 2·reach + 1): the weights of the source samples at -reach … reach."""
    low, high = bank.reach
    assert low >= -reach and high <= reach and math.isclose(sum(map(float, bank.phases[0].values())), 1)
    return np.array([[float(taps.get(k, 0)) for k in range(-reach, reach + 1)] for taps in bank.phases])
