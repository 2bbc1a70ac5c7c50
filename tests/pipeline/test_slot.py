"""The pool of slots: who is out, who is home, and what closing means."""

from __future__ import annotations

import threading
from fractions import Fraction

import pytest

from paragon_stream.frame import Timing
from paragon_stream.pipeline.slot import DONE, Done, Slot, SlotPool

pytestmark = pytest.mark.timeout(60)


def slots(count: int) -> list[Slot[bytearray]]:
    return [Slot(inputs=(bytearray(4),), outputs=(bytearray(16),)) for _ in range(count)]


def test_acquire_and_release_keep_count() -> None:
    pool = SlotPool(slots(2))
    first, second = pool.acquire(), pool.acquire()
    assert first is not None
    assert second is not None
    assert first is not second
    assert pool.home == 0
    pool.release(second)
    assert pool.home == 1
    assert pool.acquire() is second
    assert pool.acquire_seconds == 0


def test_acquire_waits_until_a_slot_is_home() -> None:
    pool = SlotPool(slots(1))
    slot = pool.acquire()
    assert slot is not None
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(pool.acquire()), daemon=True)
    thread.start()
    while not pool._changed._waiters:  # type: ignore[attr-defined]
        thread.join(0.001)
    assert got == []
    pool.release(slot)
    thread.join(30)
    assert got == [slot]
    assert pool.acquire_seconds > 0


def test_close_wakes_waiters_and_still_takes_slots_home() -> None:
    pool = SlotPool(slots(1))
    slot = pool.acquire()
    assert slot is not None
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(pool.acquire()), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    pool.close()
    for thread in threads:
        thread.join(30)
    assert got == [None] * 3
    pool.release(slot)
    assert pool.home == 1
    assert pool.acquire() is None


def test_release_forgets_the_frame() -> None:
    pool = SlotPool(slots(1))
    slot = pool.acquire()
    assert slot is not None
    slot.timing = Timing(pts=7, duration=1, time_base=Fraction(1, 25))
    slot.strength = 0.5
    slot.completion = Done()
    pool.release(slot)
    assert (slot.timing, slot.strength, slot.completion) == (None, 0.0, DONE)


def test_a_slot_comes_home_once_and_only_to_its_own_pool() -> None:
    pool, (stranger,) = SlotPool(slots(1)), slots(1)
    slot = pool.acquire()
    assert slot is not None
    with pytest.raises(ValueError, match="not acquired"):
        pool.release(stranger)
    pool.release(slot)
    with pytest.raises(ValueError, match="not acquired"):
        pool.release(slot)


def test_a_pool_needs_distinct_slots() -> None:
    (slot,) = slots(1)
    with pytest.raises(ValueError, match="twice"):
        SlotPool([slot, slot])
    with pytest.raises(ValueError, match="at least one"):
        SlotPool[bytearray]([])
