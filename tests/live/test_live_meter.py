"""The reports of a running session, on a clock of the test."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from paragon_stream.livestream.meter import LiveMeter, LiveProgress
from paragon_stream.pipeline.latency import LatencyMeter
from paragon_stream.pipeline.pipeline import Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("paragon_stream.livestream.meter.perf_counter", clock)
    return clock


def session() -> Any:
    """A session's counts, without a session."""
    return SimpleNamespace(
        stopping=False,
        feed=SimpleNamespace(over=False, events=deque(), stop=lambda: None, reconnects=0),
        sink=SimpleNamespace(bytes_written=0, away=False, take_events=list),
        latency=LatencyMeter(),
        frames_in=0,
        computed=0,
        delivered=0,
    )


def run(
    clock: Clock, seconds: float, came: float, computed: float, delivered: float, *, away: bool = False
) -> tuple[list[str], list[LiveProgress]]:
    """Let so many frames a second come, be computed and be delivered; returns what was reported."""
    counts = session()
    counts.sink.away = away
    reported: list[str] = []
    shown: list[LiveProgress] = []
    meter = LiveMeter(counts, shown.append, reported.append)
    begin = clock.now
    while clock.now - begin < seconds:
        clock.now += 0.1
        passed = clock.now - begin
        counts.frames_in, counts.computed, counts.delivered = (
            int(passed * rate) for rate in (came, computed, delivered)
        )
        meter(Progress(frames=counts.delivered, elapsed=passed, timing=None))
    return reported, shown


def test_a_machine_that_keeps_up_says_nothing(clock: Clock) -> None:
    reported, shown = run(clock, 20, 30, 30, 30)
    assert reported == []
    assert (round(shown[-1].fps_in), round(shown[-1].fps_out), shown[-1].dropped) == (30, 30, 0)
    assert 30 <= len(shown) <= 42  # two a second


def test_a_slow_machine_says_so_once(clock: Clock) -> None:
    reported, shown = run(clock, 60, 30, 10, 10)
    assert len(reported) == 1
    assert reported[0].startswith("this machine upscales 10.")
    assert "of 30." in reported[0] or "of 29." in reported[0]
    assert "a GPU would help" in reported[0]
    assert shown[-1].dropped > 1000


def test_a_slow_output_has_a_report_of_its_own(clock: Clock) -> None:
    reported, _ = run(clock, 60, 30, 30, 10)
    assert len(reported) == 1
    assert reported[0].startswith("the output takes ")
    assert "--preset" in reported[0]


def test_the_stage_that_loses_more_is_named(clock: Clock) -> None:
    assert run(clock, 60, 30, 29, 26.5)[0][0].startswith("the output takes ")
    assert run(clock, 60, 30, 26, 25)[0][0].startswith("this machine upscales ")


def test_an_output_that_is_away_is_not_slow(clock: Clock) -> None:
    assert run(clock, 60, 30, 1, 0, away=True)[0] == []


@pytest.mark.parametrize(("reconnects", "reported"), [(1, 0), (0, 1)])
def test_the_first_second_of_a_source_that_is_back_is_no_slow_machine(
    reconnects: int, reported: int, clock: Clock
) -> None:
    """Its pictures come at once, and most of them are dropped."""
    counts = session()
    events: list[str] = []
    meter = LiveMeter(counts, None, events.append)
    for tick in range(200):
        clock.now += 0.1
        back = tick >= 100
        counts.feed.reconnects = reconnects * back
        counts.frames_in, counts.delivered = 3 * tick + 30 * back, 3 * tick
        counts.computed = counts.delivered
        meter(Progress(frames=counts.delivered, elapsed=tick / 10, timing=None))
    assert len(events) == reported


def test_a_stalled_source_is_no_slow_machine(clock: Clock) -> None:
    assert run(clock, 60, 1.5, 1, 1)[0] == []
