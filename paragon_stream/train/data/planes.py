"""Planes to RGB and back by the frame job's own rules (colour matrices, chroma filters), for whole pictures.

Training must use the same maps as inference: these are the maps of `paragon_stream.framejob`, applied with
numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from paragon_stream.frame import ChromaLocation, ColorRange, ColorSpec, FrameFormat, Matrix, pixel_format
from paragon_stream.framejob.color import ColorMap, color_map
from paragon_stream.framejob.taps import FilterBank, chroma_down, chroma_up
from paragon_stream.train.data.resample import enlarge, shrink, siting_shift

type Picture = NDArray[np.float32]
type Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


@lru_cache(maxsize=16)
def _map(matrix: Matrix, range_: ColorRange) -> ColorMap:
    color = ColorSpec(matrix=matrix, range=range_, chroma_location=ChromaLocation.LEFT)
    return color_map(FrameFormat(width=16, height=16, pixel_format=pixel_format("yuv420p"), color=color))


_DOWN = (chroma_down(2, Fraction(1, 2)), chroma_down(2, Fraction(0)))
_UP = (chroma_up(2, Fraction(1, 2)), chroma_up(2, Fraction(0)))
"""Filters of left-sited 4:2:0: (along columns of samples, along rows)."""
LEFT = (siting_shift(2, 0.5), siting_shift(2, 0.0))
"""The siting of its planes, for `train.data.resample`."""


def filter_axis(plane: Picture, bank: FilterBank, axis: int) -> Picture:
    """Apply one filter bank along an axis, edges replicated."""
    plane = np.moveaxis(plane, axis, 0)
    cells = -(-plane.shape[0] // bank.step)
    out = np.zeros((cells, len(bank.phases), *plane.shape[1:]), np.float32)
    start = np.arange(cells) * bank.step
    for phase, taps in enumerate(bank.phases):
        for offset, weight in taps.items():
            out[:, phase] += np.float32(weight) * plane[np.clip(start + offset, 0, plane.shape[0] - 1)]
    return np.moveaxis(out.reshape(-1, *plane.shape[1:]), 0, axis)


def subsampled(rgb: Picture, matrix: Matrix, range_: ColorRange) -> tuple[Picture, Picture, Picture]:
    """H×W×3 RGB in [0, 1] (even sides) to the code values of left-sited 4:2:0, not rounded."""
    colors = _map(matrix, range_)
    codes = rgb @ colors.from_rgb.T.astype(np.float32) + colors.code_of_black.astype(np.float32)
    chroma = filter_axis(filter_axis(codes[..., 1:], _DOWN[0], 0), _DOWN[1], 1)
    return codes[..., 0], chroma[..., 0], chroma[..., 1]


def to_codes(planes: tuple[Picture, Picture, Picture]) -> Planes:
    """Code values to 8 bits, rounded half to even."""
    y, u, v = (np.ascontiguousarray(np.clip(np.rint(p), 0, 255).astype(np.uint8)) for p in planes)
    return y, u, v


def to_planes(rgb: Picture, matrix: Matrix, range_: ColorRange) -> Planes:
    """H×W×3 RGB in [0, 1] (even sides) to 8-bit planes of left-sited 4:2:0, rounded half to even."""
    return to_codes(subsampled(rgb, matrix, range_))


def shrunk_planes(
    planes: tuple[Picture, Picture, Picture], scale: int, kernel: str
) -> tuple[Picture, Picture, Picture]:
    """Planes of left-sited 4:2:0 `scale` times smaller, each on its own grid, as scalers of video do it."""
    y, u, v = planes
    return (
        shrink(y, scale, kernel),
        shrink(u, scale, kernel, LEFT),
        shrink(v, scale, kernel, LEFT),
    )


def enlarged_planes(planes: Planes, scale: int, kernel: str) -> Planes:
    """8-bit planes of left-sited 4:2:0 `scale` times larger, each on its own grid."""
    y, u, v = (plane.astype(np.float32) for plane in planes)
    return to_codes(
        (
            enlarge(y, scale, kernel),
            enlarge(u, scale, kernel, LEFT),
            enlarge(v, scale, kernel, LEFT),
        )
    )


def to_rgb(planes: Planes, matrix: Matrix, range_: ColorRange) -> Picture:
    """8-bit planes of left-sited 4:2:0 (even sides) to H×W×3 RGB, neither rounded nor clipped."""
    y, u, v = planes
    chroma = np.stack([u, v], -1).astype(np.float32)
    chroma = filter_axis(filter_axis(chroma, _UP[0], 0), _UP[1], 1)[: y.shape[0], : y.shape[1]]
    return pixels_to_rgb((y, chroma[..., 0], chroma[..., 1]), matrix, range_)


def pixels_to_rgb(planes: Sequence[NDArray[np.generic]], matrix: Matrix, range_: ColorRange) -> Picture:
    """Y, U and V of one size, on the scale of 8-bit codes, to H×W×3 RGB, neither rounded nor clipped."""
    colors = _map(matrix, range_)
    codes = np.stack(planes, -1).astype(np.float32) - np.float32(colors.centre)
    rgb: Picture = codes @ colors.to_rgb.T.astype(np.float32) + colors.rgb_of_centre.astype(np.float32)
    return rgb
