"""Copies planes of an FFmpeg frame to numpy arrays and back, without the padding of lines."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import FormatError
from paragon_stream.frame import Layout, PixelFormat, pixel_format

type Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""One array of a picture, C-contiguous: H×W, or H×W×C for interleaved components; uint16 above 8 bits."""


def plane_view(frame: av.VideoFrame, index: int) -> NDArray[np.uint8]:
    """The bytes of one plane as rows×line_size, in place (writing changes the frame), top row first.

    The array keeps the frame alive. Rows include the padding behind the picture.
    """
    plane = frame.planes[index]
    if plane.line_size >= 0:
        rows: NDArray[np.uint8] = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        return rows
    # A frame stored bottom row first: FFmpeg's pointer is at the top row, which is the last one in memory.
    size = -plane.line_size * plane.height
    start = plane.buffer_ptr + plane.line_size * (plane.height - 1)
    memory = (ctypes.c_uint8 * size).from_address(start)
    memory.frame = frame  # type: ignore[attr-defined]
    return np.frombuffer(memory, np.uint8).reshape(plane.height, -1)[::-1]


def plane_array(
    frame: av.VideoFrame, index: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Plane `index` of the frame as an array of `shape` and sample type `dtype`, in place."""
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    array: NDArray[Any] = plane_view(frame, index)[: shape[0], :row_bytes].view(dtype).reshape(shape)
    return array


def copy_from_frame(
    frame: av.VideoFrame,
    planes: Sequence[Plane],
    crop: Sequence[tuple[int, int]] = (),
) -> None:
    """Copy the picture of `frame` into `planes`, of the frame's sample type.

    `crop` has, for each plane, the (rows, columns) to skip above and to the left; by default nothing is
    skipped.
    """
    for index, target in enumerate(planes):
        if not target.flags.c_contiguous:
            raise ValueError(f"plane {index} is not contiguous")
        top, left = crop[index] if crop else (0, 0)
        row_bytes = target.nbytes // target.shape[0]
        pixel_bytes = row_bytes // target.shape[1]
        source = plane_view(frame, index)
        start = left * pixel_bytes
        bytes_out = target.reshape(target.shape[0], -1).view(np.uint8)
        np.copyto(bytes_out, source[top : top + target.shape[0], start : start + row_bytes])


def copy_interleaved(
    frame: av.VideoFrame, planes: Sequence[Plane], crop: Sequence[tuple[int, int]] = (), *, shift: int
) -> None:
    """Copy a planar 4:2:0 `frame` into the two `planes` of a semi-planar format (NV12, P010).

    `shift` is by how many bits that format's samples are moved up; `crop` as in `copy_from_frame`.
    """
    for component in range(3):
        target = planes[0] if component == 0 else planes[1][..., component - 1]
        top, left = crop[min(component, 1)] if crop else (0, 0)
        rows, columns = target.shape
        source = plane_array(frame, component, (top + rows, left + columns), target.dtype)[top:, left:]
        np.left_shift(source, shift, out=target)


def copy_to_frame(planes: Sequence[Plane], frame: av.VideoFrame) -> None:
    """Copy `planes`, of the frame's sample type, into `frame`."""
    for index, source in enumerate(planes):
        bytes_in = source.reshape(source.shape[0], -1).view(np.uint8)
        np.copyto(plane_view(frame, index)[: bytes_in.shape[0], : bytes_in.shape[1]], bytes_in)


def plane_crops(format: PixelFormat, crop: tuple[int, int, int, int]) -> tuple[tuple[int, int], ...]:
    """For each plane, the number of (rows, columns) of its own grid before the crop."""
    left, top, _, _ = crop
    sx, sy = format.subsampling
    if format.layout is Layout.PACKED:
        return ((top, left),)
    if format.layout is Layout.SEMIPLANAR:
        return (top, left), (top >> sy, left >> sx)
    return tuple(
        (top >> sy, left >> sx) if component in (1, 2) else (top, left) for component in format.order
    )


def same_samples(a: av.VideoFrame, b: av.VideoFrame) -> bool:
    """Whether two frames in the host's memory have equal samples; False for formats that we do not
    process."""
    if (a.format.name, a.width, a.height) != (b.format.name, b.width, b.height):
        return False
    try:
        known = pixel_format(a.format.name)
    except FormatError:
        return False
    dtype = np.dtype(known.sample_type)
    return all(
        np.array_equal(plane_array(a, index, shape, dtype), plane_array(b, index, shape, dtype))
        for index, shape in enumerate(known.plane_shapes(a.width, a.height))
    )
