"""The clip that ships with the project is what its description says."""

from __future__ import annotations

from fractions import Fraction

from clips import packets, read_frames
from places import SAMPLE

from paragon_stream.media.facts.info import StreamKind
from paragon_stream.media.facts.probe import probe


def test_sample_is_small_and_has_something_of_everything() -> None:
    assert SAMPLE.stat().st_size < 3_000_000
    info = probe(SAMPLE)
    assert [stream.kind for stream in info.streams] == [
        StreamKind.VIDEO,
        StreamKind.AUDIO,
        StreamKind.SUBTITLE,
        StreamKind.SUBTITLE,
        StreamKind.ATTACHMENT,
        StreamKind.COVER,
    ]
    assert [stream.language for stream in info.streams[1:4]] == ["zxx", "eng", "deu"]
    assert info.chapters == 3
    video = info.video
    assert (video.format.width, video.format.height) == (480, 270)
    assert video.average_rate == Fraction(24000, 1001)
    assert video.guessed == ()
    assert video.frames == 168


def test_sample_decodes_whole_and_moves() -> None:
    frames = read_frames(SAMPLE)
    assert len(frames) == 168
    assert [len(packets(SAMPLE, index)) for index in (2, 3)] == [3, 3]
    first, last = frames[0][1][0].astype(int), frames[-1][1][0].astype(int)
    assert abs(first - last).mean() > 5
