"""Clips to measure on: frames of video files, in memory or one after another, on an 8-bit scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import FormatError, InputError, UsageError
from paragon_stream.frame import (
    ChromaLocation,
    ColorSpec,
    Family,
    FrameFormat,
    Layout,
    PixelFormat,
    pixel_format,
)
from paragon_stream.framejob import allocate_planes
from paragon_stream.media.facts.containers import is_video_name
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.measure.roundtrip import DECODERS, QUIET_X265, Encoding
from paragon_stream.train.data.images import SUFFIXES
from paragon_stream.train.data.planes import Planes
from paragon_stream.train.data.resample import shrink, siting_shift

KINDS = {(1, 1): "yuv420p", (1, 0): "yuv422p", (0, 0): "yuv444p"}
"""The 8-bit formats of clips, by the subsampling of their chroma."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A few frames of a clip as 8-bit planes of `pixels`, and what their codes mean."""

    name: str
    frames: tuple[Planes, ...]
    color: ColorSpec
    pixels: PixelFormat = field(default_factory=lambda: pixel_format("yuv420p"))

    @property
    def chroma_siting(self) -> tuple[float, float]:
        """Chroma siting (rows, columns), for `train.data.resample`; left if unspecified."""
        location = self.color.chroma_location or ChromaLocation.LEFT
        across, down = (1 << shift for shift in self.pixels.subsampling)
        return siting_shift(down, float(location.vertical)), siting_shift(across, float(location.horizontal))


def read_clip(path: str | Path, *, frames: int, scale: int, first: int = 0) -> Clip:
    """Frames `first` … `first + frames - 1` of a YUV clip, in 8 bits, cut to multiples of 2 · scale.

    Raises FormatError unless chroma is that of 4:2:0, 4:2:2 or 4:4:4, InputError if there are no such frames,
    and what the reader raises.
    """
    kept: list[Planes] = []
    format, decoded = open_frames(path)
    kind = format.pixel_format
    if kind.subsampling not in KINDS or kind.family is not Family.YUV:
        raise FormatError(f"{path} is {kind.name}; clips to measure on must be YUV of 4:2:0, 4:2:2 or 4:4:4")
    across, down = kind.subsampling
    height, width = (side // (2 * scale) * 2 * scale for side in (format.height, format.width))
    if min(height, width) < 48:
        raise InputError(f"{path} is {format.width}x{format.height}; at least 48 pixels are needed")
    for index, planes in enumerate(decoded):
        if index >= first + frames:
            break
        if index >= first:
            y, u, v = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes)
            part = slice(height >> down), slice(width >> across)
            kept.append((y[:height, :width].copy(), u[part].copy(), v[part].copy()))
    if not kept:
        raise InputError(f"{path} has no frame {first}")
    pixels = pixel_format(KINDS[kind.subsampling])
    return Clip(name=Path(path).stem, frames=tuple(kept), color=format.color, pixels=pixels)


def open_frames(path: str | Path) -> tuple[FrameFormat, Iterator[tuple[NDArray[np.float32], ...]]]:
    """The format of a video's frames, and their planes one after another, on the scale of 8-bit codes.

    Raises FormatError unless it is planar YUV or gray, and what the reader raises.
    """
    info = probe(path)
    format = info.video.format
    kind = format.pixel_format
    if kind.layout is not Layout.PLANAR or kind.family is Family.RGB or kind.has_alpha:
        raise FormatError(f"{path} is {kind.name}; only planar YUV and gray can be measured")
    divisor = np.float32(1 << (kind.depth - 8))

    def frames() -> Iterator[tuple[NDArray[np.float32], ...]]:
        planes = allocate_planes(format)
        with VideoReader(info) as reader:
            while reader.read_into(planes) is not None:  # type: ignore[arg-type]  # never float
                yield tuple(plane.astype(np.float32) / divisor for plane in planes)

    return format, frames()


def shrunk(clip: Clip, scale: int, kernel: str = "bicubic") -> list[Planes]:
    """The LR clip: every plane shrunk on its own grid (antialiased), with the chroma siting; rounded."""
    siting = clip.chroma_siting

    def plane(values: NDArray[np.uint8], siting: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.uint8]:
        small = shrink(values.astype(np.float32), scale, kernel, siting)
        return np.clip(np.rint(small), 0, 255).astype(np.uint8)

    return [(plane(y), plane(u, siting), plane(v, siting)) for y, u, v in clip.frames]


def find_clips(data: Path) -> list[Path]:
    """The videos of a file or a folder; none if it contains only pictures.

    Raises UsageError if a folder contains both.
    """
    if data.is_file():
        return [] if data.suffix.lower() in SUFFIXES else [data]
    files = sorted(p for p in data.rglob("*") if p.is_file()) if data.is_dir() else []
    clips = [p for p in files if is_video_name(p)]
    if clips and any(p.suffix.lower() in SUFFIXES for p in files):
        raise UsageError(f"{data} holds pictures and videos; give a folder of one kind, or a file")
    return clips


def parse_levels(texts: tuple[str, ...]) -> dict[str, Encoding | None]:
    """Levels of compression by their text: `none`, or ENCODER[:KEY=VALUE]…, as `libx264:crf=23:preset=slow`.

    Without any, clips are measured uncompressed. Raises UsageError for other forms.
    """
    levels: dict[str, Encoding | None] = {}
    for text in texts or ("none",):
        encoder, *pairs = text.split(":")
        if encoder == "none" and not pairs:
            levels["uncompressed"] = None
            continue
        options = dict(pair.partition("=")[::2] for pair in pairs)
        if encoder not in DECODERS or not all(key and value for key, value in options.items()):
            known = ", ".join(("none", *DECODERS))
            raise UsageError(f"{text!r} is not ENCODER:KEY=VALUE, as libx264:crf=23; encoders: {known}")
        if encoder == "libx265":
            options.setdefault("x265-params", QUIET_X265)
        levels[text] = Encoding(encoder=encoder, options=options)
    return levels
