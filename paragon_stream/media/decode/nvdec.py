"""Decoding on an NVIDIA GPU (NVDEC) through FFmpeg: opening a decoder, and the memory of its frames."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from paragon_stream.device import DevicePicture, DevicePlane
from paragon_stream.frame import Layout, PixelFormat
from paragon_stream.media.facts.info import Gpu, VideoInfo
from paragon_stream.media.ffmpeg.planes import Plane, copy_from_frame, copy_interleaved
from paragon_stream.media.source.opening import open_demuxer, open_source, video_stream
from paragon_stream.media.source.probing import HEADERS, Probing

SEMI_PLANAR = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}
"""The CPU decoder's pixel format → the GPU's."""

_OWN_DECODERS = {"av1": "av1"}
"""Codecs whose default decoder in FFmpeg has no GPU support → the decoder that has."""

logger = logging.getLogger(__name__)


def decoder_on_gpu(codec: str, gpu: Gpu) -> Any:
    """A context that decodes `codec` on `gpu`. Raises PyAV's errors."""
    context: Any = av.VideoCodecContext.create(codec, "r", _accelerator(gpu))
    # PyAV has set it to "cuda"; FFmpeg's AV1 decoder then assumes that the GPU is already initialised.
    context.pix_fmt = "yuv420p"
    return context


def _accelerator(gpu: Gpu) -> HWAccel:
    """FFmpeg's options: no silent fallback to the CPU, and the primary context, which the whole package uses,
    so that frames need no copy.
    """
    return HWAccel(
        "cuda",
        str(gpu.number),
        allow_software_fallback=False,
        options={"primary_ctx": "1"},
        is_hw_owned=gpu.resident,
    )


def open_on_gpu(
    path: Path, index: int, gpu: Gpu, probing: Probing = HEADERS
) -> tuple[InputContainer, av.VideoStream, Any]:
    """A file, its video stream and a context on the GPU that decodes it.

    Raises what PyAV raises: without driver or GPU, or for codecs that FFmpeg decodes on the CPU only.
    """
    container = open_source(path, probing, stored_times=True)
    try:
        stream = video_stream(container, index)
        theirs: Any = stream.codec_context
        own = _OWN_DECODERS.get(theirs.codec.canonical_name)
        if own is not None:
            context: Any = decoder_on_gpu(own, gpu)
            context.extradata = theirs.extradata
            context.width, context.height = theirs.width, theirs.height
        else:  # with the parameters from the container
            container.close()
            container = open_demuxer(path, probing, _accelerator(gpu), stored_times=True)
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
    """`frame`, copied from the GPU to the host. Raises PyAV's errors."""
    assert frame.sw_format is not None
    return frame.reformat(format=frame.sw_format.name, threads=1)


def layout_of(frame: av.VideoFrame, video: VideoInfo) -> str:
    """FFmpeg's name of the format that `hand_over` makes of `frame`."""
    if is_on_gpu(frame):
        assert frame.sw_format is not None
        return frame.sw_format.name
    return SEMI_PLANAR.get(frame.format.name, frame.format.name) if video.gpu else frame.format.name


def hand_over(
    frame: av.VideoFrame, planes: Sequence[Plane], crop: Sequence[tuple[int, int]], format: PixelFormat
) -> DevicePicture | None:
    """Copy `frame` into `planes` of `format`, its `layout_of`; or return the picture in GPU memory.

    `crop` as in `copy_from_frame`.
    """
    if is_on_gpu(frame):
        return _picture_of(frame, planes, crop)
    if format.layout is Layout.SEMIPLANAR and frame.format.name in SEMI_PLANAR:
        copy_interleaved(frame, planes, crop, shift=format.shift)
    else:
        copy_from_frame(frame, planes, crop)
    return None


def _picture_of(
    frame: av.VideoFrame, planes: Sequence[Plane], crop: Sequence[tuple[int, int]]
) -> DevicePicture:
    """The part of a GPU frame that would be copied into `planes`, in place."""
    described = []
    for index, like in enumerate(planes):
        top, left = crop[index] if crop else (0, 0)
        plane, row_bytes = frame.planes[index], like.nbytes // like.shape[0]
        start = plane.buffer_ptr + top * plane.line_size + left * (row_bytes // like.shape[1])
        described.append(
            DevicePlane(pointer=start, pitch=plane.line_size, row_bytes=row_bytes, rows=like.shape[0])
        )
    return DevicePicture(planes=tuple(described), owner=frame)
