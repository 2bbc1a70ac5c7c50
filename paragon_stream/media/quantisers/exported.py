"""The quantisers that FFmpeg's decoders attach to frames: `AVVideoEncParams` as side data.

H.264, MPEG-1, -2 and -4, H.263 and VP9 have it.
"""

from __future__ import annotations

import struct

import av
import numpy as np
from av.sidedata.sidedata import Type

EXPORT_QUANTISERS = {"export_side_data": "venc_params"}
"""Decoder options that make frames carry their quantisers."""

EXPORTED_LATE = ("h264", "mpeg4")
"""Decoders that export a frame's values when the frame is shown. With frame threads another thread may still
be writing them then (H.264: about 2 % of frames, MPEG-4: one in thousands, other ones in each run)."""

_HEADER = struct.Struct("<IxxxxQQii")
"""Blocks, offset of the first, bytes of each, kind, the frame's quantiser. A block is five int32: x, y,
width, height, difference from the frame's quantiser."""
_H264 = 1


def exported_quantiser(frame: av.VideoFrame, *, depth: int) -> float | None:
    """Mean quantiser over the picture, weighted by area, on the codec's own scale; None if it has none.

    `depth` is the frame's bits per sample. H.264: 0…51 (FFmpeg counts from 6 · (depth - 8) below; here 24
    means the same step at every depth, relative to white). MPEG-1, -2, -4 and H.263: the step size, 2…62 on
    the linear scales. VP9: index 0…255. The frame that ends an MPEG stream has none.
    """
    data = next((bytes(d) for kind, d in frame.side_data.items() if kind is Type.VIDEO_ENC_PARAMS), None)
    if data is None:
        return None
    count, offset, size, kind, base = _HEADER.unpack_from(data)
    mean = float(base)
    if count:
        blocks = np.ndarray((count, 5), np.int32, data, offset, (size, 4))
        area = blocks[:, 2].astype(np.float64) * blocks[:, 3]
        if area.sum() > 0:
            mean += float((blocks[:, 4] * area).sum() / area.sum())
    return max(0.0, mean - 6 * (depth - 8)) if kind == _H264 else mean
