"""A disk that fills up in the middle of a render: one sentence, and everything is kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import make_clip, read_frames

import paragon_stream
from paragon_stream.errors import OutputError
from paragon_stream.media.safekeeping import journal

FRAMES = 200

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        sys.platform != "linux"
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", width=320, height=180, frames=FRAMES, audio="aac")
    out = small_disk / "out.mkv"
    options = {"codec": "ffv1", "variant": "realtime"}
    for resume in (False, True):  # there is no more room the second time
        with pytest.raises(OutputError, match="the disk is full"):
            paragon_stream.upscale(source, out, resume=resume, **options)
    assert not out.exists()
    subprocess.run(["mount", "-o", "remount,size=400m", str(small_disk)], check=True)
    report = paragon_stream.upscale(source, out, resume=True, **options)
    assert report.resumed_at > 0 and len(read_frames(out)) == FRAMES
    assert paragon_stream.verify(source, out, plan=report).findings == ()
    assert [path.name for path in small_disk.iterdir()] == ["out.mkv"]


def test_a_full_disk_ends_a_run_over_many_files(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the render itself stops before the last megabytes are used."""
    monkeypatch.setattr(journal, "_LOOK", 0.01)
    folder, seen = tmp_path / "in", list[str]()
    folder.mkdir()
    make_clip(folder / "a.mkv", width=320, height=180, frames=FRAMES)
    make_clip(folder / "b.mkv", frames=2)
    (small_disk / "other").write_bytes(bytes(13 << 19))

    class Seen(paragon_stream.QueueObserver):
        def summary(self, report: paragon_stream.QueueReport) -> None:
            seen.extend(f"{Path(each.source).name} {each.outcome}" for each in report.files)

    with pytest.raises(OutputError, match="the run ends"):
        paragon_stream.upscale_all([folder], small_disk / "out", codec="ffv1", engine="null", observer=Seen())
    assert seen == ["a.mkv failed"]
