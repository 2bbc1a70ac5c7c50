"""The picture that is being made, in the encoder's own memory, and the file it becomes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from paragon_stream.errors import OutputError, UsageError
from paragon_stream.frame import ColorRange, Family, PixelFormat
from paragon_stream.media.av_errors import AV_ERRORS, av_errors_as, reason
from paragon_stream.media.encoders import find_encoder, unknown_option
from paragon_stream.media.images.kinds import ImageKind, Storage
from paragon_stream.media.images.metadata import Metadata, embed
from paragon_stream.media.planes import plane_array

type Array = NDArray[Any]

_ENCODERS = {
    ImageKind.PNG: "png",
    ImageKind.WEBP: "libwebp",
    ImageKind.TIFF: "tiff",
    ImageKind.BMP: "bmp",
}
_DEFAULTS: Mapping[ImageKind, Mapping[str, str]] = {
    ImageKind.JPEG: {"quality": "95"},
    ImageKind.PNG: {"pred": "mixed", "compression_level": "3"},  # 6 takes five times as long for 5 % less
    ImageKind.WEBP: {"quality": "95"},
    ImageKind.TIFF: {"compression_algo": "deflate"},
    ImageKind.BMP: {},
}


class Canvas:
    """An upright picture of `width`×`height`, to be filled by writing into its arrays, then saved once.

    `color` are the arrays of `storage.pixels` (H×W, H×W×3 or planes), `alpha` is H×W or None. They are views
    of what the encoder reads, so the largest picture exists only once; above 8 bits their byte order may be
    either.
    """

    def __init__(self, storage: Storage, width: int, height: int) -> None:
        self.storage = storage
        self.width, self.height = width, height
        self.alpha: Array | None = None
        if storage.kind is ImageKind.JPEG:
            shapes = storage.pixels.plane_shapes(width, height)
            self.color = tuple(np.empty(shape, np.uint8) for shape in shapes)
            return
        with av_errors_as(OutputError, f"no memory for a picture of {width}×{height}"):
            self._frame = av.VideoFrame(width, height, storage.stored)
        dtype: np.dtype[Any] = np.dtype(np.uint8)
        if storage.pixels.depth > 8:
            dtype = np.dtype(">u2" if storage.stored.endswith("be") else "<u2")
        self.color, self.alpha = _views(self._frame, storage, dtype)

    def encode(self, options: Mapping[str, str], metadata: Metadata, where: str) -> list[bytes | memoryview]:
        """The file, in pieces. `options` are the encoder's; `where` begins the message of an error.

        Raises UsageError for an option that the encoder does not have, OutputError for other refusals.
        """
        kind = self.storage.kind
        settings = {**_DEFAULTS[kind], **options}
        if kind is ImageKind.JPEG:
            data = _encode_jpeg(self.color, settings)
        else:
            data = self._encode_by_ffmpeg(_ENCODERS[kind], settings, where)
        return embed(kind, data, metadata, (self.width, self.height))

    def _encode_by_ffmpeg(self, name: str, settings: Mapping[str, str], where: str) -> bytes:
        context: Any = av.VideoCodecContext.create(name, "w")
        context.width, context.height, context.pix_fmt = self.width, self.height, self.storage.stored
        context.time_base = Fraction(1)
        context.thread_count = 1
        context.options = dict(settings)
        frame: Any = self._frame
        if self.storage.pixels.family is Family.YUV:
            frame.colorspace = int(self.storage.color.matrix)
            frame.color_range = 2 if self.storage.color.range is ColorRange.FULL else 1
        frame.pts = 0
        try:
            context.open()
        except AV_ERRORS as error:
            given = " ".join(f"{key}={value}" for key, value in settings.items())
            raise UsageError(f"{where}: {name} refuses {given}: {reason(error)}") from error
        if context.options:
            raise UsageError(unknown_option(find_encoder(name).name, next(iter(context.options))))
        with av_errors_as(OutputError, where):
            packets = [*context.encode(frame), *context.encode(None)]
        return b"".join(bytes(packet) for packet in packets) if len(packets) > 1 else bytes(packets[0])


def write_file(path: Path, pieces: Sequence[bytes | memoryview], *, overwrite: bool) -> int:
    """Write `path` by way of a temporary file beside it: it is whole, or not there. Returns its size.

    Raises OutputError where that fails, or `path` exists and `overwrite` is False.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.paragon")
    try:
        try:
            with temporary.open("xb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            if path.exists() and not overwrite:
                raise OutputError(f"{path} exists already: use --overwrite to replace it")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error
    return sum(len(piece) for piece in pieces)


def _encode_jpeg(planes: tuple[Array, ...], settings: Mapping[str, str]) -> bytes:
    """Baseline JPEG by libjpeg-turbo, straight from the planes; it reads the subsampling off their shapes."""
    unknown = settings.keys() - {"quality"}
    if unknown:
        raise UsageError(f"JPEG has no option {min(unknown)!r}, only quality")
    quality = settings["quality"]
    if not (quality.isdecimal() and 1 <= int(quality) <= 100):
        raise UsageError(f"JPEG's quality is a number from 1 to 100, not {quality!r}")
    luma, blue, red = (*planes, None, None)[:3]
    try:
        return bytes(simplejpeg.encode_jpeg_yuv_planes(luma, blue, red, quality=int(quality)))
    except (ValueError, MemoryError) as error:
        raise OutputError(f"libjpeg-turbo refuses the picture: {reason(error)}") from error


def _views(
    frame: av.VideoFrame, storage: Storage, dtype: np.dtype[Any]
) -> tuple[tuple[Array, ...], Array | None]:
    """Arrays of the colour components, and alpha's, in the frame's memory."""
    pixels, width, height = storage.pixels, frame.width, frame.height
    if pixels.family is Family.YUV:
        planes = tuple(
            plane_array(frame, index, shape, dtype)
            for index, shape in enumerate(_plane_shapes(pixels, frame))
        )
        return planes, plane_array(frame, 3, (height, width), dtype) if storage.alpha else None
    order = "bgra" if storage.stored.startswith("bgr") else "rgba"
    colors = 1 if pixels.family is Family.GRAY else 3
    # bgra has a fourth component whether or not the picture has alpha.
    count = colors + 1 if storage.alpha or storage.stored == "bgra" else colors
    packed = plane_array(frame, 0, (height, width, count), dtype)
    alpha = None
    if count > colors:
        alpha = packed[..., colors] if storage.alpha else None
        if alpha is None:
            packed[..., colors] = 255
    if colors == 1:
        return (packed[..., 0],), alpha
    return (packed[..., 2::-1] if order == "bgra" else packed[..., :3],), alpha


def _plane_shapes(pixels: PixelFormat, frame: av.VideoFrame) -> tuple[tuple[int, ...], ...]:
    return pixels.plane_shapes(frame.width, frame.height)
