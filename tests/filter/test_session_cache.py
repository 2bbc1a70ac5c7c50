"""The cache: compiled once, shared, bounded, never closed under a running frame."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from network_reference import random_spec, random_weights

from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat, pixel_format
from paragon_stream.runtimes import Precision, SessionOptions
from paragon_stream.runtimes.cache import SessionCache, SessionRequest

pytestmark = pytest.mark.timeout(60)

WEIGHTS = random_weights(random_spec())


class _Session:
    engine, device = "fake", "none"

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class _Factory:
    def __init__(self, delay: float = 0.0) -> None:
        self.sessions: list[_Session] = []
        self.delay = delay

    def __call__(self, request: SessionRequest) -> _Session:
        time.sleep(self.delay)
        self.sessions.append(_Session())
        return self.sessions[-1]


def _request(width: int = 64, **changes: object) -> SessionRequest:
    source = FrameFormat(width=width, height=48, pixel_format=pixel_format("yuv420p"))
    return replace(SessionRequest(weights=WEIGHTS, source=source), **changes)


def test_threads_that_ask_at_once_share_one_compilation() -> None:
    factory = _Factory(delay=0.2)
    cache = SessionCache(build=factory)
    got = []

    def ask() -> None:
        with cache.session(_request()) as session:
            got.append(session)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(factory.sessions) == 1
    assert got == factory.sessions * 8


def test_what_makes_a_session_another_one() -> None:
    other_weights = random_weights(random_spec(), seed=1)
    variants = [
        _request(),
        _request(width=66),
        _request(weights=other_weights),
        _request(engine="null"),
        _request(options=SessionOptions(precision=Precision.FP32)),
        _request(weights=replace(WEIGHTS, spec=replace(WEIGHTS.spec, alpha=0.7))),
    ]
    assert len({request.key for request in variants}) == len(variants)
    assert _request().key == _request().key


def test_the_longest_rested_is_closed_beyond_the_capacity() -> None:
    factory = _Factory()
    cache = SessionCache(capacity=2, build=factory)
    for width in (10, 20, 10, 30):
        with cache.session(_request(width)):
            pass
    ten, twenty, thirty = factory.sessions
    assert (ten.closed, twenty.closed, thirty.closed) == (False, True, False)
    with cache.session(_request(10)) as again:
        assert again is ten


def test_a_session_in_use_is_never_closed() -> None:
    factory = _Factory()
    cache = SessionCache(capacity=1, build=factory)
    with cache.session(_request(10)) as first, cache.session(_request(10)):
        for width in (20, 30, 40):
            with cache.session(_request(width)):
                pass
        cache.clear()
        assert not first.closed
    assert [session.closed for session in factory.sessions[1:]] == [True, True, True]
    cache.clear()
    assert first.closed


def test_a_failure_reaches_everyone_who_waits_and_is_forgotten() -> None:
    gate = threading.Event()
    attempts = []

    def fail_once(request: SessionRequest) -> _Session:
        attempts.append(request)
        assert gate.wait(30)
        if len(attempts) == 1:
            raise EngineError("no memory")
        return _Session()

    cache = SessionCache(build=fail_once)
    errors = []

    def ask() -> None:
        try:
            with cache.session(_request()):
                pass
        except EngineError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while sum(entry.users for entry in cache._entries.values()) < 4:
        time.sleep(0.01)
    gate.set()
    for thread in threads:
        thread.join(30)
    assert errors == ["no memory"] * 4
    with cache.session(_request()) as session:
        assert not session.closed


def test_ready_compiles_behind_ones_back_and_tells_failures_once() -> None:
    gate = threading.Event()
    outcomes: list[Exception | None] = [EngineError("no driver"), None]

    def build(request: SessionRequest) -> _Session:
        assert gate.wait(30)
        outcome = outcomes.pop(0)
        if outcome:
            raise outcome
        return _Session()

    def poll() -> bool:
        deadline = time.monotonic() + 30
        while not (ready := cache.ready(_request())):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return ready

    cache = SessionCache(build=build)
    assert not cache.ready(_request())
    assert not cache.ready(_request())
    gate.set()
    with pytest.raises(EngineError, match="no driver"):
        poll()
    assert poll()
    assert outcomes == []
