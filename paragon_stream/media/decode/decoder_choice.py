"""Chooses the decoder of a video: the CPU, or an NVIDIA GPU (NVDEC) whose first frames equal the CPU's.

A GPU decodes only codecs whose standards define every sample, so the result does not depend on the choice. In
addition, the first frames of the stream are decoded by both and compared.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import islice

import numpy as np

from paragon_stream.errors import UsageError
from paragon_stream.frame import pixel_format
from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.decode.nvdec import SEMI_PLANAR
from paragon_stream.media.facts.info import Gpu, MediaInfo
from paragon_stream.media.ffmpeg.planes import Plane, copy_from_frame, copy_interleaved

CODECS = ("h264", "hevc", "vp8", "vp9", "av1")
"""FFmpeg's names of codecs. MPEG-2 and MPEG-4 are not here: they leave rounding to the decoder, and need very
little time on a CPU."""

_COMPARED = 4
"""Frames that are compared: an intra frame first, then mostly predicted ones."""

logger = logging.getLogger(__name__)


class HwAccel(StrEnum):
    """The values of `--hwaccel`; the names are FFmpeg's."""

    AUTO = "auto"
    """CUDA where the engine runs on an NVIDIA GPU."""
    NONE = "none"
    CUDA = "cuda"


def parse_hwaccel(name: str) -> HwAccel:
    """The choice called `name`. Raises UsageError."""
    try:
        return HwAccel(name)
    except ValueError:
        raise UsageError(f"--hwaccel {name} is not known: choose one of {', '.join(HwAccel)}") from None


def with_decoder(info: MediaInfo, wanted: HwAccel, gpu: int | None) -> tuple[MediaInfo, list[str]]:
    """`info` with the decoder of its video chosen, and a sentence if that is not the `wanted` one.

    `gpu` is the number of the engine's GPU, if it has one. Raises InputError where the file cannot be read.
    """
    if wanted is HwAccel.NONE or (wanted is HwAccel.AUTO and gpu is None):
        return info, []
    if not info.seekable:
        why = "the video comes from a pipe, and is decoded on the CPU"
        return info, [why] if wanted is HwAccel.CUDA else []
    decided, reason = decoded_on_gpu(info, Gpu(number=gpu or 0))
    if not reason:
        logger.info("decoder: %s", decided.video.gpu)
        return decided, []
    logger.info("decoder: the CPU, because %s", reason)
    return info, [f"the video is decoded on the CPU: {reason}"] if wanted is HwAccel.CUDA else []


def decoded_on_gpu(info: MediaInfo, gpu: Gpu) -> tuple[MediaInfo, str]:
    """`info` with `gpu` as the decoder of its video, whose frames are then semi-planar; or `info` unchanged,
    and the reason. Raises InputError if the file cannot be read."""
    video = info.video
    wanted = SEMI_PLANAR.get(video.decoded)
    if video.codec not in CODECS:
        return info, f"{video.codec} is always decoded on the CPU"
    if wanted is None:
        return info, f"{video.decoded} is always decoded on the CPU"
    if video.interlaced or (video.fields is not None and not video.fields.only_flagged):
        return info, "interlaced video is always decoded on the CPU"
    assert video.appearance is not None
    format = replace(video.format, pixel_format=pixel_format(wanted))
    appearance = replace(video.appearance, pixel_format=wanted)
    on_gpu = replace(info, video=replace(video, format=format, appearance=appearance, gpu=gpu))
    reason = _difference(on_gpu)
    return (info, reason) if reason else (on_gpu, "")


def _difference(info: MediaInfo) -> str:
    """The difference between the GPU's and the CPU's first frames as text; "" if they are equal."""
    video, pictures = info.video, []
    shapes = video.format.pixel_format.plane_shapes
    for gpu in (replace(video.gpu, resident=False) if video.gpu else None, None):
        decoder = Decoder(info.path, video.index, gpu=gpu, probing=info.probing)
        try:
            frames = list(islice(decoder, _COMPARED))
            if gpu is not None and decoder.left_gpu is not None:
                return decoder.left_gpu.reason
        finally:
            decoder.close()
        dtype = np.dtype(video.format.pixel_format.sample_type)
        taken = []
        for frame in frames:
            planes = [np.empty(shape, dtype) for shape in shapes(frame.width, frame.height)]
            if gpu is None:
                copy_interleaved(frame, planes, shift=video.format.pixel_format.shift)
            elif frame.format.name != video.format.pixel_format.name:
                return f"the GPU decodes to {frame.format.name}"
            else:
                copy_from_frame(frame, planes)
            taken.append(planes)
        pictures.append(taken)
    ours, theirs = pictures
    if len(ours) != len(theirs) or not all(map(_equal, ours, theirs)):
        logger.warning(
            "cuda:%d decodes %s to other samples than the CPU, which decodes it now", _number(info), info.path
        )
        return "the GPU decodes to other samples than the CPU"
    return ""


def _equal(ours: Sequence[Plane], theirs: Sequence[Plane]) -> bool:
    return all(map(np.array_equal, ours, theirs))


def _number(info: MediaInfo) -> int:
    return info.video.gpu.number if info.video.gpu else 0
