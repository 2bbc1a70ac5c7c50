"""The output of `probe`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clips import make_clip

from paragon_stream.cli.main import run

MASTER = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


def test_how_it_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = make_clip(tmp_path / "plain.mp4", frames=3)
    turned = make_clip(tmp_path / "turned.mp4", frames=3, rotation=90)
    bright = make_clip(
        tmp_path / "hdr.mkv",
        frames=3,
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"preset": "ultrafast", "x265-params": f"log-level=none:{MASTER}:max-cll=1000,400"},
    )
    assert run(["probe", str(plain)]) == 0
    said = capsys.readouterr().out
    assert "turned" not in said and "HDR10" not in said
    assert run(["probe", str(turned)]) == 0
    assert "  shown rotated by 270 degrees clockwise\n" in capsys.readouterr().out
    assert run(["probe", str(bright)]) == 0
    assert "  HDR10: MaxCLL 1000, MaxFALL 400, mastering display G(13250," in capsys.readouterr().out


def test_a_folder_that_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written, so no right to write is needed."""
    clip = make_clip(tmp_path / "clip.mkv", frames=3)
    real: Callable[[Any, int], bool] = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and real(path, mode))
    assert run(["probe", str(clip)]) == 0
    assert "would become (.mkv" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "code", "word"), [(".", 1, "is a folder"), ("/", 1, "is a folder"), ("", 2, "empty")]
)
def test_names_that_are_no_files(
    name: str, code: int, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["probe", name]) == code
    said = capfd.readouterr().err
    assert word in said and said.count("\n") == 1 and "internal error" not in said


@pytest.mark.skipif(os.name == "nt", reason="odd names")
def test_control_characters_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "clip\x1b[2J\nwarning: all is lost.mkv"
    clip = make_clip(
        odd,
        frames=3,
        audio="aac",
        titles=(
            "",
            "Sound\x1b[31m\n  video: fake",
        ),
    )
    assert run(["probe", str(clip)]) == 0
    out = str(odd.with_suffix(".out.mkv"))
    assert run([str(clip), out, "--engine", "null", "--verify"]) == 1
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert not any(line.startswith(("warning: all", "  video: fake")) for line in printed.out.splitlines())
    assert "clip\ufffd[2J warning" in printed.out and "Sound\ufffd[31m video: fake" in printed.out
