"""Frames that go from the engine to NVIDIA's encoder without leaving the GPU.

The engine leaves its result in a picture of device memory, which FFmpeg gets as a CUDA frame (DLPack). The
encoder keeps some frames for a while; a picture is free again when FFmpeg releases it. FFmpeg's NVENC uses
the address and pitch of the first plane only, so the second plane must follow directly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import av
from av.video.frame import CudaContext

from paragon_stream.device import DevicePicture
from paragon_stream.device.dlpack import DeviceTensor
from paragon_stream.errors import EngineError, reason
from paragon_stream.frame import FrameFormat
from paragon_stream.media.encode.encoders import NVENC, Encoder
from paragon_stream.media.ffmpeg.errors import AV_ERRORS

FORMATS = ("nv12", "p010le")
"""Pixel formats that engines produce and NVENC accepts in the same memory layout, by FFmpeg's names."""

_KEPT_BY_ENCODER = 8
"""Pictures that are allocated at first in addition to `in_flight`; more follow if an encoder keeps more."""


class DeviceFrames:
    """Pictures of `format` on cuda:`ordinal`, held by engine or encoder, or free. Thread-safe."""

    def __init__(
        self, format: FrameFormat, ordinal: int, make: Callable[[], DevicePicture], *, in_flight: int
    ) -> None:
        """`make` allocates a picture, which lasts as long as its maker; `in_flight` are the engine's and the
        pipeline's together. Raises EngineError if FFmpeg cannot use pictures of this GPU.
        """
        self.format, self.ordinal = format, ordinal
        self._make = make
        self._context = CudaContext(device_id=ordinal, primary_ctx=True)
        # No lock: a picture returns when the last reference to its frame is dropped, possibly during a call
        # here.
        self._free = deque(make() for _ in range(in_flight + _KEPT_BY_ENCODER))
        self.made = len(self._free)
        """Number of pictures that were allocated."""
        try:
            self.frame(self.take())
        except AV_ERRORS as error:
            raise EngineError(f"FFmpeg takes no frames from cuda:{ordinal}: {reason(error)}") from error

    def take(self) -> DevicePicture:
        """A free picture, to be written and handed to `frame`. Raises DeviceMemoryError."""
        try:
            return self._free.popleft()
        except IndexError:
            self.made += 1
            return self._make()

    def frame(self, picture: DevicePicture) -> av.VideoFrame:
        """`picture`, which is complete, as an FFmpeg frame; it is free again when FFmpeg releases the frame.
        Raises PyAV's errors.
        """
        planes = list(range(len(picture.planes)))

        def given_back() -> None:
            if planes.pop() == 0:  # the last one
                self._free.append(picture)

        sample = self.format.pixel_format.bytes_per_sample
        tensors = tuple(
            DeviceTensor(plane, ordinal=self.ordinal, sample_bytes=sample, given_back=given_back)
            for plane in picture.planes
        )
        name = self.format.pixel_format.name
        return av.VideoFrame.from_dlpack(
            tensors, name, self.format.width, self.format.height, cuda_context=self._context
        )


def fits(format: FrameFormat, encoder: Encoder) -> bool:
    """Whether results of `format` can go to `encoder` without leaving the GPU."""
    even = format.width % 2 == 0 and format.height % 2 == 0
    return encoder.name.endswith(f"_{NVENC}") and format.pixel_format.name in FORMATS and even
