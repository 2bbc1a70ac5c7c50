"""Decoding on an NVIDIA GPU (NVDEC), through FFmpeg: for which streams, how it is opened, where frames lie.

Only codecs whose standards define every sample are decoded there, so the result does not depend on it. Still
a GPU is believed only after its first frames of a stream were compared with the CPU's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from paragon_stream.device import DevicePicture, DevicePlane
from paragon_stream.errors import UsageError
from paragon_stream.frame import Layout, PixelFormat, pixel_format
from paragon_stream.media.info import Gpu, MediaInfo, VideoInfo
from paragon_stream.media.planes import Plane, copy_from_frame, copy_interleaved
from paragon_stream.media.source import ffmpeg_name, open_source, video_stream

CODECS = ("h264", "hevc", "vp8", "vp9", "av1")
"""By FFmpeg's names. MPEG-2 and MPEG-4 leave rounding to the decoder, and cost a CPU next to nothing."""

_ON_GPU = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}
"""What the CPU's decoder gives, and the GPU's."""

_OWN_DECODERS = {"av1": "av1"}
"""FFmpeg prefers decoders for these that know no GPU."""

_COMPARED = 4
"""Frames: the first is coded by itself, the others mostly with the help of others."""

_log = logging.getLogger(__name__)


class HwAccel(StrEnum):
    """What a user may ask for; the names are FFmpeg's."""

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
    """`info` with what shall decode its video, and a sentence if that is not what was `wanted`.

    `gpu` is the number of the engine's GPU, if it has one. Raises InputError where the file cannot be read.
    """
    if wanted is HwAccel.NONE or (wanted is HwAccel.AUTO and gpu is None):
        return info, []
    decided, reason = decoded_on_gpu(info, Gpu(number=gpu or 0))
    if not reason:
        _log.info("decoder: %s", decided.video.gpu)
        return decided, []
    _log.info("decoder: the CPU, because %s", reason)
    return info, [f"the video is decoded on the CPU: {reason}"] if wanted is HwAccel.CUDA else []


def decoded_on_gpu(info: MediaInfo, gpu: Gpu) -> tuple[MediaInfo, str]:
    """`info` with `gpu` as the decoder of its video, whose frames then are semi-planar; or `info` as it is,
    and why. Raises InputError where the file cannot be read."""
    video = info.video
    wanted = _ON_GPU.get(video.decoded)
    if video.codec not in CODECS:
        return info, f"{video.codec} is decoded on the CPU always"
    if wanted is None:
        return info, f"{video.decoded} is decoded on the CPU always"
    if video.interlaced or (video.fields is not None and not video.fields.only_flagged):
        return info, "interlaced video is decoded on the CPU always"
    assert video.appearance is not None
    format = replace(video.format, pixel_format=pixel_format(wanted))
    appearance = replace(video.appearance, pixel_format=wanted)
    on_gpu = replace(info, video=replace(video, format=format, appearance=appearance, gpu=gpu))
    reason = _difference(on_gpu)
    return (info, reason) if reason else (on_gpu, "")


def _difference(info: MediaInfo) -> str:
    """What is wrong with the GPU's first frames; "" if they are the CPU's."""
    from paragon_stream.media.decoder import Decoder

    video, pictures = info.video, []
    shapes = video.format.pixel_format.plane_shapes
    for gpu in (replace(video.gpu, resident=False) if video.gpu else None, None):
        decoder = Decoder(info.path, video.index, gpu=gpu)
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
        _log.warning("cuda:%d decodes %s to other samples than the CPU does", _number(info), info.path)
        return "the GPU decodes to other samples than the CPU"
    return ""


def _equal(ours: Sequence[Plane], theirs: Sequence[Plane]) -> bool:
    return all(map(np.array_equal, ours, theirs))


def _number(info: MediaInfo) -> int:
    return info.video.gpu.number if info.video.gpu else 0


