"""The half-closing queue: order, bounds, and both ways of ending, from both sides."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from paragon_stream.pipeline.channel import Channel

pytestmark = pytest.mark.timeout(60)


def in_thread[Result](work: Callable[[], Result]) -> Callable[[], Result]:
    """Start `work` in a thread; the returned function joins it and hands out its result."""
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()

    def join() -> Result:
        thread.join(30)
        assert not thread.is_alive(), "still blocked"
        return results[0]

    return join


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for another thread to get somewhere; the test's time-out bounds it."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.001)


def is_waiting(channel: Channel[int]) -> bool:
    return bool(channel._changed._waiters)  # type: ignore[attr-defined]


def test_items_come_out_in_order_across_threads() -> None:
    channel = Channel[int](3)
    join = in_thread(lambda: [channel.put(n) for n in range(1000)] + [channel.close()])
    received = []
    while (item := channel.get()) is not None:
        received.append(item)
    assert received == list(range(1000))
    assert join()[:1000] == [True] * 1000


def test_never_holds_more_than_its_capacity() -> None:
    channel = Channel[int](2)
    join = in_thread(lambda: [channel.put(n) for n in range(3)])
    wait_until(lambda: is_waiting(channel))
    assert len(channel) == 2
    assert channel.get() == 0
    assert join() == [True] * 3
    assert len(channel) == 2
    assert channel.put_seconds > 0
    assert channel.get_seconds == 0


def test_close_lets_the_waiting_items_through_first() -> None:
    channel = Channel[int](2)
    channel.put(1)
    channel.put(2)
    channel.close()
    channel.close()
    assert [channel.get(), channel.get(), channel.get(), channel.get()] == [1, 2, None, None]


def test_close_wakes_a_waiting_consumer() -> None:
    channel = Channel[int](1)
    join = in_thread(channel.get)
    wait_until(lambda: is_waiting(channel))
    channel.close()
    assert join() is None
    assert channel.get_seconds > 0


def test_put_after_close_is_a_mistake() -> None:
    channel = Channel[int](1)
    channel.close()
    with pytest.raises(RuntimeError, match="closed"):
        channel.put(1)


def test_abandon_hands_back_what_nobody_took_and_refuses_the_rest() -> None:
    channel = Channel[int](2)
    channel.put(1)
    channel.put(2)
    assert channel.abandon() == [1, 2]
    assert channel.abandon() == []
    assert channel.put(3) is False
    assert channel.put_latest(4) == (False, None)
    assert channel.get() is None


def test_abandon_wakes_a_waiting_producer_whose_item_stays_its_own() -> None:
    channel = Channel[int](1)
    channel.put(1)
    join = in_thread(lambda: channel.put(2))
    wait_until(lambda: is_waiting(channel))
    assert channel.abandon() == [1]
    assert join() is False


def test_abandon_by_a_third_party_ends_the_consumer() -> None:
    channel = Channel[int](1)
    join = in_thread(channel.get)
    wait_until(lambda: is_waiting(channel))
    channel.abandon()
    assert join() is None


def test_put_latest_gives_up_the_oldest_and_never_waits() -> None:
    channel = Channel[int](2)
    assert [channel.put_latest(n) for n in range(4)] == [(True, None), (True, None), (True, 0), (True, 1)]
    assert [channel.get(), channel.get()] == [2, 3]
    assert channel.put_seconds == 0


@pytest.mark.parametrize("capacity", [0, -1])
def test_capacity_is_at_least_one(capacity: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Channel[int](capacity)
