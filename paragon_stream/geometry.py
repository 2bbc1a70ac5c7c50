"""The size of the result and the part of it that the picture fills: the options `--to` and `--fit`.

Sizes that a user gives are display sizes: square pixels, upright. A `Placement` is the result in samples: for
each axis, which samples of the source become which samples of the target.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import ceil

from paragon_stream.errors import FormatError, UsageError
from paragon_stream.frame import ColorSpec, FrameFormat, PixelFormat


class Fit(StrEnum):
    """The fit of a picture into a box of another aspect ratio."""

    INSIDE = "inside"
    """The largest size that fits into the box; one side may be shorter than the box."""
    CROP = "crop"
    """Fill the box and crop two sides of the picture."""
    PAD = "pad"
    """The largest size that fits, centred in the box, with black bars."""
    STRETCH = "stretch"
    """Fill the box and change the aspect ratio."""


@dataclass(frozen=True, kw_only=True)
class TargetSize:
    """A requested size: a factor for both sides, or a box (width, height) of square pixels."""

    text: str
    factor: Fraction | None = None
    box: tuple[int, int] = (0, 0)
    turns: bool = False
    """The box is upright for upright pictures: 1080p is 1080×1920 for upright video."""

    def box_for(self, shown: tuple[Fraction, Fraction] | tuple[int, int]) -> tuple[int, int]:
        """The box for a picture that is shown with these sides (width, height)."""
        return self.box[::-1] if self.turns and shown[0] < shown[1] else self.box


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: `length` samples of the source from `begin` on become `size` samples of the target from
    `offset` on.

    In luma samples. `begin` and `length` may be fractions; the target has `total` samples.
    """

    begin: Fraction
    length: Fraction
    offset: int
    size: int
    total: int

    @property
    def factor(self) -> Fraction:
        return self.size / self.length

    @property
    def bars(self) -> tuple[int, int]:
        """Target samples before and after the picture."""
        return self.offset, self.total - self.offset - self.size


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The mapping from samples of the source to samples of the target, and the target's sample aspect
    ratio."""

    rows: Axis
    columns: Axis
    sample_aspect_ratio: Fraction

    def target(
        self, source: FrameFormat, *, pixel_format: PixelFormat | None = None, color: ColorSpec | None = None
    ) -> FrameFormat:
        """The format of the result. Pixel format and colour are the source's unless given."""
        return FrameFormat(
            width=self.columns.total,
            height=self.rows.total,
            pixel_format=pixel_format or source.pixel_format,
            color=color or source.color,
            sample_aspect_ratio=self.sample_aspect_ratio,
        )

    @property
    def factor(self) -> Fraction:
        """The factor of enlargement, the larger one of both axes."""
        return max(self.rows.factor, self.columns.factor)


def enlarged(source: FrameFormat, scale: int) -> Placement:
    """The whole source, enlarged by `scale`."""
    return Placement(
        rows=_times(source.height, scale),
        columns=_times(source.width, scale),
        sample_aspect_ratio=source.sample_aspect_ratio,
    )


def parse_size(text: str | float | None) -> TargetSize | None:
    """A size from "1080p", "1920x1080" or a factor such as "1.5"; None for None. Raises UsageError.

    "Np" is a 16:9 box with N lines.
    """
    if text is None:
        return None
    words = str(text).strip().lower()
    if lines := re.fullmatch(r"(\d{2,5})p", words):
        height = int(lines[1])
        return TargetSize(text=words, box=(_to_grain(Fraction(height * 16, 9), 2), height), turns=True)
    if sides := re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", words):
        if not all(int(side) for side in sides.groups()):
            raise UsageError(f"the size {text} is empty")
        return TargetSize(text=words, box=(int(sides[1]), int(sides[2])))
    try:
        factor = Fraction(words.removesuffix("x"))
    except (ValueError, ZeroDivisionError):
        raise UsageError(
            f"{text!r} is not a size: give lines (1080p), a size (1920x1080) or a factor (1.5)"
        ) from None
    if not 1 < factor <= 64:
        hint = f"; {text} lines are {text}p" if factor.is_integer() and factor >= 240 else ""
        raise UsageError(f"a factor of {text} is out of range: more than 1, up to 64{hint}")
    return TargetSize(text=words, factor=factor)


def parse_fit(text: str | None, size: TargetSize | None) -> Fit:
    """The fit of that name. Raises UsageError for an unknown name, and for a size without a box."""
    if text is None:
        return Fit.INSIDE
    try:
        fit = Fit(text)
    except ValueError:
        raise UsageError(f"unknown fit {text!r}: choose one of {', '.join(Fit)}") from None
    if size is None or size.factor is not None:
        raise UsageError(f"fit {fit} needs a size to fit into, such as 1080p or 1920x1080")
    return fit


