"""Names that are no UTF-8, and names as long as file systems take them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from clips import make_clip
from PIL import Image

from paragon_stream.cli.main import run
from paragon_stream.queue.journal import NAME
from paragon_stream.wholefile import fitting

LATIN_1 = os.fsdecode(b"caf\xe9")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
def test_names_that_are_no_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=3)
    source, out, report = (tmp_path / f"{LATIN_1}{suffix}" for suffix in (".in.mkv", ".out.mkv", ".json"))
    clip.rename(source)
    assert run([str(source), str(out), "--engine", "null", "--quiet", "--report", str(report)]) == 0
    assert json.loads(report.read_text(encoding="utf-8"))["source"] == str(source)
    there = {os.fsencode(path.name) for path in tmp_path.iterdir()}  # bytes: reports of tests are UTF-8
    assert there == {os.fsencode(path.name) for path in (source, out, report)}
    assert run(["probe", str(source), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(source)
    for suffix in (".json", ".html"):
        page = report.with_suffix(suffix)
        arguments = ["verify", str(source), str(out), "--report", str(page), "--progress", "json"]
        assert run(arguments) == 1  # the null engine's pictures are wrong
        assert page.read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
def test_pictures_whose_names_are_no_utf8(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / f"{LATIN_1}.png")
    out, report = tmp_path / "out", tmp_path / f"{LATIN_1}.json"
    assert run([str(tmp_path), str(out), "--engine", "null", "--quiet", "--report", str(report)]) == 0
    assert json.loads(report.read_text(encoding="utf-8"))["files"][0]["destination"].startswith(str(out))
    assert {path.name for path in out.iterdir()} == {f"{LATIN_1}.png", NAME}
    assert run([str(tmp_path), str(out), "--engine", "null", "--quiet", "--report", str(report)]) == 0
    assert json.loads(report.read_text(encoding="utf-8"))["files"][0]["outcome"] == "left alone"


@pytest.mark.parametrize("letter", ["n", "é"])
def test_names_as_long_as_they_can_be(tmp_path: Path, letter: str) -> None:
    name = letter * (251 // len(letter.encode()))
    clip = make_clip(tmp_path / "clip.mkv", frames=3)
    out = tmp_path / f"{name}.mkv"
    assert run([str(clip), str(out), "--engine", "null"]) == 0
    assert run(["probe", str(out)]) == 0  # it plans an output whose name is longer
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    picture = tmp_path / f"{name}.png"
    assert run([str(tmp_path / "a.png"), str(picture), "--engine", "null"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mkv", "a.png", out.name, picture.name}


def test_shortened_names_stay_apart() -> None:
    names = [f"{'é' * 122}{end}" for end in ("a.mkv", "b.mkv")]
    short = [fitting(name, ".paragon") for name in names]
    assert short[0] != short[1]
    assert all(len(os.fsencode(name)) <= 255 and name.endswith(".paragon") for name in short)
    assert fitting("out.mkv", ".paragon") == "out.mkv.paragon"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_with_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They neither clear the terminal nor look like lines of their own."""
    folder = tmp_path / "in"
    folder.mkdir()
    make_clip(folder / "a\x1b[2J\n[1] failed  c.mkv", frames=3)
    (folder / "b\x1b[2J.mkv").write_bytes(b"no video" * 99)
    assert run([str(folder), str(tmp_path / "out"), "--engine", "null"]) == 1
    assert run([str(folder / "b\x1b[2J.mkv"), str(tmp_path / "b.mkv"), "--engine", "null"]) == 1
    printed = capsys.readouterr().err
    assert "\x1b" not in printed
    assert (
        [line for line in printed.splitlines() if "failed  c.mkv" in line]
        == [line for line in printed.splitlines() if "a\ufffd[2J [1] failed  c.mkv" in line]
        != []
    )
