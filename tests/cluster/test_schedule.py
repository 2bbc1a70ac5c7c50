"""The assignment of chunks to machines, without machines and clocks."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from paragon_stream.cluster.driver import Driver
from paragon_stream.cluster.schedule import MOST_TRIES, Attempt, Schedule
from paragon_stream.cluster.worker_pool import SLOW_START, Node, WorkerHandle
from paragon_stream.report import Warnings


def attempt(worker: int, node: str, begun: float = 0.0) -> Attempt:
    return Attempt(worker=worker, node=node, begun=begun)


def test_chunks_go_out_in_order_and_once() -> None:
    schedule = Schedule(dict.fromkeys(range(4), 100), done=[1])
    given = []
    for worker in range(4):
        number = schedule.choose("a", ["a"], 0.0, {})
        if number is not None:
            schedule.begin(number, attempt(worker, "a"))
            given.append(number)
    assert given == [0, 2, 3] and schedule.remaining == 3 and schedule.frames_done == 100


def test_a_chunk_that_failed_goes_elsewhere() -> None:
    schedule = Schedule({0: 100})
    schedule.begin(0, attempt(1, "a"))
    assert schedule.fail(0, 1)
    assert schedule.choose("a", ["a", "b"], 0.0, {}) is None
    assert schedule.choose("b", ["a", "b"], 0.0, {}) == 0
    assert schedule.choose("a", ["a"], 0.0, {}) == 0, "there is no other machine"


def test_a_chunk_does_not_wait_for_a_machine_whose_worker_never_starts() -> None:
    """On a shared cluster, another job may have all CPUs of a machine."""
    given: list[int] = []
    driver = driver_of(ready=given.append, waiting=SLOW_START - 5)
    driver._hand_out()
    driver._warn_of_late(time.monotonic())
    assert given == [] and driver._warnings.shown == [], "b may start yet"
    driver = driver_of(ready=given.append, waiting=SLOW_START + 5)
    driver._hand_out()
    for _ in range(2):
        driver._warn_of_late(time.monotonic())
    assert given == [0]
    assert driver._warnings.shown == [
        "no worker is ready on b after 60 s: another job may have its CPUs",
    ]


def driver_of(*, ready: Callable[[int], None], waiting: float) -> Driver:
    """A driver whose only chunk has failed on `a`, while the worker of `b` has been starting for `waiting`
    seconds. `ready` gets the chunks that `a` renders."""
    schedule = Schedule({0: 100})
    schedule.begin(0, attempt(1, "a"))
    assert schedule.fail(0, 1)
    driver = object.__new__(Driver)
    driver.schedule, driver._calls = schedule, {}
    driver._warnings = Warnings(lambda sentence: None)
    nodes = [Node(id=name, name=name, cpus=1, gpus=0) for name in "ab"]
    actor = SimpleNamespace(render=SimpleNamespace(remote=ready))
    driver._workers = {
        1: WorkerHandle(id=1, node=nodes[0], actor=actor, ready=True),
        2: WorkerHandle(id=2, node=nodes[1], actor=None, begun=time.monotonic() - waiting),
    }
    return driver


def test_a_chunk_that_fails_everywhere_ends_the_render() -> None:
    schedule = Schedule({0: 100})
    again = []
    for worker in range(MOST_TRIES):
        schedule.begin(0, attempt(worker, "a"))
        again.append(schedule.fail(0, worker))
    assert again == [True] * (MOST_TRIES - 1) + [False]


def test_a_slow_machine_does_not_hold_up_the_end() -> None:
    schedule = Schedule({0: 100, 1: 100})
    slow, quick = attempt(1, "slow"), attempt(2, "quick")
    schedule.begin(0, slow)
    schedule.begin(1, quick)
    assert schedule.finish(1, 2)
    slow.frames = 20
    rates = {"quick": 10.0}
    assert schedule.choose("quick", ["slow", "quick"], 10.0, rates) == 0, "40 s are left there, 10 s here"
    schedule.begin(0, attempt(2, "quick", 10.0))
    assert schedule.choose("quick", ["slow", "quick"], 10.0, rates) is None, "two tries are enough"
    assert schedule.finish(0, 2) and schedule.finished
    assert schedule.superfluous() == [(0, slow)]
    slow.stopping = True
    assert schedule.fail(0, 1) and not schedule.superfluous()
    assert schedule.tries() == {0: 2, 1: 1}


def test_a_machine_that_is_nearly_done_is_left_alone() -> None:
    schedule = Schedule({0: 100})
    there = attempt(1, "a")
    schedule.begin(0, there)
    there.frames = 90
    assert schedule.choose("b", ["a", "b"], 90.0, {"b": 10.0}) is None
    hung = Schedule({0: 100})
    hung.begin(0, attempt(1, "a"))
    assert hung.choose("b", ["a", "b"], 5.0, {"b": 10.0}) is None, "it may be starting"
    assert hung.choose("b", ["a", "b"], 25.0, {"b": 10.0}) == 0, "it has not moved for long"


@given(seed=st.integers(0, 10_000), chunks=st.integers(1, 12), nodes=st.integers(1, 4))
def test_whatever_fails_every_chunk_is_kept_once(seed: int, chunks: int, nodes: int) -> None:
    """Machines of any speed, that fail now and then, in simulated time."""
    chance = random.Random(seed)
    schedule = Schedule(dict.fromkeys(range(chunks), 100))
    names = [f"n{n}" for n in range(nodes)]
    speed = {name: chance.choice([1.0, 10.0, 12.0]) for name in names}
    busy: dict[int, tuple[int, Attempt, float, bool]] = {}
    kept: Counter[int] = Counter()
    now, failures = 0.0, Counter[int]()
    while not schedule.finished:
        for worker, name in enumerate(names):
            if worker not in busy and (number := schedule.choose(name, names, now, speed)) is not None:
                fails = chance.random() < 0.2 and failures[number] < MOST_TRIES - 1
                failures[number] += fails
                begun = attempt(worker, name, now)
                schedule.begin(number, begun)
                busy[worker] = number, begun, now + 100 / speed[name], fails
        assert busy, "nobody has anything to do, and it is not finished"
        worker = min(busy, key=lambda each: busy[each][2])
        number, begun, now, fails = busy.pop(worker)
        if begun.stopping or fails:
            assert schedule.fail(number, worker)
        else:
            kept[number] += schedule.finish(number, worker)
        for other, (n, a, _, f) in list(busy.items()):
            a.frames = min(99, int((now - a.begun) * speed[a.node]))
            if any(each is a for _, each in schedule.superfluous()):
                a.stopping = True
                busy[other] = n, a, now, f
    assert kept == Counter(range(chunks))
