"""Terminals, and what stands in for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from clips import make_clip
from places import REPOSITORY

from paragon_stream.cli.progress import ProgressDisplay, render_line, say
from paragon_stream.render.progress import RenderProgress

HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
@pytest.mark.timeout(60)
def test_the_cursor_is_back_after_ctrl_c_at_the_very_beginning(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "paragon_stream", "examples/sample.mkv", str(tmp_path / "out.mkv")],
        cwd=REPOSITORY,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    said = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while more := terminal.read(4096):
                if not said:
                    process.send_signal(signal.SIGINT)  # the display begins just now
                said += more
        except OSError:  # what Linux says when the other end has been closed
            pass
    assert process.wait(30) == 130, said
    assert said.startswith(HIDE)
    assert said.rindex(SHOW) > said.rindex(HIDE)
    assert b"interrupted" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
def test_lines_are_printed_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    import pty

    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with ProgressDisplay(render_line) as display:
            display(RenderProgress(frames=10, total=100, fps=1.0, eta=90.0, bytes_out=0))
            say("warning: [red]")
        say("the end")
        written = b""
        while b"the end" not in written:
            written += os.read(ours, 1 << 16)
    os.close(ours)
    assert b"\x1b[2Kwarning: [red]\r\n" in written, written  # the bar's line was cleared


def test_what_a_code_page_lacks_is_replaced(tmp_path: Path) -> None:
    """Windows writes files and pipes in one of these."""
    clip = make_clip(tmp_path / "in.mkv", frames=2, audio="aac", titles=["", "日本語"])
    shown = []
    for flags in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "paragon_stream", "probe", str(clip), *flags],
            cwd=REPOSITORY,
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        )
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout)
    assert b"???" in shown[0]
    facts = json.loads(shown[1].decode("utf-8"))
    assert "日本語" in [stream["title"] for stream in facts["streams"]]


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
@pytest.mark.parametrize("command", [[], ["live"]])
def test_raw_video_does_not_fill_a_terminal(command: list[str]) -> None:
    import pty

    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "paragon_stream", *command, "examples/sample.mkv", "-"],
        cwd=REPOSITORY,
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"standard output is a terminal" in done.stderr
