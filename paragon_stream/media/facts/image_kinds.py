"""The kinds of image files, found by suffix or by content, and the format in which each stores a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from paragon_stream.errors import FormatError, UsageError
from paragon_stream.frame import (
    PIXEL_FORMATS,
    ChromaLocation,
    ColorRange,
    ColorSpec,
    Family,
    FrameFormat,
    Matrix,
    PixelFormat,
    planar_like,
    without_alpha,
)
from paragon_stream.frame import pixel_format as find_pixel_format

_MAX_PIXELS = 268_000_000
"""FFmpeg refuses pictures of more than (2**31 - 1) / 8 samples, margins included."""


class ImageKind(Enum):
    """A kind of image file; the value is its common name."""

    PNG = "PNG"
    JPEG = "JPEG"
    WEBP = "WebP"
    TIFF = "TIFF"
    BMP = "BMP"

    @property
    def suffixes(self) -> tuple[str, ...]:
        return _SUFFIXES[self]

    @property
    def max_side(self) -> int:
        """Pixels along the longer side at most."""
        return {ImageKind.JPEG: 65_500, ImageKind.WEBP: 16_383}.get(self, 1_000_000)


_SUFFIXES = {
    ImageKind.PNG: (".png",),
    ImageKind.JPEG: (".jpg", ".jpeg", ".jpe"),
    ImageKind.WEBP: (".webp",),
    ImageKind.TIFF: (".tif", ".tiff"),
    ImageKind.BMP: (".bmp",),
}
IMAGE_SUFFIXES = tuple(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)


def is_image_name(path: str | Path) -> bool:
    """Whether the suffix of `path` is that of an image."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


HEIF_SUFFIXES = (".avif", ".heic", ".heif", ".hif")
_OTHER_SUFFIXES = (
    *HEIF_SUFFIXES,
    *(".gif", ".apng", ".mpo", ".jxl", ".jp2", ".j2k", ".exr", ".hdr", ".dpx"),
    *(".tga", ".psd", ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".dng", ".svg", ".ico"),
)


def is_other_picture(path: Path) -> bool:
    """Whether the suffix of `path` is that of an image format that is not supported."""
    return path.suffix.lower() in _OTHER_SUFFIXES


def kind_for(path: Path) -> ImageKind:
    """The kind that the suffix of `path` names. Raises UsageError listing the known ones."""
    for kind, suffixes in _SUFFIXES.items():
        if path.suffix.lower() in suffixes:
            return kind
    raise UsageError(
        f"{path.name!r}: the suffix is not supported for images: choose one of " + ", ".join(IMAGE_SUFFIXES)
    )


def kind_of(head: bytes) -> ImageKind | None:
    """The kind of a file that begins with `head` (16 bytes or more); its name does not matter."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ImageKind.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return ImageKind.JPEG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return ImageKind.WEBP
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return ImageKind.TIFF
    return ImageKind.BMP if head.startswith(b"BM") else None


SRGB = ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL, transfer=13, primaries=1)
"""Colour of RGB images: sRGB's, unless an ICC profile, which is carried, says otherwise."""

JFIF = replace(SRGB, matrix=Matrix.BT470BG, chroma_location=ChromaLocation.CENTER)
"""JPEG's YCbCr (ITU-T T.871): BT.601, full range, chroma in the middle of its luma samples. Gray ones too."""

WEBP_LOSSY = replace(JFIF, range=ColorRange.LIMITED)
"""Lossy WebP's YCbCr (RFC 9649, section 2.6 and the VP8 bit stream): BT.601 in limited range."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The stored form of a picture: `stored` is FFmpeg's name of the pixel format in the file, `pixels` and
    `color` are the format and colour of the frame job's result. `losses` lists what the file cannot store."""

    kind: ImageKind
    stored: str
    pixels: PixelFormat
    color: ColorSpec
    losses: tuple[str, ...] = ()


