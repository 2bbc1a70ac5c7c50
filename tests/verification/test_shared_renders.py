"""Renders of odd clips pass: neither what the plan announces nor what is odd about a source is a fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import SHARED

import paragon_stream
from paragon_stream.errors import ParagonError

CLIPS = sorted(
    clip
    for folder in ("media", "media/faults")
    for clip in (SHARED / folder).glob("*.*")
    if clip.suffix not in (".tsv", ".srt", ".avif", ".png")
)
SECONDS = 0.3
"""Length of each clip that is rendered."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("clip", CLIPS or [None], ids=lambda clip: clip.name if clip else "none")
def test_a_render_of_an_odd_clip_passes(clip: Path | None, tmp_path: Path) -> None:
    if clip is None:
        pytest.skip("needs the developers' shared material beside the checkout")
    output = tmp_path / "out.mkv"
    try:
        report = paragon_stream.upscale(
            clip, output, duration=SECONDS, variant="realtime", preset="ultrafast"
        )
    except ParagonError as error:
        pytest.skip(f"not rendered: {error}")
    result = paragon_stream.verify(clip, output, plan=report)
    assert [str(finding) for finding in result.findings] == []
