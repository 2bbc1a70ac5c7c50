"""Measuring weights on compressed video: clips are shrunk, encoded, decoded, upscaled by the frame job,
compared.

The measure is PSNR of the luma plane against the original's, from the mean squared error of all frames, a
border of 8 pixels left out. Filters see the same decoded frames. Conditioned weights are told each
frame's strength: H.264's from the decoder, other codecs' from the decoding error (what `--strength auto`
estimates at run time).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import FormatError
from paragon_stream.frame import ColorSpec, PixelFormat
from paragon_stream.media.probe import probe
from paragon_stream.media.reader import VideoReader
from paragon_stream.media.roundtrip import Encoding, round_trip
from paragon_stream.train.degradations import strengths_of
from paragon_stream.train.planes import Planes
from paragon_stream.train.resample import enlarge, shrink
from paragon_stream.upscaler import Upscaler

BORDER = 8


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A few frames of a clip as 8-bit 4:2:0 planes, and what their codes mean."""

    name: str
    frames: tuple[Planes, ...]
    color: ColorSpec


def read_clip(path: str | Path, *, frames: int, scale: int, first: int = 0) -> Clip:
    """Frames `first` … `first + frames - 1` of an 8-bit 4:2:0 clip, cut to multiples of 2 · scale.

    Raises FormatError for other formats and what the reader raises.
    """
    info = probe(path)
    format_: PixelFormat = info.video.format.pixel_format
    if format_.name != "yuv420p":
        raise FormatError(f"{path} is {format_.name}; clips to measure on must be yuv420p")
    kept: list[Planes] = []
    height, width = (side // (2 * scale) * 2 * scale for side in info.video.format.plane_shapes[0][:2])
    with VideoReader(info) as reader:
        for index in range(first + frames):
            planes = [np.empty(shape, np.uint8) for shape in info.video.format.plane_shapes]
            if reader.read_into(planes) is None:
                break
            if index >= first:
                y, u, v = planes
                half = slice(height // 2), slice(width // 2)
                kept.append((y[:height, :width].copy(), u[half].copy(), v[half].copy()))
    return Clip(name=Path(path).stem, frames=tuple(kept), color=info.video.format.color)


def shrunk(clip: Clip, scale: int) -> list[Planes]:
    """The LR clip: every plane shrunk by antialiased bicubic on its own grid, rounded."""

    def plane(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        small = shrink(values.astype(np.float32), scale)
        return np.clip(np.rint(small), 0, 255).astype(np.uint8)

    return [(plane(y), plane(u), plane(v)) for y, u, v in clip.frames]


@dataclass(frozen=True, kw_only=True)
class VideoScores:
    """dB of one clip at one level, by method; `strength` is the mean that the weights were told."""

    clip: str
    level: str
    strength: float
    psnr_y: Mapping[str, float]


def evaluate_video(
    clip: Clip,
    levels: Mapping[str, Encoding | None],
    upscalers: Mapping[str, Upscaler],
    scale: int,
) -> list[VideoScores]:
    """Score every upscaler (opened for the LR size and the clip's colour) and both filters at every level.

    `levels` maps names to encodings, None being no compression.
    """
    low = shrunk(clip, scale)
    results = []
    for level, encoding in levels.items():
        seen: Sequence[Planes] = low
        strengths = [0.0] * len(low)
        if encoding is not None:
            decoded = round_trip(low, encoding)
            seen = [(d.planes[0], d.planes[1], d.planes[2]) for d in decoded]  # type: ignore[misc]
            strengths = strengths_of(low, decoded, exact=encoding.encoder == "libx264")
        errors: dict[str, list[float]] = {}
        for planes, truth, strength in zip(seen, clip.frames, strengths, strict=True):
            for name, luma in _enlarged(planes, upscalers, scale, strength).items():
                inner = slice(BORDER, -BORDER), slice(BORDER, -BORDER)
                difference = luma[inner].astype(np.float64) - truth[0][inner]
                errors.setdefault(name, []).append(float(np.mean(difference**2)))
        scores = {name: float(10 * np.log10(255**2 / np.mean(e))) for name, e in errors.items()}
        mean = float(np.mean(strengths))
        results.append(VideoScores(clip=clip.name, level=level, strength=mean, psnr_y=scores))
    return results


def _enlarged(
    planes: Planes, upscalers: Mapping[str, Upscaler], scale: int, strength: float
) -> dict[str, NDArray[np.generic]]:
    """Luma of one frame by every method; conditioned weights are run at the strength, others without."""
    results: dict[str, NDArray[np.generic]] = {}
    for name, upscaler in upscalers.items():
        told = strength if upscaler.weights.spec.conditioned else 0.0
        results[name] = np.asarray(upscaler(planes, strength=told)[0])
    for kernel in ("bicubic", "lanczos"):
        large = enlarge(planes[0].astype(np.float32), scale, kernel)
        results[kernel] = np.clip(np.rint(large), 0, 255)
    return results
