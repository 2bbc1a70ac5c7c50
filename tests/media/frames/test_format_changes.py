"""The changes of a stream's format that are followed, with numbers instead of frames."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from paragon_stream.frame import FrameFormat, Timing, pixel_format
from paragon_stream.media.frames.format_changes import MAX_FORMATS, SETTLED, FormatChanges


def size(width: int) -> FrameFormat:
    return FrameFormat(width=width, height=16, pixel_format=pixel_format("gray"))


def changes(widths: Iterable[int], *, follow: bool = True, settled: int = SETTLED) -> FormatChanges[int]:
    frames = (
        (index, Timing(pts=index, duration=1, time_base=Fraction(1, 10)), size(width))
        for index, width in enumerate(widths)
    )
    return FormatChanges(size(1), frames, follow=follow, settled=settled)


def dealt(stream: FormatChanges[int]) -> list[tuple[int, list[int]]]:
    """(width handed out, numbers of the frames) of every stretch."""
    found = []
    while True:
        numbers = []
        while (arrival := stream.take()) is not None:
            numbers.append(arrival.item)
        found.append((stream.format.width, numbers))
        assert stream.ended == (stream.next_format() is None)
        if stream.ended:
            return found


def test_a_stream_that_does_not_change() -> None:
    stream = changes([1] * 5)
    assert dealt(stream) == [(1, [0, 1, 2, 3, 4])]
    assert stream.warnings == [] and [each.frames for each in stream.formats] == [5]
    assert dealt(changes([])) == [(1, [])]


def test_changes_that_last_are_followed_there_and_back() -> None:
    stream = changes([1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2])
    assert dealt(stream) == [(1, [0, 1]), (2, [2, 3, 4]), (1, [5, 6, 7]), (2, [8, 9, 10])]
    assert [(each.frames, each.stretches, each.converted) for each in stream.formats] == [
        (5, 2, 0),
        (6, 2, 0),
    ]
    (said,) = stream.warnings
    assert said == (
        "the picture changes from 1x16 gray to 2x16 gray, from 0.06:1 to 0.12:1 at 0.20 s and 1 time later: "
        "6 frames fitted into the size of the beginning"
    )


def test_stray_frames_are_converted() -> None:
    stream = changes([1, 1, 2, 1, 3, 2, 1, 2, 2, 2, 2])
    assert dealt(stream) == [(1, [0, 1, 2, 3, 4, 5, 6]), (2, [7, 8, 9, 10])]
    formats = {each.format.width: each for each in stream.formats}
    assert (formats[2].frames, formats[2].converted) == (6, 2)
    assert (formats[3].frames, formats[3].converted) == (1, 1)
    assert "4 frames fitted into the size of the beginning, 2 frames converted" in stream.warnings[0]
    assert dealt(changes([1, 1, 1, 2, 2])) == [(1, [0, 1, 2, 3, 4])]  # the end settles nothing


def test_a_stray_frame_within_a_followed_stretch() -> None:
    assert dealt(changes([1, 2, 2, 2, 3, 2, 2])) == [(1, [0]), (2, [1, 2, 3]), (1, [4]), (2, [5, 6])]


def test_no_more_formats_than_the_limit() -> None:
    widths = [width for width in range(1, 12) for _ in range(SETTLED)]
    stream = changes([*widths, *[2] * SETTLED])
    stretches = dealt(stream)
    assert [width for width, _ in stretches] == [*range(1, MAX_FORMATS + 1), 1, 2]
    assert sum(len(numbers) for _, numbers in stretches) == len(widths) + SETTLED
    assert len(stream.warnings) == 7 and "4 more formats: 12 frames" in stream.warnings[-1]
    assert stream.warnings[3].endswith(
        "3 frames converted to the first frame's format (4 formats are followed)"
    )


def test_a_reader_of_one_format() -> None:
    stream = changes([1, 2, 2, 2, 2, 1], follow=False)
    assert dealt(stream) == [(1, [0, 1, 2, 3, 4, 5])]
    assert "4 frames converted to the first frame's format" in stream.warnings[0]


def test_images_settle_at_once() -> None:
    assert dealt(changes([1, 2, 1], settled=1)) == [(1, [0]), (2, [1]), (1, [2])]


def test_a_format_that_is_refused() -> None:
    stream = changes([1, *[2] * 5, 1, *[2] * 5])
    while stream.take() is not None:
        pass
    assert stream.next_format() == size(2)
    assert stream.refuse("too odd") == size(1)
    assert dealt(stream) == [(1, list(range(1, 12)))]
    assert stream.warnings[0].endswith("10 frames converted to the first frame's format (too odd)")
