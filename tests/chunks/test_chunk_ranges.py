"""The positions at which a video is cut into chunks, and the settings that allow it."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from clips import make_clip
from hypothesis import given
from hypothesis import strategies as st

from paragon_stream.chunks.quality import why_no_chunks
from paragon_stream.chunks.ranges import cut_into_chunks
from paragon_stream.media.frame_times import FrameTimes
from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest


def film(frames: int, *keys: int, rate: int = 25) -> FrameTimes:
    return FrameTimes(
        shown=tuple(Fraction(n, rate) for n in range(frames)), keys=tuple(Fraction(n, rate) for n in keys)
    )


def test_chunks_begin_with_key_frames_nearby() -> None:
    chunks = cut_into_chunks(film(1000, 0, 240, 380, 510, 777), 10)
    assert [chunk.first_frame for chunk in chunks] == [0, 240, 510, 777]
    assert [chunk.frames for chunk in chunks] == [240, 270, 267, 223]
    assert chunks[0].start is None and chunks[-1].end is None
    assert all(a.end == b.start for a, b in pairwise(chunks))


def test_the_last_chunks_are_short_where_several_are_rendered_at_a_time() -> None:
    lengths = [chunk.frames / 25 for chunk in cut_into_chunks(film(25 * 600), 32, workers=4)]
    assert lengths[0] == 32 and lengths[-1] <= 12 and sorted(lengths[:-1], reverse=True) == lengths[:-1]


@given(
    times=st.lists(st.integers(0, 100_000), min_size=1, max_size=300, unique=True).map(sorted),
    keys=st.lists(st.integers(0, 100_000), max_size=30, unique=True).map(sorted),
    seconds=st.floats(0.01, 200),
    workers=st.integers(0, 20),
)
def test_every_frame_is_in_one_chunk(times: list[int], keys: list[int], seconds: float, workers: int) -> None:
    shown = tuple(Fraction(time, 1000) for time in times)
    found = FrameTimes(shown=shown, keys=tuple(Fraction(key, 1000) for key in keys))
    chunks = cut_into_chunks(found, seconds, workers)
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert sum(chunk.frames for chunk in chunks) == len(shown)
    assert all(chunk.frames >= min(12, len(shown)) for chunk in chunks)
    for chunk in chunks:
        inside = [
            time
            for time in shown
            if (chunk.start is None or time >= chunk.start) and (chunk.end is None or time < chunk.end)
        ]
        assert len(inside) == chunk.frames and shown[chunk.first_frame] == inside[0]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, ""),
        ({"crf": 30}, ""),
        ({"codec": "libx265"}, ""),
        ({"codec": "ffv1"}, ""),
        ({"codec": "libvpx-vp9"}, ""),
        ({"codec": "libsvtav1"}, ""),
        ({"encoder_options": {"x264-params": "qp=20"}}, ""),
        ({"encoder_options": {"b": "2M"}}, "aims at a bit rate for the whole (b=2M)"),
        ({"encoder_options": {"x264-params": "bitrate=900"}}, "(bitrate=900)"),
        ({"encoder_options": {"x264opts": "bitrate=900"}}, "(bitrate=900)"),
        ({"encoder_options": {"maxrate": "2M", "bufsize": "4M"}}, "fills a buffer"),
        ({"codec": "libx265", "encoder_options": {"x265-params": "vbv-maxrate=9:vbv-bufsize=9"}}, "a buffer"),
        ({"encoder_options": {"x264-params": "pass=1:stats=/dev/null"}}, "second pass"),
        ({"codec": "mpeg4"}, "mpeg4 aims at a bit rate"),
    ],
)
def test_settings_that_are_a_budget_for_the_whole_are_refused(
    tmp_path: Path, options: dict[str, object], word: str
) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=5)
    plan = plan_render(RenderRequest(source=clip, destination=tmp_path / "out.mkv", **options))
    assert plan.output.job is not None
    why = why_no_chunks(plan.output.job)
    assert word in why and bool(why) == bool(word)
