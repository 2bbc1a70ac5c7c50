"""The pixel formats: their components and memory layout. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from itertools import product

from paragon_stream.errors import FormatError, UsageError


class Family(StrEnum):
    YUV = "yuv"
    RGB = "rgb"
    GRAY = "gray"


class Layout(Enum):
    """The layout of components in memory."""

    PLANAR = "planar"
    """One H×W array per component."""
    SEMIPLANAR = "semiplanar"
    """Luma H×W, then interleaved chroma h×w×2 (NV12, P010)."""
    PACKED = "packed"
    """One H×W×C array (rgb24, rgba64 …)."""


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """A pixel format: its components, their depth and subsampling, and the arrays that hold them.

    `name` is FFmpeg's. `subsampling` is log2 of the chroma decimation, (horizontal, vertical).
    `order` gives the canonical component for each stored one: 0, 1, 2 = Y, U, V or R, G, B; 3 = alpha; -1 =
    padding; 4 and more: see `framejob.temporal`. `shift` is the number of unused bits below the value in its
    word (P010: 6). Samples are uint8 up to 8 bits and native-endian uint16 above.
    """

    name: str
    family: Family
    depth: int
    subsampling: tuple[int, int] = (0, 0)
    layout: Layout = Layout.PLANAR
    order: tuple[int, ...] = (0, 1, 2)
    shift: int = 0
    floating: bool = False
    """Code values as float32, neither rounded nor clipped: the format of tiles that are resampled
    afterwards."""

    @property
    def bytes_per_sample(self) -> int:
        return 4 if self.floating else 1 if self.depth <= 8 else 2

    @property
    def sample_type(self) -> str:
        """The numpy type of a stored sample."""
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
        return tuple((ch, cw) if component % 4 in chroma else (height, width) for component in self.order)


_LETTERS = {"r": 0, "g": 1, "b": 2, "y": 0, "u": 1, "v": 2, "a": 3, "0": -1}
"""The components in the names of packed formats."""


_SUBSAMPLINGS = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "411": (2, 0), "440": (0, 1), "410": (2, 2)}
_DEEP = {"420": (9, 10, 12, 14, 16), "422": (9, 10, 12, 14, 16), "444": (9, 10, 12, 14, 16), "440": (10, 12)}
"""The depths of planar YUV above 8 bits that FFmpeg has."""


def _planar() -> Iterator[PixelFormat]:
    for sampling, subsampling in _SUBSAMPLINGS.items():
        for depth in (8, *_DEEP.get(sampling, ())):
            name = f"yuv{sampling}p{_suffix(depth)}"
            yield PixelFormat(name=name, family=Family.YUV, depth=depth, subsampling=subsampling)
    for sampling, depth in product(("420", "422", "444"), (8, 9, 10, 12, 16)):
        if (sampling, depth) != ("420", 12):  # FFmpeg has no yuva420p12
            yield PixelFormat(
                name=f"yuva{sampling}p{_suffix(depth)}",
                family=Family.YUV,
                depth=depth,
                subsampling=_SUBSAMPLINGS[sampling],
                order=(0, 1, 2, 3),
            )
    for depth in (8, 9, 10, 12, 14, 16):
        end = _suffix(depth)
        yield PixelFormat(name=f"gray{end}", family=Family.GRAY, depth=depth, order=(0,))
        yield PixelFormat(name=f"gbrp{end}", family=Family.RGB, depth=depth, order=(1, 2, 0))
        if depth != 9:
            yield PixelFormat(name=f"gbrap{end}", family=Family.RGB, depth=depth, order=(1, 2, 0, 3))


def _suffix(depth: int) -> str:
    """The end of a planar format's name."""
    return "" if depth == 8 else f"{depth}le"


