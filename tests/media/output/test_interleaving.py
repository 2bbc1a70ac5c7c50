"""Copied packets go where they belong, and nothing piles up, however the source is laid out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_clip, packets
from rendering import render, sink_for, tracks

from paragon_stream.frame import Timing
from paragon_stream.media.output import remux
from paragon_stream.media.output.writer import VideoWriter

MS = Fraction(1, 1000)
SECONDS = 20


def written_order(path: Path) -> list[tuple[int, Fraction]]:
    """(stream, decode time) of the packets in file order."""
    order = []
    with av.open(str(path)) as file:
        for packet in file.demux():
            if packet.size:
                stamp = packet.dts if packet.dts is not None else packet.pts
                if stamp is not None:
                    order.append((packet.stream.index, stamp * Fraction(1, packet.time_base.denominator)))
    return order


def raw_sound(path: Path, order: Callable[[Any], Any], *, sounds: int = 1) -> Path:
    """A Matroska file of `SECONDS` with PCM sound, its packets grouped by `order` instead of by time."""
    whole = make_clip(
        path.with_name("whole.mkv"),
        frames=SECONDS * 5,
        rate=5,
        width=48,
        height=32,
        audio="pcm_s16le",
        audio_tracks=sounds,
        subtitles="subrip",
    )
    # A muxer writes packets as they come only if it may not wait to interleave them.
    options = {"max_interleave_delta": "1", "cluster_time_limit": "500"}
    with av.open(str(whole)) as a, av.open(str(path), "w", container_options=options) as b:
        copies = [b.add_stream_from_template(s, opaque=True) for s in a.streams]
        held = [p for p in a.demux() if p.size]
        for packet in sorted(held, key=order):
            packet.stream = copies[packet.stream.index]
            b.mux(packet)
    return path


def assert_interleaved(path: Path, tolerance: Fraction, *, texts: int | None = None) -> None:
    """No packet stands behind one that is due more than `tolerance` later.

    Stream `texts` may: nothing tells that a text is still to come, so one behind everything else stays there.
    """
    latest = Fraction(0)
    for index, time in written_order(path):
        if index == texts:
            continue
        assert time >= latest - tolerance, (index, float(time), float(latest))
        latest = max(latest, time)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_well_laid_out(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=120, audio="aac", audio_tracks=2, width=48, height=32)
    render(source, tmp_path / f"out.{suffix}")
    if suffix != "mp4":  # whose demuxer sorts by itself
        assert_interleaved(tmp_path / f"out.{suffix}", Fraction(3, 2))
    for index in (1, 2):
        if suffix != "ts":
            assert packets(tmp_path / f"out.{suffix}", index) == packets(source, index)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("video first", lambda p: p.stream.index != 0),
        ("sound first", lambda p: p.stream.index == 0),
        ("texts last", lambda p: p.stream.index == 3),
        ("one stream after the other", lambda p: p.stream.index),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_badly_laid_out(tmp_path: Path, name: str, order: Callable[[Any], Any]) -> None:
    source = raw_sound(tmp_path / "in.mkv", order, sounds=2)
    render(source, tmp_path / "out.mkv")
    assert_interleaved(tmp_path / "out.mkv", Fraction(5, 2), texts=3)
    before, after = tracks(source), tracks(tmp_path / "out.mkv")
    for index in (1, 2, 3):
        assert after[index].payloads == before[index].payloads
        assert after[index].pts == before[index].pts


def test_what_is_held_is_bounded_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sound tracks one after the other: the first fills the hold, the second comes late, all of it."""
    source = raw_sound(tmp_path / "in.mkv", lambda p: p.stream.index, sounds=2)
    limit = 300_000
    monkeypatch.setattr(remux, "HOLD_BYTES", limit)
    most = 0
    with sink_for(source, tmp_path / "out.mkv") as (_, plan, sink):
        assert isinstance(sink, VideoWriter) and sink._muxer is not None
        remuxer = sink._muxer.remuxer
        assert remuxer is not None
        planes = [np.zeros(s, np.uint8) for s in plan.target.plane_shapes]
        for number in range(SECONDS * 5):
            sink.write(planes, Timing(pts=200 * number, duration=200, time_base=MS))
            most = max(most, remuxer._held_bytes)
        sink.finish()
    assert limit // 2 < most <= limit + 50_000  # one packet more at the most
    for index in (1, 2, 3):
        assert packets(tmp_path / "out.mkv", index) == packets(source, index)


def test_sound_is_not_written_before_the_picture_it_goes_with(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=2, audio="pcm_s16le", audio_seconds=SECONDS)
    with sink_for(source, tmp_path / "out.mkv", encoder_options={"rc-lookahead": "0", "bf": "0"}) as (
        _,
        plan,
        sink,
    ):
        planes = [np.zeros(s, np.uint8) for s in plan.target.plane_shapes]
        for number in range(50):
            sink.write(planes, Timing(pts=40 * number, duration=40, time_base=MS))
        reached = sink.bytes_written
        second = 48_000 * 4
        assert 1 * second < reached < 5 * second  # 2 s of pictures, 1 s ahead
        sink.finish()
    assert packets(tmp_path / "out.mkv", 1) == packets(source, 1)


def test_timestamps_that_run_backwards_are_repaired_and_counted(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=25, audio="pcm_s16le")
    with av.open(str(source)) as a, av.open(str(tmp_path / "jump.ts"), "w") as b:
        video = b.add_stream_from_template(a.streams[0], opaque=True)
        sound = b.add_stream("mp2", rate=48000, layout="stereo")
        made = []
        for frame in a.decode(audio=0):
            frame.pts = None
            made += sound.encode(frame)
        for number, packet in enumerate(made):
            packet.pts = packet.dts = (number if number < 20 else number - 4) * 1152
            packet.time_base = Fraction(1, 48_000)
        a.seek(0)
        pictures = [p for p in a.demux(video=0) if p.size]
        for packet in pictures:
            packet.stream = video
        for packet in itertools.chain(pictures, made[:20]):
            b.mux(packet)
    out = tmp_path / "out.mp4"
    render(tmp_path / "jump.ts", out)
    assert len(tracks(out)[1].payloads) == 20
