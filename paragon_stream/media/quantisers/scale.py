"""Every codec's quantiser on one scale: H.264's at 8 bits (0…51, the step doubles every 6), and the strength.

Two codecs count as equally hard where they decode with the same error. The tables were fitted to that on
encodes of the same clips: `benchmarks/quantiser_scales.py` makes them again.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

QUANTISER_OF_STRENGTH_1 = 40.0


def strength_of(quantiser: float) -> float:
    """Mean H.264 quantiser (8-bit scale) to strength: 0 is clean, 1 as hard as weights are trained for."""
    return min(max(quantiser / QUANTISER_OF_STRENGTH_1, 0.0), 1.0)


class Scale(StrEnum):
    """Whose numbers they are."""

    H264 = "H.264"
    HEVC = "HEVC"
    """The slice's quantiser: 0…51 at every depth."""
    MPEG2 = "MPEG-2"
    """Step size: twice the code on the linear scale."""
    MPEG4 = "MPEG-4"
    """Step size: twice the quantiser (1…31); also H.263 and its relatives."""
    VP9 = "VP9"
    """Index, 0…255."""
    AV1 = "AV1"
    """Index, 0…255."""
    BITS = "coded bits"
    """Bits per pixel of a frame, where the codec tells no quantiser: an estimate."""
    INTRA_BITS = "coded bits of intra frames"
    """The same for codecs without prediction between frames."""


TABLES: dict[Scale, tuple[tuple[float, ...], tuple[float, ...]]] = {
    Scale.H264: ((0, 51), (0, 51)),
    Scale.BITS: ((-7.0, -5.57, -4.14, -2.71, -1.28, 0.15, 1.58), (48.3, 32.7, 18.0, 14.8, 14.1, 14.1, 9.0)),
    Scale.HEVC: (
        (0.0, 12.77, 18.15, 23.53, 28.91, 34.29, 39.67, 45.05, 51.0),
        (0.0, 9.6, 14.2, 18.0, 22.0, 27.5, 33.2, 38.4, 44.1),
    ),
    Scale.MPEG2: ((1.0, 1.83, 2.65, 3.48, 4.3, 5.13, 5.95), (13.0, 17.4, 22.5, 28.3, 33.4, 37.8, 41.7)),
    Scale.MPEG4: ((1.0, 1.83, 2.65, 3.48, 4.3, 5.13, 5.95), (13.4, 18.4, 23.6, 29.4, 34.5, 39.1, 43.2)),
    Scale.VP9: (
        (0.0, 12.4, 48.26, 84.12, 119.98, 155.83, 191.69, 227.55, 255.0),
        (0.0, 10.4, 18.0, 21.2, 24.7, 28.7, 33.4, 38.7, 42.7),
    ),
    Scale.AV1: (
        (0.0, 31.6, 62.16, 92.72, 123.28, 153.84, 184.39, 214.95, 255.0),
        (0.0, 15.4, 18.8, 21.2, 23.3, 26.3, 29.5, 33.1, 37.9),
    ),
    Scale.INTRA_BITS: (
        (-2.12, -1.54, -0.96, -0.38, 0.2, 0.78, 1.36),
        (43.2, 39.8, 34.6, 28.8, 23.9, 21.2, 21.2),
    ),
}
"""Codec's numbers (rising) and H.264's; straight lines between, constant outside."""

LOGARITHMIC = (Scale.MPEG2, Scale.MPEG4, Scale.BITS, Scale.INTRA_BITS)
"""Scales whose table holds the logarithm to base 2 of the codec's numbers."""


def on_h264_scale(scale: Scale, value: float) -> float:
    """H.264's quantiser with the same decoding error as the codec's own `value`. 0 (lossless) stays 0."""
    if value <= 0:
        return 0.0
    codec, h264 = TABLES[scale]
    place = float(np.log2(value)) if scale in LOGARITHMIC else value
    return float(np.interp(place, codec, h264))
