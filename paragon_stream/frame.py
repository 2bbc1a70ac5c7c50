"""The facts of a frame: pixel format (`pixels`), colour, geometry, timing. Standard library only.

Numbers are those of ITU-T H.273, which FFmpeg and VapourSynth also use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from fractions import Fraction

from paragon_stream.errors import FormatError
from paragon_stream.pixels import PIXEL_FORMATS as PIXEL_FORMATS
from paragon_stream.pixels import Family as Family
from paragon_stream.pixels import Layout as Layout
from paragon_stream.pixels import PixelFormat as PixelFormat
from paragon_stream.pixels import pixel_format as pixel_format
from paragon_stream.pixels import planar_like as planar_like
from paragon_stream.pixels import requested_pixel_format as requested_pixel_format
from paragon_stream.pixels import without_alpha as without_alpha


@dataclass(frozen=True)
class FrameData:
    """Data of one frame beside its samples, for outputs that can hold it. False if there is none."""

    captions: bytes = b""
    """Closed captions: cc_data of ATSC A/53, three bytes for each construct."""
    hdr10_plus: bytes = b""
    """HDR10+ (SMPTE ST 2094-40): a message of ITU-T T.35, from its country code on."""

    def __bool__(self) -> bool:
        return bool(self.captions or self.hdr10_plus)


NO_DATA = FrameData()


class Matrix(IntEnum):
    """Matrix coefficients (H.273 table 4)."""

    RGB = 0
    BT709 = 1
    UNSPECIFIED = 2
    FCC = 4
    BT470BG = 5
    SMPTE170M = 6
    SMPTE240M = 7
    YCGCO = 8
    BT2020_NCL = 9
    BT2020_CL = 10
    SMPTE2085 = 11
    CHROMA_DERIVED_NCL = 12
    CHROMA_DERIVED_CL = 13
    ICTCP = 14

    @property
    def kr_kb(self) -> tuple[float, float]:
        """Luma weights of red and blue (H.273, equations 39 to 44).

        Raises FormatError for matrices other than Y = Kr·R + (1-Kr-Kb)·G + Kb·B on code values.
        """
        try:
            return KR_KB[self]
        except KeyError:
            raise FormatError(
                f"matrix {self.name} is not linear in RGB code values; convert the source first"
            ) from None


KR_KB = {
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.FCC: (0.30, 0.11),
    Matrix.BT470BG: (0.299, 0.114),
    Matrix.SMPTE170M: (0.299, 0.114),
    Matrix.SMPTE240M: (0.212, 0.087),
    Matrix.BT2020_NCL: (0.2627, 0.0593),
}
"""The weights of red and blue in luma, by matrix (H.273, table 4)."""


class Transfer(IntEnum):
    """Transfer characteristics (H.273 table 3) that the code depends on; others are plain ints."""

    BT709 = 1
    UNSPECIFIED = 2
    BT470BG = 5
    SMPTE170M = 6
    PQ = 16
    HLG = 18


class Primaries(IntEnum):
    """Colour primaries (H.273 table 2) that the code depends on; others are plain ints."""

    BT709 = 1
    UNSPECIFIED = 2
    BT470BG = 5
    SMPTE170M = 6
    BT2020 = 9


class ColorRange(StrEnum):
    """Range of the code values: `limited` is 16…235 (luma) and 16…240 (chroma), scaled by the depth."""

    LIMITED = "limited"
    FULL = "full"


class ChromaLocation(IntEnum):
    """Location of chroma samples relative to the luma grid (H.273 chroma_loc; FFmpeg's numbers)."""

    UNSPECIFIED = 0
    LEFT = 1
    CENTER = 2
    TOPLEFT = 3
    TOP = 4
    BOTTOMLEFT = 5
    BOTTOM = 6

    @property
    def horizontal(self) -> Fraction:
        """Offset right of the first luma column, in luma samples, for 2:1 subsampling: 0 or 1/2."""
        return Fraction(1, 2) if self in (self.CENTER, self.TOP, self.BOTTOM) else Fraction(0)

    @property
    def vertical(self) -> Fraction:
        """Offset below the first luma row, in luma samples, for 2:1 subsampling: 0, 1/2 or 1."""
        if self in (self.TOPLEFT, self.TOP):
            return Fraction(0)
        return Fraction(1) if self in (self.BOTTOMLEFT, self.BOTTOM) else Fraction(1, 2)


@dataclass(frozen=True, kw_only=True)
class ColorSpec:
    """The meaning of code values. The defaults mean "unspecified"; `resolve_color` replaces them."""

    matrix: Matrix = Matrix.UNSPECIFIED
    range: ColorRange | None = None
    transfer: int = Transfer.UNSPECIFIED
    primaries: int = Primaries.UNSPECIFIED
    chroma_location: ChromaLocation = ChromaLocation.UNSPECIFIED


def resolve_color(
    color: ColorSpec,
    *,
    format: PixelFormat,
    width: int,
    height: int,
    full_range_name: bool = False,
    frame_rate: Fraction | None = None,
    codec: str = "",
) -> ColorSpec:
    """`color` with every unspecified field replaced, by the rules that players use.

    Matrix of YUV: BT.709 if width ≥ 1280 or height > 576, else BT.601: the 625-line variant if the height is
    576 or 288 or the rate is 25 or 50, else the 525-line variant. A PQ or HLG transfer implies BT.2020. A tag
    BT.709 for the matrix, or any tag BT.2020, takes precedence over the size for the other fields. Range:
    limited, except for RGB and `yuvj…` formats (`full_range_name`). Chroma location of 4:2:0: left, except
    centre for MPEG-1 and JPEG; otherwise co-sited left. Existing tags are never changed.
    """
    is_rgb = format.family is Family.RGB
    hdr = color.transfer in (Transfer.PQ, Transfer.HLG)
    high_definition = width >= 1280 or height > 576
    lines_625 = height in (576, 288) or (frame_rate is not None and round(frame_rate) in (25, 50))
    if hdr or color.matrix in (Matrix.BT2020_NCL, Matrix.BT2020_CL) or color.primaries == Primaries.BT2020:
        matrix, transfer, primaries = (
            Matrix.BT2020_NCL,
            14 if format.depth <= 10 else 15,
            int(Primaries.BT2020),
        )
    elif is_rgb or high_definition or color.matrix is Matrix.BT709:
        matrix, transfer, primaries = Matrix.BT709, int(Transfer.BT709), int(Primaries.BT709)
    elif lines_625:
        matrix, transfer, primaries = Matrix.BT470BG, int(Transfer.SMPTE170M), int(Primaries.BT470BG)
    else:
        matrix, transfer, primaries = Matrix.SMPTE170M, int(Transfer.SMPTE170M), int(Primaries.SMPTE170M)
    if is_rgb:
        matrix = Matrix.RGB
    elif color.matrix not in (Matrix.UNSPECIFIED, Matrix.RGB):
        matrix = color.matrix
    full = full_range_name or is_rgb
    location = color.chroma_location
    if location is ChromaLocation.UNSPECIFIED:
        centred = codec in ("mpeg1video", "mjpeg") and format.subsampling == (1, 1)
        location = ChromaLocation.CENTER if centred else ChromaLocation.LEFT
    return ColorSpec(
        matrix=matrix,
        range=color.range or (ColorRange.FULL if full else ColorRange.LIMITED),
        transfer=color.transfer if color.transfer != Transfer.UNSPECIFIED else transfer,
        primaries=color.primaries if color.primaries != Primaries.UNSPECIFIED else primaries,
        chroma_location=location,
    )


@dataclass(frozen=True, kw_only=True)
class FrameFormat:
    """Size, pixel format, colour and sample aspect ratio of the frames of one stream."""

    width: int
    height: int
    pixel_format: PixelFormat
    color: ColorSpec = field(default_factory=ColorSpec)
    sample_aspect_ratio: Fraction = Fraction(1)

    @classmethod
    def of(cls, name: str, width: int, height: int, color: ColorSpec | None = None) -> FrameFormat:
        """Frames in FFmpeg's pixel format `name`, with square pixels; `resolve_color` completes `color`.

        Raises FormatError for a pixel format that is not supported.
        """
        layout = pixel_format(name)
        resolved = resolve_color(
            color or ColorSpec(),
            format=layout,
            width=width,
            height=height,
            full_range_name=name.startswith("yuvj"),
        )
        return cls(width=width, height=height, pixel_format=layout, color=resolved)

    @property
    def plane_shapes(self) -> tuple[tuple[int, ...], ...]:
        return self.pixel_format.plane_shapes(self.width, self.height)

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.pixel_format.name}"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Time and duration of a frame: integers in units of `time_base` seconds, as in the source.

    `duration` is 0 if the container does not state it.
    """

    pts: int
    duration: int
    time_base: Fraction

    @property
    def time(self) -> Fraction:
        """Seconds, exact."""
        return self.pts * self.time_base

    @property
    def seconds(self) -> float:
        """Seconds, rounded to a float."""
        return float(self.time)
