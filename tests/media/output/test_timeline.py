"""Recordings glued together, whose timestamps start over: sound and picture stay together."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from clips import make_clip, packet_facts

import paragon_stream
from paragon_stream.media.output.timeline import SharedStamps, Timeline

OPTIONS = {"options": {"g": "12", "bf": "2"}, "audio": "mp2"}


def written_times(path: Path, stream: int) -> list[Fraction]:
    return sorted(p.pts for p in packet_facts(path, stream) if p.pts is not None)


@pytest.mark.parametrize("parts", [2, 3])
def test_sound_follows_the_picture_over_a_jump(tmp_path: Path, parts: int) -> None:
    part = make_clip(tmp_path / "part.ts", frames=75, **OPTIONS)
    glued, out = tmp_path / "glued.ts", tmp_path / "out.mkv"
    glued.write_bytes(part.read_bytes() * parts)
    report = paragon_stream.upscale(glued, out, engine="null", preset="ultrafast")
    assert any("jump back" in warning for warning in report.warnings)
    assert not any("run backwards" in warning for warning in report.warnings)
    video, sound = written_times(out, 0), written_times(out, 1)
    assert len(video) == 75 * parts
    assert len(sound) == len(packet_facts(glued, 1))
    steps = [b - a for a, b in pairwise(sound)]
    assert max(steps) < Fraction(80, 1000) and min(steps) > 0
    # The lead of sound over picture is the same in every part.
    per_part = len(sound) // parts
    lead = video[0] - sound[0]
    for index in range(parts):
        assert abs((video[75 * index] - sound[per_part * index]) - lead) <= Fraction(60, 1000)


def test_a_jump_forward_stays(tmp_path: Path) -> None:
    a = make_clip(tmp_path / "a.ts", frames=30, **OPTIONS)
    b = make_clip(tmp_path / "b.ts", pts=range(2500, 2530), audio_delay=100, audio_seconds=1.2, **OPTIONS)
    glued, out = tmp_path / "glued.ts", tmp_path / "out.mkv"
    glued.write_bytes(a.read_bytes() + b.read_bytes())
    paragon_stream.upscale(glued, out, engine="null", preset="ultrafast")
    video, sound = written_times(out, 0), written_times(out, 1)
    assert 98 < max(y - x for x, y in pairwise(video)) < 100
    assert 98 < max(y - x for x, y in pairwise(sound)) < 100


def test_a_part_behind_a_jump(tmp_path: Path) -> None:
    part = make_clip(tmp_path / "part.ts", frames=75, **OPTIONS)
    glued, out = tmp_path / "glued.ts", tmp_path / "out.mkv"
    glued.write_bytes(part.read_bytes() * 2)
    report = paragon_stream.upscale(glued, out, engine="null", preset="ultrafast", start=4, duration=1)
    assert abs(report.frames_out - 25) <= 1
    video, sound = written_times(out, 0), written_times(out, 1)
    assert video[0] == 0 and 0 <= sound[0] < Fraction(30, 1000)
    assert Fraction(95, 100) < sound[-1] < 1


def test_sound_that_jumps_alone_goes_on(tmp_path: Path) -> None:
    """The picture's clock runs through; the sound's starts over in the middle."""
    a = make_clip(tmp_path / "a.ts", frames=50, **OPTIONS)
    b = make_clip(tmp_path / "b.ts", pts=range(50, 100), audio_seconds=2, **OPTIONS)
    glued, out = tmp_path / "glued.ts", tmp_path / "out.mkv"
    glued.write_bytes(a.read_bytes() + b.read_bytes())
    paragon_stream.upscale(glued, out, engine="null", preset="ultrafast")
    sound = written_times(out, 1)
    assert len(sound) == len(packet_facts(glued, 1))
    assert 3.8 < sound[-1] - sound[0] < 4.1
    assert max(y - x for x, y in pairwise(sound)) < Fraction(80, 1000)


def test_the_clock() -> None:
    clock = Timeline(Fraction(1, 25))
    for time in range(10, 20):
        assert not clock.video_passes(Fraction(time), True)
    assert clock.shift(Fraction(18)) == 0
    assert not clock.video_passes(Fraction(3), False)  # not a key frame: it will not decode
    assert clock.video_passes(Fraction(4), True)
    assert clock.latest_shift == 15 + Fraction(1, 25)
    assert clock.shift(Fraction(19)) == 0  # sound of the first part that comes late
    assert clock.shift(Fraction(4)) == clock.latest_shift
    assert not clock.video_passes(Fraction(7, 2), True)  # a step back by less is disorder


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([0, 32, 64], [0, 32, 64]),
        ([0, 32, 96, 96, 128], [0, 32, 64, 96, 128]),  # the time of the first one is missing
        ([0, 32, 64, 64, 128], [0, 32, 64, 96, 128]),  # that of the second one is
        ([0, 32, 128, 128, 128, 160], [0, 32, 64, 96, 128, 160]),
        ([0, 0, 64], [0, 32, 64]),
        ([0, 32, 64, 64, 96], [0, 32, 64, 80, 96]),  # one packet too many: the next one keeps its time
        ([0, 32, 96, 96], [0, 32, 64, 96]),
        ([0, 32, 5000, 5000, 5064], [0, 32, 4968, 5000, 5064]),
        ([64, 96, 0, 0, 64], [64, 96, 0, 32, 64]),  # the clock starts over
    ],
)
def test_packets_with_one_stamp_move_apart(stamps: list[int], expected: list[int]) -> None:
    shared, moved = SharedStamps(), []
    for stamp in stamps:
        packet = av.Packet(b"sound")
        packet.pts = packet.dts = stamp
        packet.duration = 32
        moved += shared.add(packet)
    moved += shared.rest()
    assert [packet.pts for packet in moved] == expected
    assert [packet.dts for packet in moved] == expected
