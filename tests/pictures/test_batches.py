"""Folders and globs on the command line: a line per file, failures that stop no other, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from image_files import pattern, read, save
from PIL import Image

from paragon_stream.cli.main import run
from paragon_stream.media.images.picture import read_picture
from paragon_stream.pictures.batch import upscale_images
from paragon_stream.pictures.files import is_images, plan_images
from paragon_stream.queue.journal import NAME


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Three images of two sizes, one damaged, and a file that is none."""
    folder = tmp_path / "shots"
    folder.mkdir()
    save(folder / "a.png", Image.fromarray(pattern()))
    save(folder / "b.jpg", Image.fromarray(pattern(40, 30)), orientation=6)
    save(folder / "c.webp", Image.fromarray(pattern(40, 30)))
    (folder / "damaged.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_folder(shots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, report = tmp_path / "deep" / "out", tmp_path / "report.json"
    assert run([str(shots), str(out), "--report", str(report)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [
        f"[{n}/4] {out / f}" for n, f in enumerate(NAMES, 1)
    ]
    assert lines[3].startswith("[4/4] failed: ") and "damaged.png" in lines[3]
    assert lines[-1] == "paragon-stream: 1 of 4 files failed, see above; the others are done"
    assert made(out) == NAMES
    assert read(out / "a.png").shape == (140, 180, 3)
    assert read(out / "b.jpg").shape == (80, 60, 3)
    facts = json.loads(report.read_text())
    assert [bool(image["error"]) for image in facts["files"]] == [False, False, False, True]


def test_a_callback_ends_the_batch(shots: Path, tmp_path: Path) -> None:
    def cancel(_: object) -> None:
        raise ZeroDivisionError("enough")

    with pytest.raises(ZeroDivisionError, match="enough"):
        upscale_images(shots, tmp_path / "out", on_progress=cancel, engine="null")
    assert not (tmp_path / "out").exists()


def made(folder: Path) -> list[str]:
    """The files in `folder`, without the journal."""
    return sorted(path.name for path in folder.iterdir() if path.name != NAME)


NAMES = ["a.png", "b.jpg", "c.webp"]


def test_existing_files_are_left_alone(
    shots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"precious")
    (shots / "damaged.png").unlink()
    assert run([str(shots), str(out), "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "a.png exists already" in said and said.count("\n") == 2
    assert (out / "a.png").read_bytes() == b"precious"
    assert made(out) == NAMES
    assert run([str(shots), str(out), "--quiet", "--overwrite"]) == 0
    assert read(out / "a.png").shape == (140, 180, 3)
    assert capsys.readouterr().err == ""


def test_glob_and_another_kind(shots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(shots / "[abc].*"), str(tmp_path / "out" / "*.png")]) == 0
    assert made(tmp_path / "out") == ["a.png", "b.png", "c.png"]
    assert capsys.readouterr().err.splitlines()[-1].startswith("3 files in ")


def test_requests_that_make_no_sense(shots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = str(shots / "a.png")
    for arguments, code, word in (
        ([str(shots), str(tmp_path / "out.png")], 2, "folder"),
        ([str(shots), str(tmp_path / "out.mkv")], 2, "frame_%06d.png"),
        ([str(shots / "*.gif"), str(tmp_path / "out")], 1, "no file"),
        ([a, str(tmp_path / "x.png"), "--crf", "20"], 2, "--crf is for video"),
        ([a, str(tmp_path / "x.gif")], 2, ".gif"),
        ([a, str(tmp_path / "x.jpg"), "-x", "quality=abc"], 2, "quality"),
        ([a, str(tmp_path / "x.png"), "--weights", str(tmp_path / "none")], 1, "none"),
        ([str(shots / "damaged.png"), str(tmp_path / "new" / "x.png")], 1, "damaged"),
        ([str(tmp_path / "gone.png"), str(tmp_path / "x.png")], 1, "not exist"),
    ):
        assert run([*arguments, "--quiet"]) == code, arguments
        said = capsys.readouterr().err
        assert word in said and said.count("\n") == 1, said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shots"]


def test_who_is_asked(tmp_path: Path) -> None:
    """Images to images here, everything else to the video side."""
    image = save(tmp_path / "a.png", Image.new("L", (4, 4)))
    odd = save(tmp_path / "odd_%d.png", Image.new("L", (4, 4)))
    assert is_images(tmp_path, "out")
    assert is_images("shots/*.png", "out/")
    assert is_images(image, tmp_path / "b.JPG")
    assert is_images(image, tmp_path)
    assert is_images("a.ppm", "b.png") and is_images("a.jp2", "b.png")
    assert not is_images("a.ppm", "b.mkv") and not is_images("a.gif", "b.png")
    assert is_images(odd, tmp_path / "b.png")
    assert is_images(image, "larger")
    assert is_images(image, "out.gif")  # which is then refused with the kinds that can be written
    assert not is_images(image, "-")
    assert not is_images(image, "out.mkv")
    assert not is_images("in_%04d.png", "out_%04d.png")
    assert not is_images("clip.mkv", "out_%04d.png")
    assert not is_images("clip.mkv", "out.mkv")
    assert plan_images([image, odd], tmp_path / "o")[0] == [
        (image, tmp_path / "o" / "a.png"),
        (odd, tmp_path / "o" / "odd_%d.png"),
    ]


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C between two tiles: 130, one line, what is complete stays, nothing half-written."""
    folder = tmp_path / "in"
    folder.mkdir()
    save(folder / "1.png", Image.fromarray(pattern(64, 64)))
    for name in "23456789":
        save(folder / f"{name}.png", Image.fromarray(np.tile(pattern(100, 100), (20, 20, 1))))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "paragon_stream", str(folder), str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while not (out / "1.png").exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "paragon-stream: interrupted"
    assert "Traceback" not in said
    assert not list(out.glob(".*"))
    for path in out.glob("*.png"):
        read(path)


def test_a_batch_is_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Existing files are not changed, of any kind."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for name in ("a", "b", "c"):
        save(folder / f"{name}.png", Image.fromarray(pattern(24, 16)))
    (out / "b.png").write_bytes(b"mine")
    assert run([str(folder), str(out), "--resume"]) == 0
    assert "3 files in" in (said := capsys.readouterr().err) and "left alone" in said
    assert (out / "b.png").read_bytes() == b"mine"
    assert made(out) == ["a.png", "b.png", "c.png"]
    report = upscale_images(folder, out, resume=True)
    assert (report.images, report.left) == ((), 3)


def test_an_unexpected_exception_costs_one_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abc":
        save(folder / f"{name}.png", Image.fromarray(pattern(24, 16)))

    def broken(path: Path) -> object:
        if path.name == "b.png":
            raise ZeroDivisionError("a reader of straw")
        return read_picture(path)

    monkeypatch.setattr("paragon_stream.pictures.job.read_picture", broken)
    assert run([str(folder), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "b.png: internal error, please report it: ZeroDivisionError: a reader of straw" in said
    assert "1 of 3 files failed, see above; the others are done" in said
    assert made(tmp_path / "out") == ["a.png", "c.png"]
