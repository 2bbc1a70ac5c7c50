"""Pieces of video for a web page: a playable clip, a still, and figures that compare two pieces."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from paragon_stream.frame import Matrix
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.ffmpeg.planes import copy_to_frame
from paragon_stream.media.prepare import open_reader

type Pixels = NDArray[np.uint8]
"""H×W×3, sRGB-like, as the video is coded."""

_CLIP = {"crf": "14", "preset": "veryfast", "x264-params": "keyint=24"}
"""Encoder options: nearly lossless, with frequent key frames for seeking."""
_TICK = Fraction(1, 90_000)
_ROUNDED = 0.002
"""Seconds. Times in Matroska are rounded to milliseconds, and so is that of the first frame."""
_MATRICES = {Matrix.BT709: 1, Matrix.BT470BG: 5, Matrix.SMPTE170M: 6, Matrix.BT2020_NCL: 9}
"""FFmpeg's numbers of the matrices that browsers show."""


@dataclass(frozen=True, kw_only=True)
class Footage:
    """`clip` is an MP4 file of H.264, 8-bit 4:2:0, for all browsers; `still` is one of its frames."""

    clip: bytes
    still: Pixels
    frames: int


@dataclass(kw_only=True)
class Curves:
    """A value for each frame of a piece."""

    fidelity: list[float] = field(default_factory=list)
    """PSNR of luma, dB: the result, shrunk to the source's size by averaging, and the source."""
    detail: list[float] = field(default_factory=list)
    """Mean luma gradient of the result, divided by that of a Lanczos enlargement."""


def footage(info: MediaInfo, width: int, height: int, middle: float) -> Footage:
    """The cut of `info` at `width`×`height` (even), enlarged by a Lanczos filter where it is smaller. The
    still is the frame that is shown `middle` seconds after the first one, or the last one.

    Raises InputError.
    """
    rate = info.video.average_rate or Fraction(25)
    still: av.VideoFrame | None = None
    file, count, begin = io.BytesIO(), 0, Fraction(0)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate.limit_denominator(1 << 20), options=dict(_CLIP))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = _TICK
        matrix = _MATRICES.get(info.video.format.color.matrix, 1)
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 1
        for frame, time in _frames(info):
            begin = time if count == 0 else begin
            shown = frame.reformat(
                width=width,
                height=height,
                format="yuv420p",
                dst_colorspace=matrix,
                dst_color_range=1,
                interpolation=Interpolation.LANCZOS,
            )
            shown.pts, shown.time_base = round((time - begin) / _TICK), _TICK
            container.mux(stream.encode(shown))
            if time - begin <= middle + _ROUNDED:
                still = shown
            count += 1
        container.mux(stream.encode(None))
    assert still is not None, "a cut has a frame"
    pixels = still.reformat(format="rgb24", src_colorspace=matrix, interpolation=Interpolation.BICUBIC)
    return Footage(clip=file.getvalue(), still=_array(pixels), frames=count)


def compare(source: MediaInfo, result: MediaInfo) -> Curves:
    """Compare the result with its source, frame by frame; both have the same frames.

    Raises InputError.
    """
    curves = Curves()
    for (before, _), (after, _) in zip(_frames(source), _frames(result), strict=False):
        luma, small = _luma(before), _luma(after, before.width, before.height, Interpolation.AREA)
        error = float(np.mean((luma.astype(np.float32) - small) ** 2))
        curves.fidelity.append(10 * math.log10(255**2 / max(error, 0.01)))
        plain = _luma(before, after.width, after.height, Interpolation.LANCZOS)
        curves.detail.append(_gradient(_luma(after)) / max(_gradient(plain), 1e-3))
    return curves


def detail(info: MediaInfo) -> tuple[float, float]:
    """(mean luma gradient, mean luma) of the first frame of the cut of `info`. Raises InputError."""
    for frame, _ in _frames(info):
        luma = _luma(frame)
        return _gradient(luma), float(luma.mean())
    return 0.0, 0.0


def png(pixels: Pixels) -> bytes:
    """`pixels` as a PNG file."""
    codec: Any = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = pixels.shape[1], pixels.shape[0], "rgb24"
    codec.time_base = Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


def gray_png(file: bytes) -> NDArray[np.uint8]:
    """The pixels of a PNG file of 8-bit gray, H×W."""
    codec: Any = av.CodecContext.create("png", "r")
    (frame,) = codec.decode(av.Packet(file))
    return _array(frame)


def _frames(info: MediaInfo) -> Iterator[tuple[av.VideoFrame, Fraction]]:
    """Frames with their times in seconds, until the format changes."""
    with open_reader(info) as reader:
        format = info.video.format
        dtype = np.uint8 if format.pixel_format.bytes_per_sample == 1 else np.uint16
        planes: list[Any] = [np.empty(shape, dtype) for shape in format.plane_shapes]
        while (timing := reader.read_into(planes)) is not None:
            frame = av.VideoFrame(format.width, format.height, format.pixel_format.name)
            copy_to_frame(planes, frame)
            if (matrix := _MATRICES.get(format.color.matrix)) is not None:
                frame.colorspace = matrix
            frame.color_range = 2 if str(format.color.range) == "full" else 1
            yield frame, timing.time


def _luma(
    frame: av.VideoFrame, width: int = 0, height: int = 0, how: Interpolation = Interpolation.BICUBIC
) -> NDArray[np.uint8]:
    size = {"width": width, "height": height} if width else {}
    return _array(frame.reformat(format="gray", interpolation=how, **size))


def _array(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """The samples of a frame of bytes."""
    samples: Any = frame.to_ndarray()
    return samples  # type: ignore[no-any-return]


def _gradient(luma: NDArray[np.uint8]) -> float:
    values = luma.astype(np.int16)
    return float(np.abs(np.diff(values, axis=0)).mean() + np.abs(np.diff(values, axis=1)).mean())
