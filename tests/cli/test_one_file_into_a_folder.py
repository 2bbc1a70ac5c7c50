"""One file and a folder as OUTPUT: what is made there, and under which name."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import make_clip
from PIL import Image

from paragon_stream.cli.main import run


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "a.avi", frames=2, codec="mpeg4")
    Image.new("RGB", (16, 16)).save(tmp_path / "p.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "profiles.toml").write_text('[p]\ncontainer = "mp4"\nengine = "null"\n')
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (["a.avi", "out"], "out/a.mkv"),
        (["a.avi", "out", "--container", "mp4"], "out/a.mp4"),
        (["a.avi", "out/*.mp4"], "out/a.mp4"),
        (["a.avi", "out", "--profile", "p"], "out/a.mp4"),
        (["a.avi", "b.mkv", "--profile", "p"], "b.mkv"),
        (["a.avi", "new.mp4/"], "new.mp4/a.mkv"),
        (["p.png", "out/*.bmp"], "out/p.bmp"),
        (["p.png", "out", "--profile", "p"], "out/p.png"),
        (["p.png", "results.v1/"], "results.v1/p.png"),
        (["p.png", "a.avi", "results.png/"], "results.png/p.png"),
    ],
)
def test_what_is_made(arguments: list[str], made: str, sources: Path) -> None:
    assert run([*arguments, "--engine", "null", "--quiet"]) == 0
    assert (sources / made).is_file()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["a.avi", "b.mp4", "--container", "mp4"], "give a folder"),
        (["p.png", "out", "--container", "mp4"], "p.png is a picture"),
        (["a.avi", "out/*.png"], "is for images"),
        (["p.png", "out/*.mp4"], "is for videos"),
        (["f_%03d.png", "out/*.mp4"], "needs a name"),
        (["a.avi", "file/"], "is a file"),
        (["p.png", "q.png", "--trace", "t.json"], "--trace is for video"),
        (["a.avi", "b.mkv", "--trace", "t.json", "--report", "./t.json"], "have one name"),
        (["file", "b.mkv", "--report", "./file"], "--report file would replace the video of that name"),
        (["live", "a.avi", "rec", "--format", "ts", "--report", "rec"], "--report rec would replace"),
        (["live", "a.avi", "rec", "--format", "ts", "--trace", "./rec"], "--trace rec would replace"),
    ],
)
def test_what_is_refused(
    arguments: list[str], word: str, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(sources.rglob("*"))
    assert run([*arguments, "--quiet"]) == 2
    assert word in capsys.readouterr().err
    assert sorted(sources.rglob("*")) == before
