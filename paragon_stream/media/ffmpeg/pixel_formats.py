"""Pixel formats that frame jobs do not accept, and the formats that they are converted to on reading."""

from __future__ import annotations

import logging
import re

import av
import numpy as np

from paragon_stream.errors import FormatError
from paragon_stream.frame import PIXEL_FORMATS, Family, Layout, PixelFormat, pixel_format, without_alpha
from paragon_stream.media.ffmpeg.planes import plane_array

_DIRECT = {"xyz12le": "rgb48le", "xyz12be": "rgb48le"}
"""Formats whose components are not R, G, B or Y, U, V."""
_FLOATING = re.compile(r"f(16|32)(le|be)$")
_DEEPEST = 16
_ALWAYS_ALPHA = ("gif", "webp", "webp_anim")
"""Codecs whose decoders always return alpha, even for opaque pictures."""

logger = logging.getLogger(__name__)


def processed_format(frame: av.VideoFrame, codec: str = "") -> PixelFormat:
    """The format in which frames like `frame` are processed: its own, or the nearest that loses nothing.

    That is planar, of the same family, with at least the same depth (up to 16 bits, also for floats) and
    chroma resolution, and with alpha if the frame is not opaque: decoders of GIF and WebP (`codec`) always
    return alpha. Raises FormatError for frames in device memory.
    """
    name = frame.format.name
    try:
        known = pixel_format(name)
    except FormatError:
        nearest = _nearest(frame)
    else:
        return (
            without_alpha(known)
            if known.has_alpha and codec in _ALWAYS_ALPHA and _is_opaque(frame)
            else known
        )
    logger.info("%s frames are read as %s", name, nearest.name)
    return nearest


def is_transparent(frame: av.VideoFrame) -> bool:
    """Whether some pixel of this frame is not opaque; False for frames in device memory."""
    if frame.format.has_palette:
        alphas = np.frombuffer(frame.planes[1], np.uint8)[3::4]
        indices = plane_array(frame, 0, (frame.height, frame.width), np.dtype(np.uint8))
        return _palette_is_transparent(frame) and bool((alphas[indices] < 255).any())
    try:
        return pixel_format(frame.format.name).has_alpha and not _is_opaque(frame)
    except FormatError:
        return False


def is_layout_of(name: str, format: PixelFormat) -> bool:
    """Whether frames of FFmpeg's format `name` are stored as `format`."""
    if name == format.name:
        return True
    try:
        return pixel_format(name) == format  # yuvj420p is stored as yuv420p
    except FormatError:
        return False


def _nearest(frame: av.VideoFrame) -> PixelFormat:
    name = frame.format.name
    components = frame.format.components
    if not components:
        raise FormatError(f"pixel format {name} is in device memory and cannot be read")
    depth = max(component.bits for component in components)
    if name in _DIRECT or frame.format.is_bayer:
        return pixel_format(_DIRECT.get(name, "rgb48le" if depth > 4 and "16" in name else "rgb24"))
    alpha = any(component.is_alpha for component in components)
    if frame.format.has_palette:
        alpha = _palette_is_transparent(frame)
    depth = _DEEPEST if _FLOATING.search(name) else min(_DEEPEST, depth)
    family = _family(frame.format)
    if family is Family.RGB and depth < 8 and not frame.format.has_palette:
        # In conversions to planar RGB, swscale does not expand 5 bits to 8, so white becomes darker.
        return pixel_format("rgb24")
    subsampling = (0, 0) if family is not Family.YUV else _subsampling(frame.format)
    fit = [
        candidate
        for candidate in PIXEL_FORMATS.values()
        if (candidate.layout is Layout.PLANAR or family is Family.GRAY)
        and (candidate.family, candidate.has_alpha) == (family, alpha)
        and candidate.depth >= depth
        and all(mine <= theirs for mine, theirs in zip(candidate.subsampling, subsampling, strict=True))
    ]
    if not fit:
        raise FormatError(f"pixel format {name} is not supported")
    return min(fit, key=lambda candidate: (-sum(candidate.subsampling), candidate.depth))


def full_range_by_name(name: str) -> bool:
    """Whether the format is full range by its name."""
    return name.startswith(("yuvj", "mono"))


def _family(format: av.VideoFormat) -> Family:
    if format.is_rgb or format.has_palette:
        return Family.RGB
    if len(format.components) > 2:
        return Family.YUV
    return Family.GRAY


def _subsampling(format: av.VideoFormat) -> tuple[int, int]:
    size = 64
    return (size // format.chroma_width(size)).bit_length() - 1, (
        size // format.chroma_height(size)
    ).bit_length() - 1


def _is_opaque(frame: av.VideoFrame) -> bool:
    """Whether this frame, of a format that frame jobs accept, is fully opaque."""
    pixels = pixel_format(frame.format.name)
    shapes = pixels.plane_shapes(frame.width, frame.height)
    for index, (held, shape) in enumerate(zip(pixels.stored, shapes, strict=True)):
        if 3 in held:
            array = plane_array(frame, index, shape, np.dtype(pixels.sample_type))
            alpha = array[..., held.index(3)] if len(held) > 1 else array
            return bool((alpha == pixels.peak).all())
    return True


def _palette_is_transparent(frame: av.VideoFrame) -> bool:
    """Whether the palette (256 little-endian ARGB words) has transparent colours.

    Some writers leave the alpha of all entries at zero; that does not count.
    """
    alphas = set(bytes(frame.planes[1])[3::4])
    return bool(alphas - {0, 255}) or alphas == {0, 255}
