"""Frames of another size, shape or layout made like the first one, for streams that change on the way.

They are scaled before the network, by swscale, so that slots, session and encoder stay as they are. What is
kept is what a viewer sees: the picture's shape (in black bars where it differs) and its colours.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation

from paragon_stream.frame import ColorRange, Family, FrameFormat
from paragon_stream.media.planes import plane_array

ONE_THREAD = 1
"""For swscale: its threads write past the end of a row into the next slice, which another thread may have
finished already. Seen with semi-planar 10-bit formats: eight wrong chroma samples, in some runs only."""

_SAME_SHAPE = Fraction(1, 50)
"""Shapes that differ by less are filled: cropping and rounding make such differences."""


def conformed(frame: av.VideoFrame, wanted: FrameFormat, aspect: Fraction) -> av.VideoFrame:
    """`frame`, whose samples have the shape `aspect`, as one of `wanted`. Raises what PyAV raises."""
    width, height = wanted.width, wanted.height
    shape = Fraction(frame.width, frame.height) * aspect
    relative = shape / (Fraction(width, height) * wanted.sample_aspect_ratio)
    if abs(relative - 1) < _SAME_SHAPE:
        return _scaled(frame, width, height, wanted)
    inner = (width, round(height / relative)) if relative > 1 else (round(width * relative), height)
    grain = [1 << n for n in wanted.pixel_format.subsampling]
    inside = [max(n, side // n * n) for side, n in zip(inner, grain, strict=True)]
    before = [(a - b) // 2 // n * n for a, b, n in zip((width, height), inside, grain, strict=True)]
    picture = _scaled(frame, inside[0], inside[1], wanted)
    result = av.VideoFrame(width, height, wanted.pixel_format.name)
    dtype = np.dtype(wanted.pixel_format.sample_type)
    shapes = wanted.plane_shapes, wanted.pixel_format.plane_shapes(*inside)
    for index, (whole, part) in enumerate(zip(*shapes, strict=True)):
        plane = plane_array(result, index, whole, dtype)
        plane[:] = _black(wanted, index)
        top, left = before[1] * whole[0] // height, before[0] * whole[1] // width
        plane[top : top + part[0], left : left + part[1]] = plane_array(picture, index, part, dtype)
    return result


def _scaled(frame: av.VideoFrame, width: int, height: int, wanted: FrameFormat) -> av.VideoFrame:
    """Lanczos; with the matrix changed where both are known."""
    known = set(map(int, Colorspace))
    now, then = frame.colorspace, int(wanted.color.matrix)
    change = wanted.pixel_format.family is Family.YUV and now != then and {now, then} <= known
    return frame.reformat(
        width,
        height,
        wanted.pixel_format.name,
        src_colorspace=now if change else None,
        dst_colorspace=then if change else None,
        interpolation=Interpolation.LANCZOS,
        threads=ONE_THREAD,
    )


def _black(format: FrameFormat, index: int) -> Any:
    """The codes of black and opaque in array `index`: one, or one per interleaved component."""
    pixels = format.pixel_format
    luma = 0 if format.color.range is ColorRange.FULL else 16 << (pixels.depth - 8)
    chroma = 1 << (pixels.depth - 1) if pixels.family is Family.YUV else luma
    codes = [
        {0: luma, 1: chroma, 2: chroma}.get(c, pixels.peak) << pixels.shift for c in pixels.stored[index]
    ]
    return codes if len(codes) > 1 else codes[0]