def storage(
    kind: ImageKind,
    source: FrameFormat,
    *,
    wanted: PixelFormat | None = None,
    lossless: bool = False,
    subsampled: bool = True,
) -> Storage:
    """The form in which `kind` stores a picture of the format `source`. Gray stays gray, and 16 bits stay
    16 bits if possible.

    `wanted` (from --pix-fmt) selects another depth, gray, or another chroma subsampling of JPEG; `lossless`
    selects lossless WebP; `subsampled` False selects full chroma. Raises UsageError if `kind` cannot store
    `wanted`.
    """
    like = wanted or source.pixel_format
    gray, deep, alpha = like.family is Family.GRAY, like.depth > 8, source.pixel_format.has_alpha
    losses = []
    if deep and kind not in (ImageKind.PNG, ImageKind.TIFF):
        if wanted is not None:
            raise UsageError(f"--pix-fmt {wanted.name}: {kind.value} holds 8 bits, PNG and TIFF hold 16")
        losses.append(f"{kind.value} holds 8 bits of the picture's {like.depth}")
        deep = False
    if alpha and kind in (ImageKind.JPEG, ImageKind.BMP):  # few programs read the alpha of FFmpeg's BMP
        losses.append(f"{kind.value} holds no transparency")
        alpha = False
    color = SRGB
    if kind is ImageKind.JPEG:
        pixels, color = _jpeg_pixels(like, subsampled=subsampled), JFIF
        stored = pixels.name
    elif kind is ImageKind.WEBP and not lossless:
        stored = "yuva420p" if alpha else "yuv420p"
        pixels, color = PIXEL_FORMATS[stored], WEBP_LOSSY
    elif kind is ImageKind.WEBP:
        pixels, stored = PIXEL_FORMATS["bgra" if alpha else "bgr0"], "bgra"
    elif kind is ImageKind.BMP and not gray:
        pixels, stored = PIXEL_FORMATS["bgr24"], "bgr24"
    else:
        names = ("gray", "ya8", "gray16", "ya16") if gray else ("rgb24", "rgba", "rgb48", "rgba64")
        name = names[2 * deep + alpha]
        pixels = find_pixel_format(name)
        stored = name + _byte_order(kind) if deep else name
        color = JFIF if gray else SRGB
    if (
        wanted is not None
        and wanted.family is Family.YUV
        and wanted.name
        not in (
            pixels.name,
            without_alpha(pixels).name,
        )
    ):
        raise UsageError(f"--pix-fmt {wanted.name}: {kind.value} is written as {pixels.name} here")
    return Storage(kind=kind, stored=stored, pixels=pixels, color=color, losses=tuple(losses))


def check_size(kind: ImageKind, width: int, height: int) -> None:
    """Raise FormatError where `kind`, or FFmpeg, cannot hold so large a picture."""
    if max(width, height) > kind.max_side:
        raise FormatError(f"{width}×{height} is too large for {kind.value}: at most {kind.max_side} a side")
    if (width + 128) * (height + 128) > _MAX_PIXELS:
        raise FormatError(f"{width}×{height} is too large: at most {_MAX_PIXELS // 1_000_000} million pixels")


def transposed_format(pixels: PixelFormat) -> PixelFormat | None:
    """`pixels` with rows and columns exchanged (4:2:2 ↔ 4:4:0); None if there is no such format."""
    if pixels.subsampling[0] == pixels.subsampling[1]:
        return pixels
    across, down = pixels.subsampling
    return planar_like(pixels, subsampling=(down, across))


def _jpeg_pixels(like: PixelFormat, *, subsampled: bool) -> PixelFormat:
    if like.family is Family.GRAY:
        return PIXEL_FORMATS["gray"]
    sampling = like.subsampling if like.family is Family.YUV and subsampled else (0, 0)
    names = {(1, 1): "yuv420p", (1, 0): "yuv422p", (0, 1): "yuv440p", (2, 0): "yuv411p"}
    return PIXEL_FORMATS[names.get(sampling, "yuv444p")]


def _byte_order(kind: ImageKind) -> str:
    return "be" if kind is ImageKind.PNG else "le"
