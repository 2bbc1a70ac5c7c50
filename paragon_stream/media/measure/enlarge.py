"""Plain enlargements by FFmpeg's scaler, to compare results with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from paragon_stream.frame import FrameFormat
from paragon_stream.media.ffmpeg.planes import Plane, copy_from_frame, copy_to_frame


def lanczos(planes: Sequence[Plane], source: FrameFormat, target: FrameFormat) -> tuple[Plane, ...]:
    """Planes of a frame of `source`, each enlarged by a Lanczos filter to the size that it has in `target`.

    Both formats are planar and differ in size only. Planes are enlarged about their centres: chroma whose
    samples are co-sited with luma moves by a fraction of a sample.
    """
    gray = "gray" if source.pixel_format.bytes_per_sample == 1 else "gray16le"
    depth_shift = 0 if gray == "gray" else 16 - source.pixel_format.depth
    results: list[Plane] = []
    for plane, shape in zip(planes, target.plane_shapes, strict=True):
        frame = av.VideoFrame(plane.shape[1], plane.shape[0], gray)
        copy_to_frame([_same(plane << depth_shift, plane)], frame)
        larger = frame.reformat(width=shape[1], height=shape[0], interpolation=Interpolation.LANCZOS)
        out = np.empty(shape[:2], plane.dtype)
        copy_from_frame(larger, [out])
        results.append(_same(out >> depth_shift, plane))
    return tuple(results)


def _same(values: NDArray[Any], plane: Plane) -> Plane:
    """`values` with the sample type of `plane`, contiguous."""
    same: Any = np.ascontiguousarray(values, plane.dtype)
    return same  # type: ignore[no-any-return]
