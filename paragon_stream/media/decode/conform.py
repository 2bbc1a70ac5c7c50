"""Converts frames of another size, shape or layout to the format of the first frame.

Changes that last are followed (see `format_changes`). Stray frames, and formats beyond the number that is
followed, are scaled by swscale before the network, so slots, session and encoder do not change. The
conversion keeps the aspect ratio (with black bars where it differs) and the colours.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange as AvColorRange
from av.video.reformatter import Colorspace, Interpolation

from paragon_stream.frame import ColorRange, Family, FrameFormat
from paragon_stream.media.ffmpeg.planes import plane_array

ONE_THREAD = 1
"""Threads of swscale. With more, a thread writes past the end of a row into the next slice, which another
thread may have finished: with semi-planar 10-bit formats, some runs had eight wrong chroma samples."""

_RANGES = {ColorRange.LIMITED: AvColorRange.MPEG, ColorRange.FULL: AvColorRange.JPEG}

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
    """`frame` scaled by Lanczos; matrix and range are converted where swscale supports them."""
    known = set(map(int, Colorspace))
    now, then = int(source.color.matrix), int(wanted.color.matrix)
    change = wanted.pixel_format.family is Family.YUV and now != then and {now, then} <= known
    ranges = {source.color.range, wanted.color.range}
    convert = len(ranges) > 1 and source.pixel_format.family is wanted.pixel_format.family
    return frame.reformat(
        width,
        height,
        wanted.pixel_format.name,
        src_colorspace=now if change else None,
        dst_colorspace=then if change else None,
        src_color_range=_RANGES.get(source.color.range or ColorRange.LIMITED) if convert else None,
        dst_color_range=_RANGES.get(wanted.color.range or ColorRange.LIMITED) if convert else None,
        interpolation=Interpolation.LANCZOS,
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
