"""Every codec's quantiser on one scale: H.264's at 8 bits (0…51, the step doubles every 6), and the strength.

Two quantisers are equivalent if the networks' results are best at the same strength. The tables were fitted
to that on encodes of the same clips by `benchmarks/quantiser_scales.py`.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

QUANTISER_OF_STRENGTH_1 = 40.0


def strength_of(quantiser: float) -> float:
    """The strength of a mean H.264 quantiser (8-bit scale): 0 is clean, 1 the strongest compression in
    training."""
    return min(max(quantiser / QUANTISER_OF_STRENGTH_1, 0.0), 1.0)


class Scale(StrEnum):
    """The codecs' scales."""

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
    JPEG = "JPEG"
    """Mean step size of luma's low frequencies."""
    BITS = "coded bits"
    """Bits per pixel of a frame, where the codec exports no quantiser: an estimate."""
    INTRA_BITS = "coded bits of intra frames"
    """The same for codecs without prediction between frames."""


TABLES: dict[Scale, tuple[tuple[float, ...], tuple[float, ...]]] = {
    Scale.H264: ((0, 51), (0, 51)),
    Scale.BITS: ((-6.58, -5.57, -4.57, -3.56, -2.55, -1.55, -0.54), (38.2, 30.4, 22.6, 16.0, 10.2, 5.0, 0.2)),
    Scale.HEVC: (
        (0.0, 12.71, 18.1, 23.49, 28.88, 34.27, 39.66, 45.05, 51.0),
        (0.0, 4.0, 9.4, 14.6, 19.8, 24.8, 29.8, 35.2, 41.2),
    ),
    Scale.MPEG2: ((1.0, 1.83, 2.65, 3.48, 4.3, 5.13, 5.95), (13.0, 18.8, 24.6, 30.8, 37.0, 43.2, 49.4)),
    Scale.MPEG4: ((1.0, 1.83, 2.65, 3.48, 4.3, 5.13, 5.95), (12.0, 17.0, 22.2, 27.4, 32.6, 37.6, 42.6)),
    Scale.VP9: (
        (0.0, 12.4, 48.26, 84.12, 119.98, 155.83, 191.69, 227.55, 255.0),
        (0.0, 8.0, 12.6, 17.0, 21.6, 26.4, 31.4, 36.6, 40.6),
    ),
    Scale.AV1: (
        (0.0, 31.35, 61.85, 92.35, 122.85, 153.35, 183.85, 214.35, 255.0),
        (0.0, 12.0, 15.0, 17.8, 20.6, 23.2, 25.6, 28.2, 31.7),
    ),
    Scale.JPEG: (
        (0.0, 2.38, 3.06, 3.74, 4.41, 5.09, 5.77, 6.45, 8.0),
        (0.0, 24.0, 28.4, 33.6, 38.6, 43.4, 48.2, 53.0, 63.9),
    ),
    Scale.INTRA_BITS: (
        (-2.14, -1.59, -1.04, -0.49, 0.06, 0.61, 1.16),
        (49.8, 44.4, 39.0, 33.2, 27.0, 20.8, 14.6),
    ),
}
"""The codec's values (rising) and H.264's; linear between them, constant outside."""

LOGARITHMIC = (Scale.MPEG2, Scale.MPEG4, Scale.JPEG, Scale.BITS, Scale.INTRA_BITS)
"""Scales whose table holds the logarithm to base 2 of the codec's numbers."""


def on_h264_scale(scale: Scale, value: float) -> float:
    """H.264's quantiser with the same strength as the codec's own `value`. 0 (lossless) stays 0."""
    if value <= 0:
        return 0.0
    codec, h264 = TABLES[scale]
    place = float(np.log2(value)) if scale in LOGARITHMIC else value
    return float(np.interp(place, codec, h264))
