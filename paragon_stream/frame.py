"""What a frame is: pixel formats, colour, geometry and timing, as frozen facts. Standard library only.

Numbers are those of ITU-T H.273 wherever it has them, which FFmpeg and VapourSynth share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction

from paragon_stream.errors import FormatError


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

        Raises FormatError for matrices that are not of the form Y = Kr·R + (1-Kr-Kb)·G + Kb·B on code values.
        """
        try:
            return _KR_KB[self]
        except KeyError:
            raise FormatError(
                f"matrix {self.name} is not linear in RGB code values; convert the source first"
            ) from None


_KR_KB = {
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.FCC: (0.30, 0.11),
    Matrix.BT470BG: (0.299, 0.114),
    Matrix.SMPTE170M: (0.299, 0.114),
    Matrix.SMPTE240M: (0.212, 0.087),
    Matrix.BT2020_NCL: (0.2627, 0.0593),
}


class Transfer(IntEnum):
    """Transfer characteristics (H.273 table 3) that rules here depend on; others stay plain ints."""

    BT709 = 1
    UNSPECIFIED = 2
    BT470BG = 5
    SMPTE170M = 6
    PQ = 16
    HLG = 18


class Primaries(IntEnum):
    """Colour primaries (H.273 table 2) that rules here depend on; others stay plain ints."""

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
    """Where a chroma sample sits relative to the luma grid (H.273 chroma_loc; FFmpeg's numbers)."""

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


class Family(StrEnum):
    YUV = "yuv"
    RGB = "rgb"
    GRAY = "gray"


