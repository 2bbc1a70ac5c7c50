"""An engine that is too slow for a player gives way to a plain scaler; one that rests or waits does not."""

from __future__ import annotations

import logging

import pytest
import vapoursynth as vs
from filter_material import assert_same, make_clip, planes_of

import paragon_stream.vapoursynth as paragon
from paragon_stream.pipeline import pace
from paragon_stream.pipeline.pace import Pace

FRAME = 0.04
"""Seconds that a frame of the video is shown."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def played(times: list[tuple[float, float]], shown: float = FRAME) -> Pace:
    """The pace after frames that took `(rest before it, computation)` seconds."""
    clock = Clock()
    kept = Pace(clock)
    for rest, work in times:
        clock.now += rest
        with kept.computing(shown):
            clock.now += work
    return kept


def test_an_engine_that_is_always_at_work_and_behind_is_too_slow() -> None:
    slow = played([(0, 0.1)] * 31)
    assert slow.too_slow
    assert slow.rate == pytest.approx(10)
    assert not played([(0, 0.1)] * 29).too_slow, "three seconds are needed to judge it"


@pytest.mark.parametrize(
    ("why", "times", "shown"),
    [
        ("it keeps up with a third to spare", [(0.01, 0.03)] * 500, FRAME),
        ("an exact seek of nine seconds", [(0, 0.03)] * 300, FRAME),
        ("the player pauses after each frame", [(1, 0.1)] * 50, FRAME),
        ("the source delivers one frame in a second", [(0.96, 0.04)] * 50, FRAME),
        ("one frame takes a second", [(0.02, 0.02)] * 100 + [(0, 1.0)] + [(0.0, 0.02)] * 50, FRAME),
        ("the duration of frames is unknown", [(0, 0.1)] * 90, float("inf")),
    ],
)
def test_one_that_rests_or_is_fast_enough_is_not(
    why: str, times: list[tuple[float, float]], shown: float
) -> None:
    assert not played(times, shown).too_slow, why


def test_one_that_never_rests_is_too_slow_for_the_speed_of_playback() -> None:
    assert played([(0, 0.03)] * 350).too_slow


def test_computations_at_the_same_time_count_once() -> None:
    clock = Clock()
    kept = Pace(clock)
    for _ in range(60):  # two lanes, each 0.06 s a frame: together 33 frames a second
        with kept.computing(FRAME), kept.computing(FRAME):
            clock.now += 0.06
        clock.now += 0.02
    assert not kept.too_slow


def too_fast_for_any_engine(n: int) -> dict[str, int]:
    return {"_DurationNum": 1, "_DurationDen": 1_000_000}


def test_plain_frames_take_over_for_good(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "paragon_stream.vapoursynth")
    monkeypatch.setattr(pace, "_SHORT", 0.01)
    clip = make_clip(vs.YUV420P8, length=60, props=too_fast_for_any_engine)
    sharp = planes_of(paragon.upscale(clip), 3)
    plain = clip.resize.Bicubic(width=128, height=96)
    out = paragon.upscale(clip, wait=False)  # the engine is compiled already
    futures = [out.get_frame_async(n) for n in range(60)]
    for future in futures:
        future.result().close()
    assert_same(planes_of(out, 59), planes_of(plain, 59))
    (said,) = [r.message for r in caplog.records if "from frame" in r.message]
    assert "plain scaling, because the engine makes only" in said
    assert "frames a second" in said

    again = paragon.upscale(clip, wait=False)  # as after a seek
    assert_same(planes_of(again, 3), sharp)


def test_waiting_keeps_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_SHORT", 0.01)
    clip = make_clip(vs.YUV420P8, length=60, props=too_fast_for_any_engine)
    out = paragon.upscale(clip)
    for n in range(60):
        out.get_frame(n).close()
    plain = clip.resize.Bicubic(width=128, height=96)
    assert (planes_of(out, 59)[0] != planes_of(plain, 59)[0]).any()
