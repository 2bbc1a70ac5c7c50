"""A picture in the encoder's own memory, and the image file that it is written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from paragon_stream.errors import OutputError, UsageError, reason
from paragon_stream.frame import ColorRange, Family
from paragon_stream.media.encode.encoder_job import unknown_option
from paragon_stream.media.encode.encoders import find_encoder
from paragon_stream.media.facts.image_kinds import ImageKind, Storage
from paragon_stream.media.ffmpeg.errors import AV_ERRORS, av_errors_as
from paragon_stream.media.ffmpeg.planes import plane_array
from paragon_stream.media.images.metadata import Metadata, embed
from paragon_stream.wholefile import whole_file

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

    `planes` are the arrays of `storage.pixels`: views of what the encoder reads, so the largest picture
    exists only once. Above 8 bits the byte order is that of the encoder's format.
    """

    def __init__(self, storage: Storage, width: int, height: int) -> None:
        self.storage = storage
        self.width, self.height = width, height
        self.planes: tuple[Array, ...]
        shapes = storage.pixels.plane_shapes(width, height)
        if storage.kind is ImageKind.JPEG:
            self.planes = tuple(np.empty(shape, np.uint8) for shape in shapes)
            return
        with av_errors_as(OutputError, f"no memory for a picture of {width}×{height}"):
            self._frame = av.VideoFrame(width, height, storage.stored)
        dtype: np.dtype[Any] = np.dtype(np.uint8)
        if storage.pixels.depth > 8:
            dtype = np.dtype(">u2" if storage.stored.endswith("be") else "<u2")
        self.planes = tuple(
            plane_array(self._frame, index, shape, dtype) for index, shape in enumerate(shapes)
        )

    def encode(self, options: Mapping[str, str], metadata: Metadata, where: str) -> list[bytes | memoryview]:
        """The file, in pieces. `options` are the encoder's; `where` begins the message of an error.

        Raises UsageError for an option that the encoder does not have, OutputError for other refusals.
        """
        kind = self.storage.kind
        settings = {**_DEFAULTS[kind], **options}
        if kind is ImageKind.JPEG:
            data = _encode_jpeg(self.planes, settings)
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
    """Write `path`, whole or not at all (see `whole_file`). Returns its size. Raises OutputError."""
    with whole_file(path, overwrite=overwrite) as file:
        file.writelines(pieces)
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
