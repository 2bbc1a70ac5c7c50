"""Decoding an image file into the arrays of a frame job.

Gray, 16 bits, and the YUV planes of JPEG and WebP are kept. Palettes become RGB (gray if every used entry is
gray), with alpha if an entry has it; bilevel pictures become gray.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import FormatError, InputError, ParagonError, reason
from paragon_stream.frame import PIXEL_FORMATS, Family, FrameFormat, PixelFormat, pixel_format, without_alpha
from paragon_stream.media.facts.image_kinds import (
    JFIF,
    SRGB,
    WEBP_LOSSY,
    ImageKind,
    is_other_picture,
    kind_of,
)
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.log import captured_log
from paragon_stream.media.ffmpeg.planes import plane_array
from paragon_stream.media.images.metadata import Metadata, read_metadata
from paragon_stream.media.mp4.heif import heif_kind
from paragon_stream.media.quantisers.jpeg import JpegHeaders
from paragon_stream.media.quantisers.scale import Scale, on_h264_scale, strength_of

type Array = NDArray[Any]

_DECODERS = {
    ImageKind.PNG: "png",
    ImageKind.JPEG: "mjpeg",
    ImageKind.WEBP: "webp",
    ImageKind.TIFF: "tiff",
    ImageKind.BMP: "bmp",
}
_BILEVEL = ("monob", "monow")
_SMALL_RGB = (
    "rgb8",
    "bgr8",
    "rgb4_byte",
    "bgr4_byte",
    "rgb565le",
    "rgb555le",
    "rgb444le",
    "rgb565",
    "rgb555",
)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded image, as stored: `metadata.orientation` is still to be applied.

    The arrays of `format` (uint8, or above 8 bits uint16 of either byte order) are views of the decoder's
    memory, so maybe with gaps between rows.
    """

    path: Path
    kind: ImageKind
    format: FrameFormat
    planes: tuple[Array, ...]
    metadata: Metadata
    strength: float
    """Compression strength, 0…1: from JPEG's tables; 0 for other kinds."""