class Layout(Enum):
    """How components are laid out in memory."""

    PLANAR = "planar"
    """One H×W array per component."""
    SEMIPLANAR = "semiplanar"
    """Luma H×W, then interleaved chroma h×w×2 (NV12, P010)."""
    PACKED = "packed"
    """One H×W×C array (rgb24, rgba64 …)."""


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """A pixel format: which components there are, how deep, how subsampled, in which arrays.

    `name` is FFmpeg's. `subsampling` is log2 of the chroma decimation, (horizontal, vertical).
    `order` gives for each stored component the canonical one it holds: 0, 1, 2 = Y, U, V or R, G, B;
    3 = alpha; -1 = padding that carries nothing. `shift` is how far the value sits above bit 0 of its word
    (P010: 6). Samples are uint8 up to 8 bits and native-endian uint16 above.
    """

    name: str
    family: Family
    depth: int
    subsampling: tuple[int, int] = (0, 0)
    layout: Layout = Layout.PLANAR
    order: tuple[int, ...] = (0, 1, 2)
    shift: int = 0
    floating: bool = False
    """Code values as float32, neither rounded nor clipped: what tiles hand on to be resampled."""

    @property
    def bytes_per_sample(self) -> int:
        return 4 if self.floating else 1 if self.depth <= 8 else 2

    @property
    def sample_type(self) -> str:
        """numpy's name of the type that a sample is stored in."""
        return "float32" if self.floating else "uint8" if self.depth <= 8 else "uint16"

    @property
    def stored(self) -> tuple[tuple[int, ...], ...]:
        """The components that each array holds; see `order`."""
        match self.layout:
            case Layout.PACKED:
                return (self.order,)
            case Layout.SEMIPLANAR:
                return self.order[:1], self.order[1:]
            case Layout.PLANAR:
                return tuple((component,) for component in self.order)

    @property
    def has_alpha(self) -> bool:
        return 3 in self.order

    @property
    def peak(self) -> int:
        """Largest code value, 2**depth - 1."""
        return (1 << self.depth) - 1

    def chroma_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a chroma plane; odd luma sizes round up."""
        sx, sy = self.subsampling
        return -(-width >> sx), -(-height >> sy)

    def plane_shapes(self, width: int, height: int) -> tuple[tuple[int, ...], ...]:
        """Array shapes of the planes in memory order: (H, W), (h, w, 2) or (H, W, C)."""
        if self.layout is Layout.PACKED:
            return ((height, width, len(self.order)),)
        cw, ch = self.chroma_size(width, height)
        if self.layout is Layout.SEMIPLANAR:
            return (height, width), (ch, cw, 2)
        chroma = (1, 2) if self.family is Family.YUV else ()
        return tuple((ch, cw) if component in chroma else (height, width) for component in self.order)


def _formats() -> dict[str, PixelFormat]:
    """The formats frame jobs take, by FFmpeg name."""
    table: list[PixelFormat] = []
    chroma = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "411": (2, 0), "440": (0, 1), "410": (2, 2)}
    for sampling, sub in chroma.items():
        deep = (
            (9, 10, 12, 14, 16)
            if sampling in ("420", "422", "444")
            else ((10, 12) if sampling == "440" else ())
        )
        table.append(PixelFormat(name=f"yuv{sampling}p", family=Family.YUV, depth=8, subsampling=sub))
        table += [
            PixelFormat(name=f"yuv{sampling}p{n}le", family=Family.YUV, depth=n, subsampling=sub)
            for n in deep
        ]
    for sampling in ("420", "422", "444"):
        for n in (8, 9, 10, 12, 16):
            if n == 12 and sampling == "420":
                continue  # FFmpeg has no yuva420p12
            name = f"yuva{sampling}p" + ("" if n == 8 else f"{n}le")
            sub = chroma[sampling]
            table.append(
                PixelFormat(name=name, family=Family.YUV, depth=n, subsampling=sub, order=(0, 1, 2, 3))
            )
    for n in (8, 9, 10, 12, 14, 16):
        tail = "" if n == 8 else f"{n}le"
        table.append(PixelFormat(name=f"gray{tail}", family=Family.GRAY, depth=n, order=(0,)))
        table.append(PixelFormat(name=f"gbrp{tail}", family=Family.RGB, depth=n, order=(1, 2, 0)))
        if n not in (9,):
            table.append(PixelFormat(name=f"gbrap{tail}", family=Family.RGB, depth=n, order=(1, 2, 0, 3)))
    packed = Layout.PACKED
    for name, order in {
        "rgb24": (0, 1, 2),
        "bgr24": (2, 1, 0),
        "rgba": (0, 1, 2, 3),
        "bgra": (2, 1, 0, 3),
        "argb": (3, 0, 1, 2),
        "abgr": (3, 2, 1, 0),
        "rgb0": (0, 1, 2, -1),
        "bgr0": (2, 1, 0, -1),
        "0rgb": (-1, 0, 1, 2),
        "0bgr": (-1, 2, 1, 0),
    }.items():
        table.append(PixelFormat(name=name, family=Family.RGB, depth=8, layout=packed, order=order))
    for name, order in {
        "rgb48le": (0, 1, 2),
        "bgr48le": (2, 1, 0),
        "rgba64le": (0, 1, 2, 3),
        "bgra64le": (2, 1, 0, 3),
    }.items():
        table.append(PixelFormat(name=name, family=Family.RGB, depth=16, layout=packed, order=order))
    semi = Layout.SEMIPLANAR
    for name, depth, shift, sub, order in (
        ("nv12", 8, 0, (1, 1), (0, 1, 2)),
        ("nv21", 8, 0, (1, 1), (0, 2, 1)),
        ("nv16", 8, 0, (1, 0), (0, 1, 2)),
        ("p010le", 10, 6, (1, 1), (0, 1, 2)),
        ("p012le", 12, 4, (1, 1), (0, 1, 2)),
        ("p016le", 16, 0, (1, 1), (0, 1, 2)),
        ("p210le", 10, 6, (1, 0), (0, 1, 2)),
        ("p216le", 16, 0, (1, 0), (0, 1, 2)),
    ):
        table.append(
            PixelFormat(
                name=name,
                family=Family.YUV,
                depth=depth,
                subsampling=sub,
                layout=semi,
                order=order,
                shift=shift,
            )
        )
    return {fmt.name: fmt for fmt in table}


PIXEL_FORMATS = _formats()

_FULL_RANGE_ALIASES = {
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
    "yuvj444p": "yuv444p",
    "yuvj440p": "yuv440p",
    "yuvj411p": "yuv411p",
}
_SHORT_NAMES = {"rgb48": "rgb48le", "rgba64": "rgba64le", "p010": "p010le", "p016": "p016le", "gray8": "gray"}


def pixel_format(name: str) -> PixelFormat:
    """The format called `name` (FFmpeg's name; `yuvj…` names give the plain layout, their range is full).

    Raises FormatError for names that no frame job takes.
    """
    plain = _FULL_RANGE_ALIASES.get(name, _SHORT_NAMES.get(name, name))
    found = PIXEL_FORMATS.get(plain) or PIXEL_FORMATS.get(plain + "le")
    if found is None:
        raise FormatError(f"pixel format {name} is not supported")
    return found


@dataclass(frozen=True, kw_only=True)
class ColorSpec:
    """What the code values mean. The defaults say "unspecified"; `resolve_color` decides them, once."""

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
    """`color` with every unspecified field decided, by the rules that players use.

    YUV: BT.709 if width ≥ 1280 or height > 576, else BT.601, the 625-line flavour if the height is 576 or 288
    or the rate 25 or 50, else the 525-line one; a PQ or HLG transfer means BT.2020. A tagged
    BT.709 matrix, or anything tagged BT.2020, decides the other gaps before the size does. Range limited,
    unless the pixel format is RGB or a `yuvj…` one (`full_range_name`). Chroma location of 4:2:0: left, but
    centre for MPEG-1 and JPEG; co-sited left otherwise. A tag that is present is never changed.
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

    @property
    def plane_shapes(self) -> tuple[tuple[int, ...], ...]:
        return self.pixel_format.plane_shapes(self.width, self.height)

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.pixel_format.name}"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When a frame is shown: integers in units of `time_base` seconds, straight from the source.

    `duration` is 0 where the container does not say.
    """

    pts: int
    duration: int
    time_base: Fraction

    @property
    def seconds(self) -> float:
        return float(self.pts * self.time_base)
