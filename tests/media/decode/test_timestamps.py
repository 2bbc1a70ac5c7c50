from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paragon_stream.media.decode.timestamps import MOST_STRAYS, TimestampRepair, with_strays

MS = Fraction(1, 1000)


def place(
    stamps: list[int | None], rate: Fraction | int | None = 25, base: Fraction = MS, **options
) -> list[int]:
    repair = TimestampRepair(base, None if rate is None else Fraction(rate), **options)
    return [repair(pts).pts for pts in stamps]


@settings(deadline=None)
@given(st.sets(st.integers(-(2**40), 2**40), min_size=1, max_size=60))
def test_rising_stamps_are_never_touched(stamps: set[int]) -> None:
    repair = TimestampRepair(MS, Fraction(25))
    assert [repair(pts).pts for pts in sorted(stamps)] == sorted(stamps)
    assert repair.warnings == ()


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-5000, 100000), min_size=1, max_size=80))
def test_whatever_comes_in_the_result_rises(stamps: list[int | None]) -> None:
    placed = place(stamps)
    assert all(later > earlier for earlier, later in pairwise(placed))


def test_vfr_gaps_late_and_negative_starts_are_kept() -> None:
    assert place([10_000, 10_001, 10_500, 99_000]) == [10_000, 10_001, 10_500, 99_000]
    assert place([-80, -40, 0]) == [-80, -40, 0]


def test_missing_stamps_run_at_the_nominal_rate_without_accumulating() -> None:
    rate = Fraction(24000, 1001)  # 41.708… ms: rounding each step would drift by 0.29 ms a frame
    placed = place([None] * 1001, rate)
    assert placed == [round(n * 1000 / rate) for n in range(1001)]
    assert placed[-1] == 41_708


def test_missing_stamps_go_on_from_the_last_known_one() -> None:
    assert place([1000, None, None, 1200, None]) == [1000, 1040, 1080, 1200, 1240]


def test_missing_first_stamp_is_the_start_of_the_stream() -> None:
    assert place([None, None], start=500) == [500, 540]
    assert place([None, 7]) == [0, 7]


def test_a_good_stamp_that_collides_with_interpolated_ones_keeps_the_order() -> None:
    assert place([0, None, None, 60, 120]) == [0, 40, 80, 81, 120]


def test_disorder_is_nudged_and_time_catches_up() -> None:
    repair = TimestampRepair(MS, Fraction(25))
    assert [repair(pts).pts for pts in (0, 120, 40, 80, 160, 160, 200)] == [0, 120, 121, 122, 160, 161, 200]
    assert repair.disordered == 3
    (said,) = repair.warnings
    assert "3 frames" in said and "one tick" in said


def test_a_jump_back_moves_everything_after_it() -> None:
    repair = TimestampRepair(MS, Fraction(25))
    placed = [repair(pts).pts for pts in (60_000, 60_040, 0, 40, 80)]
    assert placed == [60_000, 60_040, 60_080, 60_120, 60_160]
    assert (repair.discontinuities, repair.disordered) == (1, 0)
    assert "once" in repair.warnings[0]


def test_exactly_one_second_back_is_still_disorder() -> None:
    assert place([1000, 0, 1001]) == [1000, 1001, 1002]
    assert place([1001, 0, 40]) == [1001, 1041, 1081]


def test_no_rate_at_all_means_25() -> None:
    assert place([None, None, None], rate=None) == [0, 40, 80]


def test_coarse_time_bases_still_rise() -> None:
    assert place([None, None, None, None], rate=60, base=Fraction(1, 25)) == [0, 1, 2, 3]


def test_durations_pass_unless_made_up() -> None:
    repair = TimestampRepair(MS, Fraction(25))
    assert [repair(pts, duration).duration for pts, duration in ((0, 40), (40, 7), (50, 0), (60, -3))] == [
        40,
        7,
        0,
        0,
    ]
    assert TimestampRepair(MS, Fraction(25), trust_durations=False)(0, 1).duration == 0


def test_one_warning_for_each_kind() -> None:
    repair = TimestampRepair(MS, Fraction(25))
    for pts in (None, 5000, 5000, 0):
        repair(pts)
    assert len(repair.warnings) == 3
    assert repair.warnings[0].startswith("1 frame had no timestamp")


@dataclass(frozen=True)
class Frame:
    pts: int | None
    dts: int | None = None


def straying(stamps: list[int | None]) -> list[bool]:
    found = list(with_strays((Frame(stamp) for stamp in stamps), MS))
    assert [frame.pts for frame, _ in found] == stamps
    return [strays for _, strays in found]


@pytest.mark.parametrize("wrong", [36_000_000, -36_000_000, 1500, -2000])
@pytest.mark.parametrize("count", [1, MOST_STRAYS])
def test_stamps_far_from_those_around_them_stray(wrong: int, count: int) -> None:
    steady = [40 * n for n in range(50)]
    damaged = [time + wrong * (20 <= n < 20 + count) for n, time in enumerate(steady)]
    assert straying(damaged) == [20 <= n < 20 + count for n in range(50)]


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-20000, 50000), min_size=1, max_size=60))
def test_gaps_jumps_and_disorder_do_not_stray(steps: list[int | None]) -> None:
    """No frame is lost, whatever comes. A gap, and a jump back of joined recordings, are no strays."""
    straying(steps)
    before, rest = [40 * n for n in range(20)], [40 * n for n in range(MOST_STRAYS + 1)]
    for begin in (40_000, -40_000, 900):
        assert not any(straying([*before, *(begin + time for time in rest)]))
    assert not any(straying([20_000 * n for n in range(30)]))
    assert not any(straying([*before, 10**9]))
