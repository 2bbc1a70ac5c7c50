"""Checks of the buffers that are passed to sessions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paragon_stream.device import DevicePicture
from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.planes import Plane


def check_planes(planes: Sequence[Plane], format: FrameFormat) -> None:
    """Raise EngineError unless `planes` are C-contiguous arrays of the format's shapes and sample type."""
    dtype = np.dtype(format.pixel_format.sample_type)
    shapes = format.plane_shapes
    if len(planes) != len(shapes):
        raise EngineError(f"{format} has {len(shapes)} planes, not {len(planes)}")
    for index, (plane, shape) in enumerate(zip(planes, shapes, strict=True)):
        if plane.shape != shape or plane.dtype != dtype or not plane.flags.c_contiguous:
            raise EngineError(
                f"plane {index} of {format} must be a C-contiguous {dtype} array of shape {shape}, "
                f"not {plane.dtype} {plane.shape}"
            )


def check_picture(picture: DevicePicture, format: FrameFormat) -> None:
    """Raise EngineError unless `picture` has the format's planes."""
    sample = format.pixel_format.bytes_per_sample
    wanted = [(shape[0], int(np.prod(shape[1:])) * sample) for shape in format.plane_shapes]
    got = [(plane.rows, plane.row_bytes) for plane in picture.planes]
    if got != wanted:
        raise EngineError(f"{format} has planes of {wanted} rows and bytes, not {got}")
