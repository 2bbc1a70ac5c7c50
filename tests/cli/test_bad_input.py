"""Bad input: one clear line, the right exit code, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import corrupted, make_clip, truncated

from paragon_stream.cli.main import run

type Refusal = Callable[..., str]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mkv", frames=8)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refusal:
    """Run the command line; it must fail with `code`, say one line, and leave the folder as it was."""

    def call(*arguments: str | Path, code: int) -> str:
        before = sorted(tmp_path.rglob("*"))
        assert run([*map(str, arguments), "--quiet"]) == code
        printed = capsys.readouterr()
        assert printed.out == ""
        lines = [line for line in printed.err.splitlines() if not line.startswith("warning:")]
        assert len(lines) == 1, lines
        assert lines[0].startswith("paragon-stream: ")
        assert "internal error" not in lines[0]
        assert sorted(tmp_path.rglob("*")) == before
        return lines[0]

    return call


def test_source_that_is_no_video(refused: Refusal, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    (tmp_path / "empty.mkv").touch()
    (tmp_path / "text.mkv").write_text("hello, this is no video\n" * 20)
    make_clip(tmp_path / "sound.mka", codec=None, audio="aac")
    for name, word in {
        "missing.mkv": "does not exist",
        ".": "folder",
        "empty.mkv": "empty",
        "text.mkv": "text",
        "sound.mka": "no video",
    }.items():
        assert word in refused(tmp_path / name, out, code=1)


def test_destination_that_cannot_be_written(refused: Refusal, clip: Path, tmp_path: Path) -> None:
    existing = tmp_path / "existing.mkv"
    existing.write_bytes(b"precious")
    copy = tmp_path / "same.mkv"
    copy.write_bytes(clip.read_bytes())
    assert "--overwrite" in refused(clip, existing, code=1)
    assert existing.read_bytes() == b"precious"
    assert "folder" in refused(clip, tmp_path / "nowhere" / "out.mkv", code=1)
    refused(clip, tmp_path, code=2)
    assert "same" in refused(copy, copy, "--overwrite", code=2)
    assert ".xyz" in refused(clip, tmp_path / "out.xyz", code=2)
    assert copy.read_bytes() == clip.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--variant", "ultra"], ["ultra", "realtime"]),
        (["--scale", "7"], ["7"]),
        (["--scale", "two"], ["two"]),
        (["--weights", "nonesuch"], ["nonesuch", "fidelity"]),
        (["--engine", "warp"], ["warp", "openvino"]),
        (["--precision", "int3"], ["int3", "fp32"]),
        (["--threads", "0"], ["threads"]),
        (["--codec", "libnope"], ["libnope", "libx264"]),
        (["--crf", "99"], ["crf"]),
        (["--preset", "sluggish"], ["preset"]),
        (["--pix-fmt", "yuv999p"], ["yuv999p"]),
        (["-x", "novalue"], ["KEY=VALUE"]),
        (["-x", "nosuchoption=1"], ["nosuchoption"]),
        (["--nonsense"], ["--nonsense"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage(
    refused: Refusal, clip: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    line = refused(clip, tmp_path / "out.mkv", *arguments, code=2)
    for word in words:
        assert word in line
