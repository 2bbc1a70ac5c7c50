"""Every clip of the shared media folder, through probe, reader, plan and writer into mkv and mp4.

Copied streams must come out packet by packet, or be dropped for a stated reason; every timestamp must be the
source's, rounded once to the output's time base.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from places import SHARED
from rendering import decoded_pts, render, tracks

from paragon_stream.errors import InputError, UsageError
from paragon_stream.media.facts.info import StreamKind
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.output.stream_plans import Action

FOLDER = SHARED / "media"
CLIPS = sorted(p.name for p in FOLDER.glob("*") if p.suffix not in (".tsv", ".srt")) or ["none"]
REFRAMED = ("h264", "hevc", "aac", "mpeg2video")
"""Codecs whose packets look different in another container: start codes, ADTS headers."""


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("name", CLIPS)
def test_clip(name: str, suffix: str, shared: Path, tmp_path: Path) -> None:
    source = shared / "media" / name
    try:
        info = probe(source)
    except InputError:
        return  # what cannot be read is the reader's to test
    out = tmp_path / f"out.{suffix}"
    if info.video.format.pixel_format.depth > 12 and suffix == "mp4":
        with pytest.raises(UsageError, match=r"write to \.mkv"):  # ffv1 alone takes 16 bit
            render(source, out)
        return
    odd = info.video.format.width % 2 or info.video.format.height % 2
    done = render(source, out, limit=12 if info.video.format.width > 700 else 40, scale=2 if odd else 1)

    back, before = tracks(out), tracks(source)
    plan, shift = done.plan, done.plan.shift
    tick = max(Fraction(1, 1000), *(t.time_base for t in back)) if suffix == "mkv" else Fraction(1, 1000)

    shown = decoded_pts(out)
    assert len(shown) == len(done.timings)
    offset = _offset(shown[0], done.timings[0], shift)
    for stamp, timing in zip(shown, done.timings, strict=True):
        assert abs(stamp - (timing.pts * timing.time_base - shift) - offset) <= tick * 2

    # What is not copied has a reason, and the rest is all there, in the source's order.
    kept = [s for s in plan.streams if s.action in (Action.COPY, Action.CONVERT)]
    assert all(s.reason for s in plan.streams if s.action is Action.DROP)
    assert {str(s) for s in plan.streams if s.loss} <= set(done.warnings)
    expected = sorted([info.video.index, *(s.stream.index for s in kept)])
    out_tracks = [t for t in back if t.type not in ("attachment",)]
    # DV's timecode becomes a track of MP4.
    out_tracks = [t for t in out_tracks if t.metadata.get("handler_name") != "TimeCodeHandler"]
    if suffix == "mkv":
        out_tracks = [t for t in out_tracks if t.codec not in ("mjpeg", "png")]
    assert len(out_tracks) == len(expected), [t.codec for t in out_tracks]
    for index, track in zip(expected, out_tracks, strict=True):
        if index == info.video.index:
            continue
        planned = next(s for s in kept if s.stream.index == index)
        original = before[index]
        assert track.metadata.get("language", "und") == original.metadata.get("language", "und")
        assert track.disposition & ~1 == original.disposition & ~1
        if planned.action is Action.CONVERT:
            continue
        # MP4 has one code for all layers of MPEG audio, and is read back as the commonest.
        assert track.codec == original.codec or (track.codec, original.codec) == ("mp3", "mp2")
        failed = any("could not be written" in w for w in done.warnings)
        if failed:
            continue
        assert len(track.payloads) == len(original.payloads)
        if "mpegts" not in info.container or original.codec not in REFRAMED:
            assert track.payloads == original.payloads
        if planned.stream.kind is StreamKind.COVER:
            continue
        for got, had in zip(track.pts, original.pts, strict=True):
            if got is not None and had is not None:
                assert abs(got - (had - shift) - offset) <= tick * 2


def _offset(first: Fraction, timing: object, shift: Fraction) -> Fraction:
    """The time by which the muxer moved all streams, so that no time is below zero."""
    wanted = timing.pts * timing.time_base - shift  # type: ignore[attr-defined]
    moved = first - wanted
    assert 0 <= moved + Fraction(1, 500) < Fraction(1, 4)
    return moved if moved > Fraction(1, 500) else Fraction(0)
