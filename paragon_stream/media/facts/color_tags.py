"""The colour of a stream: reads its tags, decides missing ones and refuses unsupported ones."""

from __future__ import annotations

from fractions import Fraction

from paragon_stream.errors import FormatError
from paragon_stream.frame import (
    ChromaLocation,
    ColorRange,
    ColorSpec,
    Family,
    Matrix,
    PixelFormat,
    Primaries,
    Transfer,
    resolve_color,
)
from paragon_stream.media.facts.appearance import ColorNumbers

_RANGES = {1: ColorRange.LIMITED, 2: ColorRange.FULL}
_RESERVED = (0, 3)
"""Code points of transfer and primaries that H.273 reserves; they count as unspecified."""


def read_color(frame: ColorNumbers, header: ColorNumbers) -> ColorSpec:
    """The tags of a decoded frame, or of the stream's header if the frame has none.

    Raises FormatError for a matrix that H.273 defines but no frame job supports.
    """
    matrix = frame.matrix if frame.matrix not in (2, 3) else header.matrix
    try:
        known = Matrix(matrix if matrix != 3 else 2)
    except ValueError:
        raise FormatError(
            f"colour matrix number {matrix} is not supported; convert the source first"
        ) from None
    location = frame.chroma_location or header.chroma_location
    return ColorSpec(
        matrix=known,
        range=_RANGES.get(frame.range) or _RANGES.get(header.range),
        transfer=_first_said(frame.transfer, header.transfer),
        primaries=_first_said(frame.primaries, header.primaries),
        chroma_location=ChromaLocation(location) if 0 <= location <= 6 else ChromaLocation.UNSPECIFIED,
    )


def _first_said(*tags: int) -> int:
    """The first specified tag; 2, "unspecified" for both Transfer and Primaries, if there is none."""
    return next((tag for tag in tags if tag != Transfer.UNSPECIFIED and tag not in _RESERVED), 2)


def decide_color(
    tagged: ColorSpec,
    *,
    format: PixelFormat,
    width: int,
    height: int,
    full_range_name: bool,
    frame_rate: Fraction | None,
    codec: str,
) -> tuple[ColorSpec, tuple[str, ...]]:
    """`tagged` with every gap filled by `resolve_color`, and the names of the fields that were guessed.

    A guessed chroma location is listed only if chroma is subsampled. Raises FormatError for what cannot be
    processed faithfully (see `refuse_unsupported`).
    """
    color = resolve_color(
        tagged,
        format=format,
        width=width,
        height=height,
        full_range_name=full_range_name,
        frame_rate=frame_rate,
        codec=codec,
    )
    refuse_unsupported(color, format)
    is_rgb = format.family is Family.RGB
    unsaid = {
        "matrix": tagged.matrix in (Matrix.UNSPECIFIED, Matrix.RGB) and format.family is Family.YUV,
        "range": tagged.range is None and not (is_rgb or full_range_name),
        "transfer": tagged.transfer == Transfer.UNSPECIFIED,
        "primaries": tagged.primaries == Primaries.UNSPECIFIED,
        "chroma location": tagged.chroma_location is ChromaLocation.UNSPECIFIED
        and format.subsampling != (0, 0),
    }
    return color, tuple(name for name, guessed in unsaid.items() if guessed)


def refuse_unsupported(color: ColorSpec, format: PixelFormat) -> None:
    """Raise FormatError for colour that is no linear map of R'G'B' code values."""
    if format.family is not Family.YUV:
        return
    if color.matrix in (Matrix.BT2020_CL, Matrix.CHROMA_DERIVED_CL):
        raise FormatError(
            "the video uses constant-luminance colour, whose chroma is not linear in RGB; convert it first"
        )
    if color.matrix is Matrix.ICTCP:
        raise FormatError("the video uses ICtCp colour, which is not linear in RGB; convert it first")
    _ = color.matrix.kr_kb
