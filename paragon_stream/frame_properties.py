"""The colour of a frame as VapourSynth's frame properties, and numbers in such properties."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from paragon_stream.frame import (
    ChromaLocation,
    ColorRange,
    ColorSpec,
    Family,
    FrameFormat,
    Matrix,
    Primaries,
    Transfer,
)

_RANGES = {0: ColorRange.LIMITED, 1: ColorRange.FULL}
"""Values of `_Range`. The core keeps the older property `_ColorRange` (with opposite values) in step."""


def tagged_color(props: Mapping[str, Any]) -> ColorSpec:
    """The colour of a frame's properties; numbers that H.273 does not define count as unspecified."""
    # mpv sets `_ColorSpace` instead of `_Matrix`.
    matrix = int(number_of(props, "_Matrix", number_of(props, "_ColorSpace", Matrix.UNSPECIFIED)))
    location = int(number_of(props, "_ChromaLocation", -1)) + 1  # VapourSynth counts from 0 = left
    return ColorSpec(
        matrix=Matrix(matrix) if matrix in list(Matrix) else Matrix.UNSPECIFIED,
        range=_RANGES.get(int(number_of(props, "_Range", -1))),
        transfer=int(number_of(props, "_Transfer", Transfer.UNSPECIFIED)),
        primaries=int(number_of(props, "_Primaries", Primaries.UNSPECIFIED)),
        chroma_location=ChromaLocation(location) if location in list(ChromaLocation) else ChromaLocation(0),
    )


def number_of(props: Mapping[str, Any], name: str, absent: float) -> float:
    """A frame property as VapourSynth's own filters read it: the first of several numbers; `absent` if it is
    no number."""
    value = props.get(name, absent)
    if isinstance(value, list):
        value = value[0]
    return value if isinstance(value, int | float) and isfinite(value) else absent


def color_properties(format: FrameFormat) -> dict[str, int]:
    """`format.color` as frame properties."""
    color = format.color
    props = {
        "_Range": int(color.range is ColorRange.FULL),
        "_Transfer": int(color.transfer),
        "_Primaries": int(color.primaries),
    }
    if format.pixel_format.family is not Family.GRAY:
        props["_Matrix"] = int(color.matrix)
    if format.pixel_format.subsampling != (0, 0):
        props["_ChromaLocation"] = int(color.chroma_location) - 1
    return props