def decoder_on_gpu(codec: str, gpu: Gpu) -> Any:
    """A context that decodes `codec` there. Raises what PyAV raises."""
    context: Any = av.VideoCodecContext.create(codec, "r", _accelerator(gpu))
    # PyAV has set it to "cuda", which FFmpeg's AV1 takes for a sign that the GPU is set up already.
    context.pix_fmt = "yuv420p"
    return context


def _accelerator(gpu: Gpu) -> HWAccel:
    """What FFmpeg is told: nothing falls back to the CPU in secret.

    It works in the primary context, as all of this package, so that frames can be handed over where they are.
    """
    return HWAccel(
        "cuda",
        str(gpu.number),
        allow_software_fallback=False,
        options={"primary_ctx": "1"},
        is_hw_owned=gpu.resident,
    )


def open_on_gpu(path: Path, index: int, gpu: Gpu) -> tuple[InputContainer, av.VideoStream, Any]:
    """A file, its video stream and a context on the GPU that decodes it.

    Raises what PyAV raises: without driver or GPU, or for codecs that FFmpeg decodes on the CPU only.
    """
    container = open_source(path)
    try:
        stream = video_stream(container, index)
        theirs: Any = stream.codec_context
        own = _OWN_DECODERS.get(theirs.codec.canonical_name)
        if own is not None:
            context: Any = decoder_on_gpu(own, gpu)
            context.extradata = theirs.extradata
            context.width, context.height = theirs.width, theirs.height
        else:  # with all that the container says of it
            container.close()
            container = av.open(ffmpeg_name(path), "r", hwaccel=_accelerator(gpu))
            stream = video_stream(container, index)
            context = stream.codec_context
        if not context.is_hwaccel:
            raise ValueError(f"FFmpeg does not decode {context.name} on a GPU")
        context.thread_type, context.thread_count = "NONE", 1
    except BaseException:
        container.close()
        raise
    return container, stream, context


def is_on_gpu(frame: av.VideoFrame) -> bool:
    """Whether the frame's planes are device memory."""
    return bool(frame.format.name == "cuda")


def on_host(frame: av.VideoFrame) -> av.VideoFrame:
    """A frame of the GPU, copied to the host. Raises what PyAV raises."""
    assert frame.sw_format is not None
    return frame.reformat(format=frame.sw_format.name, threads=1)


def layout_of(frame: av.VideoFrame, video: VideoInfo) -> str:
    """FFmpeg's name of the format that `hand_over` makes of `frame`."""
    if is_on_gpu(frame):
        assert frame.sw_format is not None
        return frame.sw_format.name
    return _ON_GPU.get(frame.format.name, frame.format.name) if video.gpu else frame.format.name


def hand_over(
    frame: av.VideoFrame, planes: Sequence[Plane], crop: Sequence[tuple[int, int]], format: PixelFormat
) -> DevicePicture | None:
    """Copy `frame` into `planes` of `format`, its `layout_of`; of one of a GPU tell instead where it is.

    `crop` as in `copy_from_frame`.
    """
    if is_on_gpu(frame):
        return _picture_of(frame, planes, crop)
    if format.layout is Layout.SEMIPLANAR and frame.format.name in _ON_GPU:
        copy_interleaved(frame, planes, crop, shift=format.shift)
    else:
        copy_from_frame(frame, planes, crop)
    return None


def _picture_of(
    frame: av.VideoFrame, planes: Sequence[Plane], crop: Sequence[tuple[int, int]]
) -> DevicePicture:
    """The part of a frame of the GPU that would be copied into `planes`, where it is."""
    described = []
    for index, like in enumerate(planes):
        top, left = crop[index] if crop else (0, 0)
        plane, row_bytes = frame.planes[index], like.nbytes // like.shape[0]
        start = plane.buffer_ptr + top * plane.line_size + left * (row_bytes // like.shape[1])
        described.append(
            DevicePlane(pointer=start, pitch=plane.line_size, row_bytes=row_bytes, rows=like.shape[0])
        )
    return DevicePicture(planes=tuple(described), owner=frame)
