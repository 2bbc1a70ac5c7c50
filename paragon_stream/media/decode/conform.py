"""Converts frames of another size, shape or layout to the format of the first frame.

Changes that last are followed (see `format_changes`). Stray frames, and formats beyond the number that is
followed, are scaled by swscale before the network, so slots, session and encoder do not change. The
conversion keeps the aspect ratio (with black bars where it differs) and the colours.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange as AvColorRange
from av.video.reformatter import Colorspace, Interpolation

from paragon_stream.frame import ColorRange, ColorSpec, Family, FrameFormat, Matrix, PixelFormat, planar_like
from paragon_stream.media.ffmpeg.planes import plane_array

ONE_THREAD = 1
"""Threads of swscale. With more, a thread writes past the end of a row into the next slice, which another
thread may have finished: with semi-planar 10-bit formats, some runs had eight wrong chroma samples."""

_RANGES = {ColorRange.LIMITED: AvColorRange.MPEG, ColorRange.FULL: AvColorRange.JPEG}
_MATRICES = {
    Matrix.BT709: Colorspace.ITU709,
    Matrix.FCC: Colorspace.FCC,
    Matrix.BT470BG: Colorspace.ITU601,
    Matrix.SMPTE170M: Colorspace.ITU601,
    Matrix.SMPTE240M: Colorspace.SMPTE240M,
    Matrix.BT2020_NCL: Colorspace.BT2020,
}
_AS_IN_SWSCALE = ColorSpec(matrix=Matrix.BT470BG, range=ColorRange.FULL)
"""The colours that swscale takes gray to have, whatever it is given: between two of them, luma stays."""

_HOW = Interpolation.LANCZOS | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

_SAME_SHAPE = Fraction(1, 50)
"""Aspect ratios that differ by less get no bars: cropping and rounding cause such differences."""


def conformed(frame: av.VideoFrame, source: FrameFormat, wanted: FrameFormat) -> av.VideoFrame:
    """`frame`, which has the colours and sample aspect ratio of `source`, converted to `wanted`. Raises
    PyAV's errors."""
    width, height = wanted.width, wanted.height
    shape = Fraction(frame.width, frame.height) * source.sample_aspect_ratio
    relative = shape / (Fraction(width, height) * wanted.sample_aspect_ratio)
    if abs(relative - 1) < _SAME_SHAPE:
        return _scaled(frame, source, width, height, wanted)
    inner = (width, round(height / relative)) if relative > 1 else (round(width * relative), height)
    grain = [1 << n for n in wanted.pixel_format.subsampling]
    inside = [max(n, side // n * n) for side, n in zip(inner, grain, strict=True)]
    before = [(a - b) // 2 // n * n for a, b, n in zip((width, height), inside, grain, strict=True)]
    picture = _scaled(frame, source, inside[0], inside[1], wanted)
    result = av.VideoFrame(width, height, wanted.pixel_format.name)
    dtype = np.dtype(wanted.pixel_format.sample_type)
    shapes = wanted.plane_shapes, wanted.pixel_format.plane_shapes(*inside)
    for index, (whole, part) in enumerate(zip(*shapes, strict=True)):
        plane = plane_array(result, index, whole, dtype)
        plane[:] = _black(wanted, index)
        top, left = before[1] * whole[0] // height, before[0] * whole[1] // width
        plane[top : top + part[0], left : left + part[1]] = plane_array(picture, index, part, dtype)
    return result


def _scaled(
    frame: av.VideoFrame, source: FrameFormat, width: int, height: int, wanted: FrameFormat
) -> av.VideoFrame:
    """`frame` scaled by Lanczos, with the matrix and the range of `wanted`; gray is converted as the luma of
    YUV."""
    have, want = source.pixel_format, wanted.pixel_format
    now, then = source.color, wanted.color
    if want.family is Family.GRAY and have.family is not Family.RGB:
        then = replace(then, matrix=now.matrix)  # luma keeps its weights
    if have.family is Family.GRAY:
        frame = _converted(frame, _in_yuv(have), _AS_IN_SWSCALE, _AS_IN_SWSCALE)
    result = _converted(frame, _in_yuv(want), now, then, width=width, height=height)
    return _converted(result, want, _AS_IN_SWSCALE, _AS_IN_SWSCALE) if want.family is Family.GRAY else result


def _in_yuv(pixels: PixelFormat) -> PixelFormat:
    """4:4:4 whose luma is the gray `pixels`; other formats as they are."""
    if pixels.family is not Family.GRAY:
        return pixels
    found = planar_like(replace(pixels, family=Family.YUV))
    assert found is not None, pixels.name  # every depth of gray has its 4:4:4
    return found


def _converted(
    frame: av.VideoFrame, wanted: PixelFormat, now: ColorSpec, then: ColorSpec, **size: int
) -> av.VideoFrame:
    """`frame`, whose colours are `now`, in the format `wanted` with the colours `then`. `size`: width and
    height, the frame's by default."""
    return frame.reformat(
        **size,
        format=wanted.name,
        src_colorspace=_MATRICES.get(now.matrix),
        dst_colorspace=_MATRICES.get(then.matrix),
        src_color_range=_RANGES.get(now.range or ColorRange.LIMITED),
        dst_color_range=_RANGES.get(then.range or ColorRange.LIMITED),
        interpolation=_HOW,
        threads=ONE_THREAD,
    )


def _black(format: FrameFormat, index: int) -> Any:
    """The code values of opaque black in array `index`: one, or one per interleaved component."""
    pixels = format.pixel_format
    luma = 0 if format.color.range is ColorRange.FULL else 16 << (pixels.depth - 8)
    chroma = 1 << (pixels.depth - 1) if pixels.family is Family.YUV else luma
    codes = [
        {0: luma, 1: chroma, 2: chroma}.get(c, pixels.peak) << pixels.shift for c in pixels.stored[index]
    ]
    return codes if len(codes) > 1 else codes[0]
