"""The sizes and placements of `--to` and `--fit`."""

from __future__ import annotations

from fractions import Fraction

import pytest

from paragon_stream.errors import FormatError, UsageError
from paragon_stream.frame import PIXEL_FORMATS, FrameFormat
from paragon_stream.geometry import Placement, enlarged, parse_fit, parse_size, place


def source(width: int, height: int, aspect: Fraction = Fraction(1)) -> FrameFormat:
    return FrameFormat(
        width=width, height=height, pixel_format=PIXEL_FORMATS["yuv420p"], sample_aspect_ratio=aspect
    )


def placed(format: FrameFormat, to: str, fit: str | None = None, *, sideways: bool = False) -> Placement:
    size = parse_size(to)
    assert size is not None
    return place(format, size, parse_fit(fit, size), grain=2, sideways=sideways)


def size_of(placement: Placement) -> tuple[int, int]:
    return placement.columns.total, placement.rows.total


@pytest.mark.parametrize(
    ("width", "height", "to", "result"),
    [
        (1280, 720, "1080p", (1920, 1080)),
        (1280, 720, "1440p", (2560, 1440)),
        (1280, 720, "2160p", (3840, 2160)),
        (960, 540, "720P", (1280, 720)),
        (1280, 536, "1080p", (1920, 804)),  # cinema: as wide as the box
        (960, 720, "1080p", (1440, 1080)),  # 4:3: as high
        (720, 1280, "1080p", (1080, 1920)),  # upright: so is the box
        (500, 500, "1080p", (1080, 1080)),
        (854, 480, "1080p", (1920, 1080)),  # 16:9 but for the rounding of its own width
        (427, 239, "1.5", (640, 358)),
        (64, 36, "4/3", (86, 48)),
        (64, 36, "2x", (128, 72)),
        (640, 480, "1280x1280", (1280, 960)),
    ],
)
def test_inside(width: int, height: int, to: str, result: tuple[int, int]) -> None:
    placement = placed(source(width, height), to)
    assert size_of(placement) == result
    assert (placement.rows.begin, placement.rows.length) == (0, height)
    assert (placement.columns.begin, placement.columns.length) == (0, width)


def test_boxes_make_square_pixels_and_factors_leave_them() -> None:
    pal = source(720, 576, Fraction(64, 45))
    assert size_of(placed(pal, "1080p")) == (1920, 1080)
    assert placed(pal, "1080p").sample_aspect_ratio == 1
    assert placed(pal, "1080p").factor == Fraction(1920, 720)
    assert size_of(placed(pal, "1.5")) == (1080, 864)
    assert placed(pal, "1.5").sample_aspect_ratio == Fraction(64, 45)
    narrow = source(720, 576, Fraction(1, 2))
    assert size_of(placed(narrow, "1440x2304")) == (1440, 2304)


def test_a_turned_video_is_seen_upright() -> None:
    """Stored 1280x720, shown 720x1280."""
    stored = source(1280, 720)
    assert size_of(placed(stored, "1080p", sideways=True)) == (1920, 1080)
    assert size_of(placed(stored, "1080x1920", sideways=True)) == (1920, 1080)
    assert size_of(placed(stored, "1440x1920", "pad")) == (1440, 1920)


def test_crop_fills_the_box_and_cuts_alike_on_both_sides() -> None:
    placement = placed(source(640, 480), "1280x720", "crop")
    assert size_of(placement) == (1280, 720)
    assert (placement.rows.begin, placement.rows.length) == (60, 360)
    assert (placement.columns.begin, placement.columns.length) == (0, 640)


def test_pad_puts_the_picture_in_the_middle() -> None:
    placement = placed(source(640, 480), "1280x720", "pad")
    assert size_of(placement) == (1280, 720)
    assert (placement.columns.offset, placement.columns.size) == (160, 960)
    assert placement.columns.bars == (160, 160) and placement.rows.bars == (0, 0)


def test_stretch_fills_the_box() -> None:
    placement = placed(source(640, 480), "1280x720", "stretch")
    assert (size_of(placement), placement.rows.factor, placement.columns.factor) == (
        (1280, 720),
        Fraction(3, 2),
        2,
    )


@pytest.mark.parametrize(
    ("width", "height", "aspect", "to", "fit"),
    [
        (1920, 1080, 1, "1080p", None),
        (3840, 2160, 1, "1080p", None),
        (1920, 800, 1, "1080p", None),
        (1080, 1920, 1, "1080p", None),
        (1440, 1080, Fraction(4, 3), "1080p", None),
        (1920, 1080, 1, "1280x1080", "crop"),
        (1920, 1080, 1, "1280x720", "pad"),
        (1920, 1080, 1, "1920x1000", "stretch"),
        (2, 2, 1, "1.1", None),
    ],
)
def test_what_is_large_enough_is_refused(
    width: int, height: int, aspect: Fraction, to: str, fit: str | None
) -> None:
    with pytest.raises(FormatError, match=r"already: .* would not enlarge it"):
        placed(source(width, height, Fraction(aspect)), to, fit)


def test_the_refusal_says_what_is_seen() -> None:
    with pytest.raises(FormatError, match="the picture is 1440x1080, shown as 1920x1080, already: 1080p"):
        placed(source(1440, 1080, Fraction(4, 3)), "1080p")


@pytest.mark.parametrize("text", ["huge", "1080i", "0x100", "1", "0.5", "-2", "1e9", "x", "", "1/0", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


def test_what_is_no_fit() -> None:
    with pytest.raises(UsageError, match="unknown fit 'outside': choose one of inside, crop, pad, stretch"):
        parse_fit("outside", parse_size("1080p"))
    for size in (None, parse_size("1.5")):
        with pytest.raises(UsageError, match="needs a size"):
            parse_fit("crop", size)


def test_numbers_are_sizes_too() -> None:
    size = parse_size(1.5)
    assert size is not None and size.factor == Fraction(3, 2)
    assert parse_size(None) is None


def test_a_whole_factor_is_the_source_enlarged() -> None:
    assert placed(source(65, 37), "2") == enlarged(source(65, 37), 2)
