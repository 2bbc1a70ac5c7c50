"""One timeline over interruptions and jumps, and the pace of what comes early."""

from __future__ import annotations

import sys
import threading
from collections import deque
from fractions import Fraction

import pytest

from paragon_stream.frame import Timing
from paragon_stream.media.live.clock import JUMP_SECONDS, LiveClock, Pacer
from paragon_stream.media.live.feed import LiveFeed
from paragon_stream.pipeline.latency import LatencyMeter


def test_a_sources_own_stamps_stay() -> None:
    clock = LiveClock()
    stamps = [Fraction(n, 30) + 100 for n in range(10)]
    assert [clock.place(stamp, 5 + n / 29) for n, stamp in enumerate(stamps)] == stamps
    assert clock.shift == 0


def test_frames_without_a_stamp_are_placed_by_their_arrival() -> None:
    clock = LiveClock()
    assert [clock.place(None, wall) for wall in (7.0, 7.5, 7.75)] == [0, Fraction(1, 2), Fraction(3, 4)]


def test_after_an_interruption_the_picture_goes_on_where_it_would_be() -> None:
    clock = LiveClock()
    clock.place(Fraction(10), 50.0)
    clock.interrupted()
    assert clock.place(Fraction(3), 54.0) == 14
    assert clock.shift == 11  # which moves the sound as well
    assert clock.place(Fraction(4), 55.0) == 15


@pytest.mark.parametrize("slowness", [24, 100])
def test_a_source_far_below_its_speed_has_no_jumps(slowness: int) -> None:
    """A script that takes a second, or four, for each picture of 24 a second."""
    clock = LiveClock()
    stamps = [Fraction(n, 24) for n in range(60)]
    assert [clock.place(stamp, slowness * float(stamp)) for stamp in stamps] == stamps
    assert clock.shift == 0


@pytest.mark.parametrize("interrupted", [True, False])
def test_held_pictures_do_not_shorten_a_pause(interrupted: bool) -> None:
    """FFmpeg keeps the last two pictures before a pause of 10 s until it ends, or until a timeout."""
    clock = LiveClock()
    for n in range(50):
        clock.place(Fraction(n, 25), n / 25)
    clock.place(Fraction(50, 25), 12.0)
    clock.place(Fraction(51, 25), 12.0)
    if interrupted:
        clock.interrupted()
    placed = [clock.place(Fraction(n, 25), 12 + n / 25) for n in range(5)]
    assert placed[4] == pytest.approx(12 + 4 / 25)


def test_a_source_that_has_become_slower_is_late_for_a_second_only() -> None:
    clock = LiveClock()
    for n in range(100):
        clock.place(Fraction(n, 25), n / 25 + (5 if n > 20 else 0))
    clock.interrupted()
    assert clock.place(Fraction(0), 9.0) == 4


@pytest.mark.parametrize("jump", [-3600, -JUMP_SECONDS - 1, JUMP_SECONDS + 1, 95443])
def test_a_jump_of_the_sources_clock_is_taken_out(jump: int) -> None:
    clock = LiveClock()
    clock.place(Fraction(100), 0.0)
    assert clock.place(Fraction(101) + jump, 1.0) == 101
    assert clock.place(Fraction(102) + jump, 2.0) == 102


def test_times_rise_whatever_the_stamps_do() -> None:
    clock = LiveClock()
    placed = [clock.place(Fraction(stamp), 0.1 * n) for n, stamp in enumerate((5, 5, 4, 6))]
    assert placed == sorted(set(placed))
    assert placed[-1] == 6


@pytest.mark.parametrize("jump", [-15, -5, -1])
def test_a_clock_that_is_set_back_a_little(jump: int) -> None:
    """The picture continues after three frames, and does not stand still until the clock has caught up."""
    clock = LiveClock()
    placed = [clock.place(Fraction(n, 25) + (jump if n > 9 else 0), n / 25) for n in range(20)]
    assert placed == sorted(set(placed))
    assert [round(float(time), 3) for time in placed[12:]] == [n / 25 for n in range(12, 20)]
    assert clock.shift == -jump


def test_sound_before_the_first_picture_of_a_new_clock() -> None:
    clock = LiveClock()
    clock.place(Fraction(100), 0.0)
    assert clock.is_known(Fraction(101), 0.5) and clock.is_known(Fraction(99), 0.5)
    assert not clock.is_known(Fraction(3600), 0.5)
    clock.place(Fraction(3600), 1.0)
    assert clock.is_known(Fraction(3601), 1.5)
    clock.interrupted()
    assert not clock.is_known(Fraction(3601), 2.0)


def test_paced_frames_wait_for_their_time_and_late_ones_do_not() -> None:
    pacer = Pacer()
    assert pacer.wait(Fraction(10), 100.0) == 0
    assert pacer.wait(Fraction(11), 100.25) == 0.75
    assert pacer.wait(Fraction(12), 102.25) == 0  # a bit late: the pace stays
    assert pacer.wait(Fraction(13), 102.25) == 0.75
    assert pacer.wait(Fraction(14), 110.0) == 0  # far too late: the pace begins anew
    assert pacer.wait(Fraction(15), 110.5) == 0.5


def test_latencies() -> None:
    meter = LatencyMeter()
    assert meter.quantile(0.5) == 0
    for milliseconds in range(1, 101):
        meter.add(milliseconds / 1000 - 0.0005)
    assert meter.quantile(0.5) == pytest.approx(0.050)
    assert meter.quantile(0.95) == pytest.approx(0.095)
    assert meter.maximum == pytest.approx(0.0995)
    meter.add(1000)
    assert meter.quantile(1) == 20
    assert (meter.maximum, meter.count) == (1000, 101)


def test_arrivals_are_read_while_frames_come() -> None:
    """The feed's thread appends while the session asks when a frame came."""
    feed = object.__new__(LiveFeed)
    feed._arrivals = deque(((Fraction(n), float(n)) for n in range(500)), maxlen=500)
    stop = threading.Event()

    def append() -> None:
        number = 500
        while not stop.is_set():
            feed._arrivals.append((Fraction(number), float(number)))
            number += 1

    thread = threading.Thread(target=append)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(300):
            assert feed.arrival(Timing(pts=0, time_base=Fraction(1), duration=1)) >= 0
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
