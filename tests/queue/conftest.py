"""The sources of runs over many files."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import make_clip
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos of one format in two folders, one of another, a picture, and a damaged video."""
    folder = tmp_path / "in"
    (folder / "s1").mkdir(parents=True)
    make_clip(folder / "a.mkv", frames=6, audio="aac", subtitles="subrip")
    make_clip(folder / "s1" / "a.mp4", frames=6)
    make_clip(folder / "s1" / "b.mov", width=64, frames=6)
    (folder / "bad.mkv").write_bytes(b"no video at all" * 9 + bytes(99))
    Image.new("RGB", (20, 10)).save(folder / "p.png")
    return folder
