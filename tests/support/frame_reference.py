"""The correct result of a frame job, in plain float64: DESIGN.md §4 read literally, with the unfolded
network.

Every plane is edge-replicated on its own grid by far more than the network can see, chroma is interpolated
to the luma grid, YUV becomes RGB, the network runs as upstream wrote it, RGB becomes YUV, chroma is filtered
down, the margin is cut off, and only then values are rounded (half to even) and clipped. Where the target has
another size than the network makes, each plane is resampled on its own grid before that.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
from network_reference import Picture, magic_kernel, network
from numpy.typing import NDArray

from paragon_stream.checkpoint import Variant, Weights
from paragon_stream.frame import ColorRange, Family, FrameFormat, Layout, Matrix
from paragon_stream.framejob.taps import chroma_enlarged
from paragon_stream.geometry import Axis, Placement

type Array = NDArray[np.float64]

MARGINS = {Variant.REALTIME: 16, Variant.STREAM: 40, Variant.PHOTO: 12, Variant.PRO: 12}
"""Luma samples of replicated edge: more than convolutions see (7 and 28), whole chroma samples at 4:1.

Attention sees further; there the margin is by definition the convolutions' reach and one window (of 4).
"""


def reference_frame(
    weights: Weights,
    source: FrameFormat,
    target: FrameFormat,
    planes: tuple[NDArray, ...],
    strength: float = 0.0,
    placement: Placement | None = None,
) -> list[Array]:
    """Planes of `target` before rounding, as float64, in the memory order of the target."""
    scale = weights.spec.scale
    margin = MARGINS[weights.spec.variant]
    components = _unpack(source, planes)
    grid = _luma_grid(source, components, margin, weights.spec.window or 1)
    middle = {component: np.array([[2.0 ** (source.pixel_format.depth - 1)]]) for component in range(3)}
    gray = _to_rgb(source, middle)[:, 0, 0]  # frame jobs centre their codes, so 0 is the middle code
    picture = Picture(margin, margin, source.height, source.width, gray) if weights.spec.window else None
    big = network(weights, _to_rgb(source, grid), strength=strength, picture=picture)
    if weights.spec.filters_chroma:
        plain = _to_rgb(source, _filtered_grid(source, components, scale, margin, big.shape[1:]))
        luma = _network_luma(source, target)
        big = plain + np.tensordot(luma, big - plain, axes=1)
    large = replace(target, width=source.width * scale, height=source.height * scale)
    colors = _from_rgb(large, big)
    if target.pixel_format.has_alpha:
        alpha = grid.get(3, np.full(grid[0].shape, float(source.pixel_format.peak)))
        larger = magic_kernel(alpha[None], scale, weights.spec.alpha)[0]
        colors[3] = larger * target.pixel_format.peak / source.pixel_format.peak
    made = _subsample(large, colors, scale * margin)
    if weights.spec.filters_chroma and _same_chroma(source, target):
        for component in (1, 2):
            made[component] = _filtered(source, components[component], scale)[
                : made[component].shape[0], : made[component].shape[1]
            ]
    if placement is not None:
        made = _placed(target, made, placement, scale)
    return _pack(target, made)


def _same_chroma(source: FrameFormat, target: FrameFormat) -> bool:
    """Whether chroma stays on its grid and of its meaning."""
    facts = [
        (f.pixel_format.family, f.pixel_format.subsampling, f.color.matrix, f.color.chroma_location)
        for f in (source, target)
    ]
    return facts[0] == facts[1] and source.pixel_format.family is Family.YUV


def _network_luma(source: FrameFormat, target: FrameFormat) -> Array:
    """Weights of the luma that is the network's: the source's, else the target's, else BT.601's."""
    kinds = [f for f in (source, target) if f.pixel_format.family is not Family.RGB]
    if not kinds:
        return np.array([0.299, 0.587, 0.114])
    matrix = kinds[0].color.matrix
    kr, kb = (0.2126, 0.0722) if matrix in (Matrix.UNSPECIFIED, Matrix.RGB) else matrix.kr_kb
    return np.array([kr, 1 - kr - kb, kb])


def _filtered_grid(
    format: FrameFormat, components: dict[int, Array], scale: int, margin: int, size: tuple[int, ...]
) -> dict[int, Array]:
    """Components on the enlarged luma grid, by the filter of chroma, `scale` · `margin` samples of replicated
    edge around the picture and as much more as `size` asks for."""
    result = {}
    for component, plane in components.items():
        chroma = component in (1, 2) and format.pixel_format.family is Family.YUV
        for axis, (factor, offset) in enumerate(_offsets(format)):
            factor, offset = (factor, offset) if chroma else (1, Fraction(0))
            bank = chroma_enlarged(
                scale, factor, offset / (factor - 1) if factor > 1 else Fraction(0), to_luma=True
            )
            plane = np.moveaxis(plane, axis, 0)
            out = np.zeros((size[axis], *plane.shape[1:]))
            for n in range(size[axis]):
                cell, phase = divmod(n - scale * margin, scale * factor)
                for k, weight in bank.phases[phase].items():
                    out[n] += float(weight) * plane[min(max(cell + k, 0), len(plane) - 1)]
            plane = np.moveaxis(out, 0, axis)
        result[component] = plane
    return result


def _filtered(format: FrameFormat, plane: Array, scale: int) -> Array:
    """A plane of chroma by the filter of weights that leave chroma to it, edges replicated."""
    for axis, (factor, offset) in enumerate(_offsets(format)):
        position = offset / (factor - 1) if factor > 1 else Fraction(0)
        bank = chroma_enlarged(scale, factor, position)
        plane = np.moveaxis(plane, axis, 0)
        size = len(plane)
        out = np.zeros((size * scale, *plane.shape[1:]))
        for phase, taps in enumerate(bank.phases):
            for k, weight in taps.items():
                out[phase::scale] += float(weight) * plane[np.clip(np.arange(size) + k, 0, size - 1)]
        plane = np.moveaxis(out, 0, axis)
    return plane


def rounded(planes: list[Array], target: FrameFormat) -> list[Array]:
    return [np.clip(np.rint(plane), 0, target.pixel_format.peak) for plane in planes]


def _unpack(format: FrameFormat, planes: tuple[NDArray, ...]) -> dict[int, Array]:
    pixels = format.pixel_format
    shifted = [np.float64(plane >> pixels.shift) for plane in planes]
    if pixels.layout is Layout.PACKED:
        return {c: shifted[0][:, :, i] for i, c in enumerate(pixels.order) if c >= 0}
    if pixels.layout is Layout.SEMIPLANAR:
        return {0: shifted[0], pixels.order[1]: shifted[1][:, :, 0], pixels.order[2]: shifted[1][:, :, 1]}
    return {c: shifted[i] for i, c in enumerate(pixels.order)}


def _offsets(format: FrameFormat) -> tuple[tuple[int, Fraction], tuple[int, Fraction]]:
    """For rows and columns: subsampling factor, and the first chroma sample's place in luma samples."""
    across, down = (1 << n for n in format.pixel_format.subsampling)
    location = format.color.chroma_location
    return (down, location.vertical * (down - 1)), (across, location.horizontal * (across - 1))


