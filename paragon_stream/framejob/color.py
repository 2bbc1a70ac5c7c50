"""Colour as affine maps between code values and RGB in 0…1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import FormatError
from paragon_stream.frame import KR_KB, ChromaLocation, ColorRange, Family, FrameFormat, Matrix


@dataclass(frozen=True)
class ColorMap:
    """`RGB = to_rgb · (codes - centre) + rgb_of_centre` and `codes = from_rgb · RGB + code_of_black`.

    Codes are those of the canonical components (Y, U, V or R, G, B or gray) without alpha; RGB is the
    network's, 0…1 from black to nominal white. `centre`, half the code range, is subtracted from all planes
    so that values are small enough for 16-bit arithmetic.
    """

    centre: float
    to_rgb: NDArray[np.float64]
    """3 × components."""
    rgb_of_centre: NDArray[np.float64]
    """3."""
    from_rgb: NDArray[np.float64]
    """components × 3."""
    code_of_black: NDArray[np.float64]
    """components."""


def color_map(format: FrameFormat) -> ColorMap:
    """The map of `format`, whose colour must be resolved (FormatError if it is not, or is not affine)."""
    pixels, color = format.pixel_format, format.color
    if color.range is None:
        raise FormatError(f"the colour range of {format} is not resolved")
    unit = float(1 << (pixels.depth - 8))
    if color.range is ColorRange.FULL:
        black, luma_span, chroma_span = 0.0, float(pixels.peak), float(pixels.peak)
    else:
        black, luma_span, chroma_span = 16 * unit, 219 * unit, 224 * unit
    centre = 128 * unit

    if pixels.family is Family.RGB:
        from_rgb = luma_span * np.eye(3)
        code_of_black = np.full(3, black)
        to_rgb = np.eye(3) / luma_span
    elif pixels.family is Family.GRAY:
        from_rgb = luma_span * luma_weights(format)[None, :]
        code_of_black = np.array([black])
        to_rgb = np.full((3, 1), 1 / luma_span)
    else:
        luma = luma_weights(format)
        kr, _, kb = luma
        blue_difference = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - kb))
        red_difference = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - kr))
        from_rgb = np.stack([luma_span * luma, chroma_span * blue_difference, chroma_span * red_difference])
        code_of_black = np.array([black, centre, centre])
        to_rgb = np.linalg.inv(from_rgb)
    rgb_of_centre = to_rgb @ (centre - code_of_black)
    return ColorMap(centre, to_rgb, rgb_of_centre, from_rgb, code_of_black)


def luma_weights(format: FrameFormat) -> NDArray[np.float64]:
    """Kr, Kg, Kb (H.273, equations 39 to 44) of YUV or gray."""
    matrix = format.color.matrix
    if format.pixel_format.family is Family.GRAY and matrix not in KR_KB:
        matrix = Matrix.BT709  # weights of the network's detail, which is nearly equal in R, G and B
    if matrix in (Matrix.UNSPECIFIED, Matrix.RGB):
        raise FormatError(f"the colour matrix of {format} is not resolved")
    kr, kb = matrix.kr_kb
    return np.array([kr, 1 - kr - kb, kb])


def network_luma(source: FrameFormat, target: FrameFormat) -> NDArray[np.float64]:
    """Kr, Kg, Kb of the network's luma if a filter enlarges chroma: the source's, else the target's; from RGB
    to RGB BT.601's, which PSNR-Y uses."""
    for format in (source, target):
        if format.pixel_format.family is not Family.RGB:
            return luma_weights(format)
    kr, kb = Matrix.SMPTE170M.kr_kb
    return np.array([kr, 1 - kr - kb, kb])


def check_chroma_location(format: FrameFormat) -> None:
    """Raise FormatError if chroma is subsampled and its location is unspecified."""
    location = format.color.chroma_location
    if format.pixel_format.subsampling != (0, 0) and location is ChromaLocation.UNSPECIFIED:
        raise FormatError(f"the chroma location of {format} is not resolved")
