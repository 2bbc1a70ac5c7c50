"""Runs whose standard output or standard error is closed or leads to a full disk: services, cron, scripts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import pytest
from clips import make_clip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


def shell(redirection: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`python -m paragon_stream ARGUMENTS` with a shell's `redirection` behind it."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "paragon_stream"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("redirection", ["2>&-", "2>&- >&-", "<&- 2>&- >&-", "2>/dev/full"])
def test_messages_that_cannot_be_shown_end_no_render(tmp_path: Path, redirection: str) -> None:
    clip, out = make_clip(tmp_path / "in.mkv", frames=3), tmp_path / "out.mkv"
    assert shell(redirection, clip, out, "--engine", "null").returncode == 0
    with av.open(str(out)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 3
    assert shell(redirection, clip, out, "--engine", "null").returncode == 1  # it exists already
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mkv"]


def test_facts_that_cannot_be_shown_are_a_failure(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    done = shell(">/dev/full", "probe", clip)
    assert done.returncode == 1
    assert done.stderr == "paragon-stream: standard output cannot be written: the disk is full\n"


def test_video_into_a_closed_standard_output(tmp_path: Path) -> None:
    done = shell(">&-", make_clip(tmp_path / "in.mkv", frames=3), "-", "--engine", "null")
    assert done.returncode == 1
    assert done.stderr.startswith("paragon-stream: standard output is closed")


def test_a_reader_of_facts_that_leaves_hears_no_complaint(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    done = shell("| true", "probe", clip)
    assert (done.stdout, done.stderr) == ("", "")
