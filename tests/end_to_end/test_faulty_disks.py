"""Disks and network folders that fail or crawl in the middle of a render (see docs/faults.md)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import make_clip, read_frames
from places import REPOSITORY

import paragon_stream
from paragon_stream.errors import InputError, OutputError, ParagonError
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.render import run as run_module

FRAMES = 120
WISH: dict[str, Any] = {"codec": "ffv1", "variant": "realtime", "precision": "fp32", "threads": 1}

SIZE: dict[str, Any] = {"width": 192, "height": 108, "frames": FRAMES}

pytestmark = pytest.mark.slow


class Disk:
    """A folder that fails when it is asked to; see `programs/faulty_disk.py`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._control = folder / "mounted", folder / "control"

    def become(self, state: str) -> None:
        self._control.write_text(state)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError):
        pytest.skip("needs mfusepy and libfuse3")
    disk = Disk(tmp_path)
    (tmp_path / "behind").mkdir()
    disk.folder.mkdir()
    disk.become("ok")
    program = REPOSITORY / "tests" / "support" / "programs" / "faulty_disk.py"
    places = [str(tmp_path / "behind"), str(disk.folder), str(tmp_path / "control")]
    with subprocess.Popen([sys.executable, str(program), *places], stderr=subprocess.PIPE) as process:
        try:
            end = time.monotonic() + 20
            while not disk.folder.is_mount() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            if not disk.folder.is_mount():
                pytest.skip("needs the right to mount a file system in user space")
            yield disk
        finally:
            disk.become("ok")
            subprocess.run(["umount", "--lazy", str(disk.folder)], check=False)
            process.kill()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Some megabytes: more than FFmpeg has read when the folder fails."""
    return make(tmp_path / "in.mkv")


def make(path: Path) -> Path:
    """The clip in the container that the suffix names."""
    if path.suffix == ".mkv":
        return make_clip(path, **SIZE, codec="ffv1", audio="pcm_s16le")
    return make_clip(path, **SIZE, options={"crf": "1", "preset": "ultrafast"}, audio="aac")


def when(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, frame: int, do: Any) -> None:
    """Call `do` before the method `name` of `kind` is called for the frame `frame`, once."""
    method, calls = getattr(kind, name), iter(range(1_000_000))

    def counting(self: Any, *arguments: Any) -> Any:
        if next(calls) == frame:
            do()
        return method(self, *arguments)

    monkeypatch.setattr(kind, name, counting)


def assert_right(source: Path, out: Path, report: paragon_stream.Report) -> None:
    assert len(read_frames(out)) == FRAMES
    assert paragon_stream.verify(source, out, plan=report).findings == ()
    assert not out.with_name(f"{out.name}.paragon").exists()


@pytest.mark.parametrize("which", ["mkv", "mp4", "ts", "output"])
@pytest.mark.parametrize("state", ["gone", "stale"])
def test_a_network_folder_that_fails(
    clip: Path, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, which: str, state: str
) -> None:
    """A folder that is back after a moment costs nothing. One that stays away stops the render; what was done
    is kept, and `resume` goes on with it."""
    source, out = clip, tmp_path / "out.mkv"
    if which == "output":
        out = disk.folder / "out.mkv"
    else:
        source = disk.folder / f"in.{which}"
        source.write_bytes(clip.read_bytes() if which == "mkv" else make(tmp_path / source.name).read_bytes())
    said: list[str] = []
    kind, method = (VideoWriter, "write") if which == "output" else (VideoReader, "read_into")
    if state == "stale":
        with monkeypatch.context() as patch:
            when(patch, kind, method, 60, lambda: disk.become("stale"))
            report = paragon_stream.upscale(source, out, on_warning=said.append, **WISH)
        assert any("trying once more, after" in text for text in said), said
        assert_right(source, out, report)
        return
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "PAUSE", 0.1)
        when(patch, kind, method, 60, lambda: disk.become("gone"))
        with pytest.raises(ParagonError, match="input/output error") as caught:
            paragon_stream.upscale(source, out, on_warning=said.append, **WISH)
    assert isinstance(caught.value, OutputError if which == "output" else InputError)
    assert any("trying once more" in text for text in said), said
    disk.become("ok")
    assert not out.exists()
    report = paragon_stream.upscale(source, out, resume=True, **WISH)
    assert report.resumed_at > 20
    assert_right(source, out, report)


def test_a_slow_disk(clip: Path, disk: Disk) -> None:
    """It takes longer; nothing is lost and nothing runs into a time limit."""
    disk.become("slow")
    out = disk.folder / "out.mkv"
    report = paragon_stream.upscale(clip, out, **WISH)
    assert_right(clip, out, report)
    assert report.warnings == ()