def read_picture(path: Path) -> Picture:
    """Decode the image in `path`; its content decides its kind, not its name.

    Raises InputError if it cannot be read, is damaged or not a still image, FormatError for CMYK and other
    colours except RGB, YCbCr and gray.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from error
    kind = kind_of(data[:16])
    if kind is None and (other := heif_kind(data[:256])):
        raise InputError(f"{path} is a picture in {other}, which is not supported: convert it to PNG first")
    if kind is None:
        if not data:
            raise InputError(f"{path} is empty")
        advice = ": convert it to PNG or TIFF first" if is_other_picture(path) else ""
        raise InputError(f"{path} is not a PNG, JPEG, WebP, TIFF or BMP image{advice}")
    metadata = read_metadata(kind, data, path)
    frame = _decode(kind, data, path)
    pixels, planes = _arrays(frame, path)
    if kind is ImageKind.WEBP and pixels.has_alpha and (component(pixels, planes, 3) == 255).all():
        # FFmpeg's decoder of lossless WebP always gives alpha.
        pixels, planes = without_alpha(pixels), planes[:3]
    if metadata.premultiplied and pixels.has_alpha:
        planes = _unmultiplied(pixels, planes)
    color = SRGB if pixels.family is Family.RGB else WEBP_LOSSY if kind is ImageKind.WEBP else JFIF
    format = FrameFormat(width=frame.width, height=frame.height, pixel_format=pixels, color=color)
    step = JpegHeaders().quantiser(data) if kind is ImageKind.JPEG else None
    return Picture(
        path=path,
        kind=kind,
        format=format,
        planes=planes,
        metadata=metadata,
        strength=strength_of(on_h264_scale(Scale.JPEG, step)) if step else 0.0,
    )


def further_pictures(path: Path) -> str:
    """The further pictures of an image file, in words: "the other 5 pages"; "" if there are none."""
    try:
        data = path.read_bytes()
        kind = kind_of(data[:16])
        return read_metadata(kind, data, path).further if kind else ""
    except (OSError, ParagonError):
        return ""  # reading the pixels reports the error


def _decode(kind: ImageKind, data: bytes, path: Path) -> av.VideoFrame:
    context: Any = av.VideoCodecContext.create(_DECODERS[kind], "r")
    context.thread_count = 1
    if kind is ImageKind.JPEG:
        # An incomplete image is an error. The decoder of TIFF only logs it; with this option it refuses good
        # files.
        context.options = {"err_detect": "explode"}
    try:
        with captured_log(av.logging.ERROR) as captured:
            frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except AV_ERRORS as error:
        raise InputError(
            f"{path} is damaged, or of a {kind.value} kind not known: {reason(error)}"
        ) from error
    if not frames or frames[0].is_corrupt:
        raise InputError(f"{path} is damaged or cut off")
    if kind is ImageKind.TIFF and any(level <= av.logging.ERROR for level, _, _ in captured.log):
        raise InputError(f"{path} is damaged: {'; '.join(captured.lines)}")
    return frames[0]  # type: ignore[no-any-return]


def component(pixels: PixelFormat, planes: Sequence[Array], which: int) -> Array:
    """A view of the samples of one canonical component in arrays of `pixels`."""
    for held, array in zip(pixels.stored, planes, strict=True):
        if which in held:
            return array[..., held.index(which)] if len(held) > 1 else array
    raise ValueError(f"{pixels.name} has no component {which}")


def _arrays(frame: av.VideoFrame, path: Path) -> tuple[PixelFormat, tuple[Array, ...]]:
    """The format of the picture and its arrays, views of the frame's memory."""
    name = frame.format.name
    if name == "pal8":
        return _from_palette(frame)
    if name in _BILEVEL:
        return PIXEL_FORMATS["gray"], (_from_bits(frame),)
    if name in _SMALL_RGB:
        frame = frame.reformat(format="rgb24")
        name = frame.format.name
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    if name.endswith(("le", "be")):
        dtype = np.dtype(">u2" if name.endswith("be") else "<u2")
    try:
        format = pixel_format(name.removesuffix("be") + "le" if name.endswith("be") else name)
    except FormatError:
        raise FormatError(f"{path} has pixels of the kind {name}, which are not supported") from None
    shapes = format.plane_shapes(frame.width, frame.height)
    return format, tuple(plane_array(frame, index, shape, dtype) for index, shape in enumerate(shapes))


def _unmultiplied(pixels: PixelFormat, planes: tuple[Array, ...]) -> tuple[Array, ...]:
    """Packed `planes` whose colours were multiplied by alpha, divided by it: rounded, at most the largest
    code, 0 where alpha is 0."""
    (packed,) = planes
    codes, alpha = packed[..., :-1].astype(np.uint64), packed[..., -1:].astype(np.uint64)
    most = pixels.peak
    straight = np.minimum((codes * most + alpha // 2) // np.maximum(alpha, 1), most) * (alpha > 0)
    return (np.concatenate([straight, alpha], axis=-1).astype(packed.dtype),)


# Bits and palettes are converted here, because swscale treats PNG's interlacing as fields and fails with one
# row.


def _from_bits(frame: av.VideoFrame) -> Array:
    """Gray, 0 and 255, from 8 pixels a byte; "monow" counts white as 0."""
    packed = plane_array(frame, 0, (frame.height, -(-frame.width // 8)), np.dtype(np.uint8))
    bits = np.unpackbits(packed, axis=1, count=frame.width)
    return (bits ^ (frame.format.name == "monow")) * np.uint8(255)


def _from_palette(frame: av.VideoFrame) -> tuple[PixelFormat, tuple[Array, ...]]:
    places = plane_array(frame, 0, (frame.height, frame.width), np.dtype(np.uint8))
    colors = np.frombuffer(frame.planes[1], np.uint32, 256)
    pixels = np.stack([colors >> shift & 255 for shift in (16, 8, 0, 24)], axis=-1).astype(np.uint8)[places]
    opaque = (pixels[..., 3] == 255).all()
    red, green, blue = (pixels[..., index] for index in range(3))
    if (red == green).all() and (green == blue).all():
        return (PIXEL_FORMATS["gray"], (red,)) if opaque else (PIXEL_FORMATS["ya8"], (pixels[..., ::3],))
    return PIXEL_FORMATS["rgb0" if opaque else "rgba"], (pixels,)