def _packed() -> Iterator[PixelFormat]:
    for names, family, depth in (
        ("rgb24 bgr24 rgba bgra argb abgr rgb0 bgr0 0rgb 0bgr", Family.RGB, 8),
        ("rgb48le bgr48le rgba64le bgra64le", Family.RGB, 16),
        ("ya8", Family.GRAY, 8),
        ("ya16le", Family.GRAY, 16),
        ("vuya ayuv", Family.YUV, 8),
        ("ayuv64le", Family.YUV, 16),
    ):
        for name in names.split():
            order = tuple(_LETTERS[letter] for letter in re.sub(r"(24|48le|64le|8|16le)$", "", name))
            yield PixelFormat(name=name, family=family, depth=depth, layout=Layout.PACKED, order=order)


def _semiplanar() -> Iterator[PixelFormat]:
    for name, depth, shift, subsampling, order in (
        ("nv12", 8, 0, (1, 1), (0, 1, 2)),
        ("nv21", 8, 0, (1, 1), (0, 2, 1)),
        ("nv16", 8, 0, (1, 0), (0, 1, 2)),
        ("p010le", 10, 6, (1, 1), (0, 1, 2)),
        ("p012le", 12, 4, (1, 1), (0, 1, 2)),
        ("p016le", 16, 0, (1, 1), (0, 1, 2)),
        ("p210le", 10, 6, (1, 0), (0, 1, 2)),
        ("p216le", 16, 0, (1, 0), (0, 1, 2)),
    ):
        yield PixelFormat(
            name=name,
            family=Family.YUV,
            depth=depth,
            subsampling=subsampling,
            layout=Layout.SEMIPLANAR,
            order=order,
            shift=shift,
        )


PIXEL_FORMATS = {format.name: format for format in (*_planar(), *_packed(), *_semiplanar())}
"""The formats that frame jobs accept, by FFmpeg's name."""

_FULL_RANGE_ALIASES = {
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
    "yuvj444p": "yuv444p",
    "yuvj440p": "yuv440p",
    "yuvj411p": "yuv411p",
}
_SHORT_NAMES = {"rgb48": "rgb48le", "rgba64": "rgba64le", "p010": "p010le", "p016": "p016le", "gray8": "gray"}


def pixel_format(name: str) -> PixelFormat:
    """The format with FFmpeg's name `name`. A name `yuvj…` gives the format `yuv…`; its range is full.

    Raises FormatError for names that frame jobs do not accept.
    """
    plain = _FULL_RANGE_ALIASES.get(name, _SHORT_NAMES.get(name, name))
    found = PIXEL_FORMATS.get(plain) or PIXEL_FORMATS.get(plain + "le")
    if found is None:
        raise FormatError(f"pixel format {name} is not supported")
    return found


def requested_pixel_format(name: str | None) -> PixelFormat | None:
    """The format that a user requested, or None. Raises UsageError for an unknown name."""
    try:
        return None if name is None else pixel_format(name)
    except FormatError as error:
        raise UsageError(str(error)) from None


def planar_like(
    pixels: PixelFormat,
    *,
    alpha: bool | None = None,
    subsampling: tuple[int, int] | None = None,
    depth: int | None = None,
) -> PixelFormat | None:
    """The planar format like `pixels`: of the same family and, unless given, the same depth and subsampling.

    Gray with alpha is packed. None if there is no such format.
    """
    wanted = (
        pixels.family,
        depth or pixels.depth,
        pixels.subsampling if subsampling is None else subsampling,
        pixels.has_alpha if alpha is None else alpha,
    )
    for found in PIXEL_FORMATS.values():
        planar = found.layout is Layout.PLANAR or (found.family is Family.GRAY and found.has_alpha)
        if planar and (found.family, found.depth, found.subsampling, found.has_alpha) == wanted:
            return found
    return None


def without_alpha(pixels: PixelFormat) -> PixelFormat:
    """`pixels`, or the format of the same colours without alpha."""
    if not pixels.has_alpha:
        return pixels
    order = tuple(-1 if component == 3 else component for component in pixels.order)
    for found in PIXEL_FORMATS.values():  # prefer a format of the same memory layout
        same = (found.family, found.depth, found.layout) == (pixels.family, pixels.depth, pixels.layout)
        if same and pixels.layout is Layout.PACKED and found.order == order:
            return found
    plain = planar_like(pixels, alpha=False)
    if plain is None:
        raise FormatError(f"no format is {pixels.name} without alpha")
    return plain
