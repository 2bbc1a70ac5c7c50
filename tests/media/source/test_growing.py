"""Files that grow while they are read: recordings that have not ended."""

from __future__ import annotations

from pathlib import Path

from clips import make_clip

import paragon_stream
from paragon_stream.media.mp4.boxes import top_level


def test_a_recording_that_goes_on(tmp_path: Path) -> None:
    """Fragmented MP4 is read as far as it reached at the beginning, and the warning says so."""
    clip = make_clip(
        tmp_path / "whole.mp4",
        frames=60,
        options={"g": "10", "bf": "0"},
        container_options={"movflags": "frag_keyframe+empty_moov"},
    )
    with clip.open("rb") as file:
        fragments = [at for kind, at, _ in top_level(file, clip.stat().st_size) if kind == b"moof"]
    data = clip.read_bytes()
    recording = tmp_path / "in.mp4"
    recording.write_bytes(data[: fragments[3]])

    def record(progress: object) -> None:
        with recording.open("ab") as file:
            file.write(data[file.tell() :])

    report = paragon_stream.upscale(recording, tmp_path / "out.mkv", engine="null", on_progress=record)
    assert report.frames_out == 30
    assert [each for each in report.warnings if "has grown during the render" in each]