def _luma_grid(
    format: FrameFormat, components: dict[int, Array], margin: int, window: int
) -> dict[int, Array]:
    """Replicated components on the luma grid, `margin` samples more on every side (up to whole cells)."""
    rows, columns = _offsets(format)
    down, across = math.lcm(rows[0], window), math.lcm(columns[0], window)
    height = 2 * margin + -(-format.height // down) * down
    width = 2 * margin + -(-format.width // across) * across
    result = {}
    for component, plane in components.items():
        chroma = component in (1, 2) and format.pixel_format.family is Family.YUV
        vertical, horizontal = (rows, columns) if chroma else ((1, Fraction(0)), (1, Fraction(0)))
        plane = _interpolate(plane, height, margin, *vertical)
        result[component] = _interpolate(plane.T, width, margin, *horizontal).T
    return result


def _interpolate(plane: Array, count: int, margin: int, factor: int, offset: Fraction) -> Array:
    """Rows of the plane at luma rows -margin … count - margin - 1, linearly, edges replicated."""
    places = (np.arange(count) - margin - float(offset)) / factor
    below = np.floor(places).astype(int)
    share = (places - below)[:, None]
    last = plane.shape[0] - 1
    return (1 - share) * plane[np.clip(below, 0, last)] + share * plane[np.clip(below + 1, 0, last)]


def _levels(format: FrameFormat) -> tuple[float, float, float, float]:
    """Black, luma span, chroma zero, chroma span, in code values."""
    n = format.pixel_format.depth
    if format.color.range is ColorRange.FULL:
        return 0, 2**n - 1, 2 ** (n - 1), 2**n - 1
    return 16 * 2 ** (n - 8), 219 * 2 ** (n - 8), 2 ** (n - 1), 224 * 2 ** (n - 8)


def _to_rgb(format: FrameFormat, grid: dict[int, Array]) -> Array:
    black, luma_span, zero, chroma_span = _levels(format)
    if format.pixel_format.family is Family.RGB:
        return np.stack([(grid[c] - black) / luma_span for c in range(3)])
    y = (grid[0] - black) / luma_span
    if format.pixel_format.family is Family.GRAY:
        return np.stack([y, y, y])
    kr, kb = format.color.matrix.kr_kb
    u, v = (grid[1] - zero) / chroma_span, (grid[2] - zero) / chroma_span
    r = y + 2 * (1 - kr) * v
    b = y + 2 * (1 - kb) * u
    return np.stack([r, (y - kr * r - kb * b) / (1 - kr - kb), b])


def _from_rgb(format: FrameFormat, rgb: Array) -> dict[int, Array]:
    black, luma_span, zero, chroma_span = _levels(format)
    if format.pixel_format.family is Family.RGB:
        return {c: black + luma_span * rgb[c] for c in range(3)}
    kr, kb = format.color.matrix.kr_kb
    y = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
    if format.pixel_format.family is Family.GRAY:
        return {0: black + luma_span * y}
    u, v = (rgb[2] - y) / (2 * (1 - kb)), (rgb[0] - y) / (2 * (1 - kr))
    return {0: black + luma_span * y, 1: zero + chroma_span * u, 2: zero + chroma_span * v}


def _subsample(format: FrameFormat, components: dict[int, Array], margin: int) -> dict[int, Array]:
    """Crop to the target; chroma is [1,2,1]/4 around its luma sample, or the mean of those it is between."""
    rows, columns = _offsets(format)
    result = {}
    for component, plane in components.items():
        chroma = component in (1, 2) and format.pixel_format.family is Family.YUV
        vertical, horizontal = (rows, columns) if chroma else ((1, Fraction(0)), (1, Fraction(0)))
        plane = _decimate(plane, margin, format.height, *vertical)
        result[component] = _decimate(plane.T, margin, format.width, *horizontal).T
    return result


def _decimate(plane: Array, start: int, size: int, factor: int, offset: Fraction) -> Array:
    first = start + factor * np.arange(-(-size // factor))
    if factor == 1:
        return plane[first]
    if offset.denominator == 1:
        taps = {int(offset) + k: (factor - abs(k)) / factor**2 for k in range(1 - factor, factor)}
    else:
        taps = dict.fromkeys(range(factor), 1 / factor)
    return sum(weight * plane[first + k] for k, weight in taps.items())


def _placed(
    format: FrameFormat, components: dict[int, Array], place: Placement, scale: int
) -> dict[int, Array]:
    """Resample each component to the target's size and put bars around it; see `_resampled`."""
    black, _, zero, _ = _levels(format)
    rows, columns = _offsets(format)
    result = {}
    for component, plane in components.items():
        chroma = component in (1, 2) and format.pixel_format.family is Family.YUV
        vertical, horizontal = (rows, columns) if chroma else ((1, Fraction(0)), (1, Fraction(0)))
        plane = _resampled(plane, place.rows, scale, *vertical)
        plane = _resampled(plane.T, place.columns, scale, *horizontal).T
        around = np.full(
            (-(-format.height // vertical[0]), -(-format.width // horizontal[0])),
            float(zero if chroma else format.pixel_format.peak if component == 3 else black),
        )
        top, left = place.rows.offset // vertical[0], place.columns.offset // horizontal[0]
        around[top : top + plane.shape[0], left : left + plane.shape[1]] = plane
        result[component] = around
    return result


def _resampled(plane: Array, axis: Axis, scale: int, factor: int, offset: Fraction) -> Array:
    """Rows by Lanczos-3: for every target row find where its centre lies in the large picture."""
    ratio = scale * axis.length / axis.size  # large luma rows per target row
    width = 3 * max(1.0, float(ratio))
    rows = []
    for index in range(-(-axis.size // factor)):
        luma = index * factor + float(offset)
        place = float(axis.begin) * scale + (luma + 0.5) * float(ratio) - 0.5
        centre = (place - float(offset)) / factor
        total, weight = np.zeros(plane.shape[1]), 0.0
        for k in range(int(np.floor(centre - width)), int(np.ceil(centre + width)) + 1):
            t = (k - centre) / max(1.0, float(ratio))
            w = float(np.sinc(t) * np.sinc(t / 3)) if abs(t) < 3 else 0.0
            total += w * plane[min(max(k, 0), len(plane) - 1)]
            weight += w
        rows.append(total / weight)
    return np.stack(rows)


def _pack(format: FrameFormat, components: dict[int, Array]) -> list[Array]:
    pixels = format.pixel_format
    if pixels.layout is Layout.PACKED:
        shape = next(iter(components.values())).shape
        padding = np.full(shape, float(pixels.peak))
        return [np.stack([components.get(c, padding) for c in pixels.order], axis=-1)]
    if pixels.layout is Layout.SEMIPLANAR:
        return [components[0], np.stack([components[c] for c in pixels.order[1:]], axis=-1)]
    return [components[c] for c in pixels.order]
