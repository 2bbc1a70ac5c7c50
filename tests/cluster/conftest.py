"""A clip, and one machine's render of it, for the modules of this folder that name its length as FRAMES."""

from __future__ import annotations

from pathlib import Path

import pytest
from chunk_material import LOSSLESS
from clips import make_clip

import paragon_stream


@pytest.fixture(scope="module")
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cluster") / "in.mkv"
    options = {"g": "20", "preset": "fast", "bf": "2", "x264-params": "crf=30"}
    frames = request.module.FRAMES
    return make_clip(path, frames=frames, audio="aac", subtitles="subrip", chapters=2, options=options)


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One machine's render."""
    path = tmp_path_factory.mktemp("whole") / "one.mkv"
    paragon_stream.upscale(clip, path, **LOSSLESS)
    return path