def place(
    source: FrameFormat, wanted: TargetSize, fit: Fit = Fit.INSIDE, *, grain: int = 1, sideways: bool = False
) -> Placement:
    """The placement that gives the picture of `source` the size `wanted`.

    A factor keeps the sample aspect ratio. A box makes samples square and keeps the display aspect ratio. For
    a source that is shown `sideways` (rotated by 90° or 270°), the box is the size as displayed. Sides that
    follow from the aspect ratio are rounded to multiples of `grain`; video encoders need even ones.

    Raises FormatError if that does not enlarge the picture.
    """
    aspect = source.sample_aspect_ratio
    if wanted.factor is not None:
        height, width = (_to_grain(side * wanted.factor, grain) for side in (source.height, source.width))
        _check_larger(source, (width, height), (Fraction(source.width), Fraction(source.height)), wanted)
        rows, columns = _whole(source.height, height), _whole(source.width, width)
        return Placement(rows=rows, columns=columns, sample_aspect_ratio=aspect)
    shown = _shown(source, Fraction(1))
    box = wanted.box_for(shown)
    if sideways and not wanted.turns:
        box = box[1], box[0]
    placement = fill(source, box, fit, grain=grain)
    columns, rows = placement.columns, placement.rows
    seen = shown[0] * columns.length / source.width, shown[1] * rows.length / source.height
    _check_larger(source, (columns.size, rows.size), seen, wanted)
    return placement


def fill(
    source: FrameFormat,
    box: tuple[int, int],
    fit: Fit,
    *,
    aspect: Fraction = Fraction(1),
    grain: int = 1,
) -> Placement:
    """The placement of the picture of `source` in `box` (columns, rows), whose samples have the aspect ratio
    `aspect`.

    The display aspect ratio is kept; the picture may shrink. `grain` is that of `place`.
    """
    shown = _shown(source, aspect)
    factors = Fraction(box[0]) / shown[0], Fraction(box[1]) / shown[1]
    inner, window = box, (Fraction(source.width), Fraction(source.height))
    if fit in (Fit.INSIDE, Fit.PAD):
        factor = min(factors)
        inner = _to_grain(shown[0] * factor, grain), _to_grain(shown[1] * factor, grain)
        if fit is Fit.PAD:
            inner = min(inner[0], box[0]), min(inner[1], box[1])
    elif fit is Fit.CROP:
        factor = max(factors)
        window = window[0] * factors[0] / factor, window[1] * factors[1] / factor
    axes = [
        Axis(
            begin=(side - length) / 2,
            length=length,
            offset=(whole - size) // 2 // grain * grain if fit is Fit.PAD else 0,
            size=size,
            total=whole if fit is Fit.PAD else size,
        )
        for side, length, size, whole in zip((source.width, source.height), window, inner, box, strict=True)
    ]
    return Placement(columns=axes[0], rows=axes[1], sample_aspect_ratio=aspect)


def _shown(source: FrameFormat, aspect: Fraction) -> tuple[Fraction, Fraction]:
    """(width, height) in samples of the aspect ratio `aspect`. One side is stretched and none shrunk, so that
    no line of the picture is lost."""
    relative = source.sample_aspect_ratio / aspect
    return max(Fraction(1), relative) * source.width, max(Fraction(1), 1 / relative) * source.height


def _check_larger(
    source: FrameFormat, size: tuple[int, int], shown: tuple[Fraction, Fraction], wanted: TargetSize
) -> None:
    """Raise FormatError if `size` is no larger than the source's `shown` square pixels."""
    if size[0] > shown[0] or size[1] > shown[1]:
        return
    seen = f"{round(shown[0])}x{round(shown[1])}"
    stored = f"{source.width}x{source.height}"
    what = stored if seen == stored else f"{stored}, shown as {seen},"
    raise FormatError(f"the picture is {what} already: {wanted.text} would not enlarge it")


def _times(size: int, scale: int) -> Axis:
    return _whole(size, size * scale)


def _whole(size: int, target: int) -> Axis:
    return Axis(begin=Fraction(0), length=Fraction(size), offset=0, size=target, total=target)


def _to_grain(size: Fraction, grain: int) -> int:
    """The nearest multiple of `grain`, at least one."""
    return max(1, ceil(size / grain - Fraction(1, 2))) * grain
