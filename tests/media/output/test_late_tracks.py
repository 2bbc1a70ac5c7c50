"""Sound that begins long after the picture, in MP4."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import make_clip, packets
from rendering import fast, frames_of, render, sink_for

from paragon_stream.media.facts.probe import probe
from paragon_stream.media.output import packet_trim, trial_muxing
from paragon_stream.media.output.plan import plan_output
from paragon_stream.media.output.stream_plans import Action
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.media.prepare import SourceOptions, prepare

LATE = 10.0
"""Seconds."""


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("late") / "in.mkv"
    return make_clip(path, width=64, height=48, frames=500, audio="aac", audio_delay=LATE, audio_seconds=9.0)


def test_pictures_are_safe_only_when_all_tracks_have_begun(late: Path, tmp_path: Path) -> None:
    """Until then FFmpeg has them in memory, and the journal must not forget them."""
    safe: list[int] = []
    with sink_for(late, tmp_path / "out.mp4", encoder_options={"g": "10"}) as (info, plan, sink):
        assert isinstance(sink, VideoWriter) and sink._muxer is not None
        sink._muxer._contained = safe.append
        for planes, timing in frames_of(info, plan.target):
            sink.write(planes, timing)
            if timing.seconds < LATE - 2:
                assert not safe and sink._work.file.stat().st_size < 1000
            elif safe:
                assert sink._work.file.stat().st_size > 10_000
        sink.finish()
    assert safe[-1] > 300


def test_what_begins_very_late_is_not_held_in_memory(
    late: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = probe(late)

    def muxer_options() -> object:
        out = tmp_path / "out.mp4"
        return plan_output(info, out, 1, fast(info, out)).muxer_options.get("movflags")

    assert muxer_options() is not None
    for module in (packet_trim, trial_muxing):
        monkeypatch.setattr(module, "_LOOK_AT", 10_000)
    assert muxer_options() is None
    assert render(late, tmp_path / "out.mp4").warnings == []
    assert packets(tmp_path / "out.mp4", 1) == packets(late, 1)


def test_added_sound_that_begins_late(late: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, out = make_clip(tmp_path / "in.mkv", frames=500), tmp_path / "out.mp4"
    info = probe(clip)
    options = fast(info, out, add=(str(late),))
    assert "movflags" in plan_output(info, out, 1, options).muxer_options
    part = prepare(clip, SourceOptions(duration=5))
    (dropped,) = plan_output(part, out, 1, options).added[0].streams
    assert dropped.action is Action.DROP and "nothing in this part" in dropped.reason
    for module in (packet_trim, trial_muxing):
        monkeypatch.setattr(module, "_LOOK_AT", 10_000)
    assert "movflags" not in plan_output(info, out, 1, options).muxer_options
