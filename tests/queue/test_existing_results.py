"""Results that are there before a run: what is kept, continued, replaced and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest
from clips import make_clip, read_frames
from published_files import write
from queue_material import FAST, outcomes

from paragon_stream import QueueObserver, upscale_all
from paragon_stream.cli.main import run
from paragon_stream.errors import OutputError
from paragon_stream.media.encode.workdir import WorkDir
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.queue import work
from paragon_stream.queue.journal import NAME
from paragon_stream.render import identity


def test_what_was_changed_is_not_overwritten_unasked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, clip = tmp_path / "out", folder / "a.mkv"
    upscale_all([clip], out, **FAST)
    other = upscale_all([clip], out, crf=30, **FAST)
    assert "made with a different crf: --overwrite" in other.failed[0].error
    assert outcomes(upscale_all([clip], out, crf=30, overwrite=True, **FAST)) == {"a.mkv": "finished"}
    (out / "a.mkv").write_bytes(b"mine now")
    words = [str(clip), str(folder / "p.png"), str(out), "--crf=30", "--preset=ultrafast", "--engine=null"]
    assert run(words) == 0
    assert "a.mkv was changed since it was made: it is kept" in capsys.readouterr().err
    make_clip(clip, frames=4)
    changed = upscale_all([clip], out, crf=30, **FAST)
    assert "was changed since it was made" in changed.failed[0].error
    assert (out / "a.mkv").read_bytes() == b"mine now"


def test_files_that_are_there_already(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, clip = tmp_path / "out", folder / "a.mkv"
    out.mkdir()
    (out / "a.mkv").write_bytes(b"mine")
    for _ in range(2):  # the second time, the journal has the failure
        assert "exists already" in upscale_all([clip], out, **FAST).failed[0].error
        assert (out / "a.mkv").read_bytes() == b"mine"
    assert run([str(folder / "a.mkv"), str(folder / "p.png"), str(out), "--resume", "--engine", "null"]) == 0
    assert "a.mkv was there already: it was not examined" in capsys.readouterr().err
    assert (out / "a.mkv").read_bytes() == b"mine"
    assert outcomes(upscale_all([clip], out, overwrite=True, **FAST)) == {"a.mkv": "finished"}


def test_a_file_that_appears_during_the_render_is_not_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, clip, write = tmp_path / "out", folder / "a.mkv", VideoWriter.write

    def late(self: VideoWriter, planes: Any, timing: Any) -> None:
        (out / "a.mkv").write_bytes(b"mine")
        write(self, planes, timing)

    monkeypatch.setattr(VideoWriter, "write", late)
    assert "appeared during" in upscale_all([clip], out, **FAST).failed[0].error
    assert "exists already" in upscale_all([clip], out, **FAST).failed[0].error
    assert (out / "a.mkv").read_bytes() == b"mine"


def test_a_recording_of_a_live_session_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    """Neither by a render of its name, nor by the start from the first frame after a failure."""
    out = tmp_path / "out"
    out.mkdir()
    recording = WorkDir(out / "a.mkv", overwrite=False, recording=True)
    recording.file.write_bytes(b"recorded")
    recording.abandon(worth_keeping=True)
    for _ in range(2):
        assert "unfinished recording" in upscale_all([folder / "a.mkv"], out, **FAST).failed[0].error
        assert recording.file.read_bytes() == b"recorded"
    assert outcomes(upscale_all([folder / "a.mkv"], out, overwrite=True, **FAST)) == {"a.mkv": "finished"}


def _interrupted(clip: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Render 40 of the frames of `clip`, then stop as by Ctrl-C."""
    write, calls = VideoWriter.write, iter(range(10**9))

    def stopped(self: VideoWriter, planes: Any, timing: Any) -> None:
        if next(calls) == 40:
            raise KeyboardInterrupt
        write(self, planes, timing)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(VideoWriter, "write", stopped)
        upscale_all([clip], out, engine="null", **options)


@pytest.mark.parametrize("state", ["interrupted", "started"])
def test_a_result_that_is_being_made_again_is_continued(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C, and after a kill, whose last record is "started"."""
    out, clip = tmp_path / "out", tmp_path / "a.mkv"
    options: dict[str, Any] = {"codec": "ffv1", "encoder_options": {"g": "5"}}
    upscale_all([make_clip(clip, frames=4)], out, engine="null", **options)
    old = (out / "a.mkv").read_bytes()
    make_clip(clip, frames=60)
    _interrupted(clip, out, monkeypatch, **options)
    assert (out / "a.mkv").read_bytes() == old
    lines = (out / NAME).read_text().splitlines(keepends=True)
    assert json.loads(lines[-1])["state"] == "interrupted"
    if state == "started":
        (out / NAME).write_text("".join(lines[:-1]))
    again = upscale_all([clip], out, engine="null", **options).files[0]
    assert again.render is not None and again.render.resumed_at >= 10, again.error
    assert len(read_frames(out / "a.mkv")) == 60


@pytest.mark.parametrize("failure", ["encoder", "upgrade", "headers"])
def test_an_unfinished_file_is_only_replaced_if_it_cannot_be_continued(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, clip = tmp_path / "out", make_clip(tmp_path / "a.mkv", frames=60)
    options: dict[str, Any] = {"codec": "ffv1", "encoder_options": {"g": "5"}}
    _interrupted(clip, out, monkeypatch, **options)

    def broken(*_: object) -> None:
        raise av.error.ExternalError(542398533, "the encoder has no session left")

    if failure == "encoder":
        with monkeypatch.context() as patch:
            patch.setattr(VideoWriter, "_open", broken)
            assert "no session left" in upscale_all([clip], out, engine="null", **options).failed[0].error
    elif failure == "upgrade":
        with monkeypatch.context() as patch:
            patch.setattr(identity, "__version__", "9.9")
            error = upscale_all([clip], out, engine="null", **options).failed[0].error
            assert "--accept-upgrade continues it" in error
    else:
        (out / "a.mkv.paragon" / "headers").write_text("of another encoder")
    again = upscale_all([clip], out, engine="null", **options).files[0]
    assert again.render is not None, again.error
    assert (again.render.resumed_at >= 10) == (failure != "headers")
    assert len(read_frames(out / "a.mkv")) == 60


def test_a_wrong_option_is_not_called_a_new_start(folder: Path, tmp_path: Path) -> None:
    warnings: list[str] = []

    class Warnings(QueueObserver):
        def warning(self, item: Any, sentence: str) -> None:
            warnings.append(sentence)

    for _ in range(2):
        report = upscale_all([folder / "a.mkv"], tmp_path / "out", audio="5", observer=Warnings(), **FAST)
        assert "5" in report.failed[0].error
    assert warnings == []


def test_an_interrupted_comparison_leaves_a_result_that_is_ours(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(work, "verify", stopped)
        upscale_all([folder / "a.mkv"], tmp_path / "out", verify=True, preset="ultrafast")
    report = upscale_all([folder / "a.mkv"], tmp_path / "out", verify=True, preset="ultrafast")
    assert outcomes(report) == {"a.mkv": "finished"}


def test_the_same_files_by_other_paths(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bad.mkv").unlink()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(folder)
    places = [(tmp_path, "in", "out"), (tmp_path / "sub", "../in", "../out"), (tmp_path, "link", "out")]
    for number, (here, source, out) in enumerate(places):
        monkeypatch.chdir(here)
        report = upscale_all([source], out, **FAST)
        assert {str(each.outcome) for each in report.files} == {"left alone" if number else "finished"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mkv", "p.png", NAME]


def test_options_without_influence_and_another_container(folder: Path, tmp_path: Path) -> None:
    warnings: list[str] = []

    class Warnings(QueueObserver):
        def warning(self, item: Any, sentence: str) -> None:
            warnings.append(sentence)

    clip, out = folder / "s1" / "a.mp4", tmp_path / "out"
    upscale_all([clip], out, **FAST)
    assert outcomes(upscale_all([clip], out, reuse_duplicates="off", **FAST)) == {"a.mp4": "left alone"}
    other = upscale_all([clip], out, container="mkv", observer=Warnings(), **FAST)
    assert (outcomes(other), warnings) == ({"a.mkv": "finished"}, []), "not: a.mkv is gone"
    for container, name in ((None, "a.mp4"), ("mkv", "a.mkv")) * 2:  # both are the journal's
        again = upscale_all([clip], out, container=container, observer=Warnings(), **FAST)
        assert (outcomes(again), warnings) == ({name: "left alone"}, [])


def test_files_of_options_count_by_content(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the spelling of their paths, which is all that records of earlier versions have."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "w.safetensors", "p2r3", "nano")
    subtitles = tmp_path / "s.srt"
    subtitles.write_text("1\n00:00:00,000 --> 00:00:00,100\nyes\n")

    def again(weights: str = "w.safetensors", add: str = "s.srt") -> str:
        facts: dict[str, Any] = {"weights": weights, "add": [add], "scale": 2, "alpha": 1.0}
        report = upscale_all([folder / "a.mkv"], "out", generation="p2r3", **facts, **FAST)
        return report.files[0].error or str(report.files[0].outcome)

    assert again() == "finished"
    assert again(weights="./w.safetensors", add=str(subtitles)) == "left alone"
    journal = tmp_path / "out" / NAME
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    new = journal.read_bytes()
    for record in records:
        assert list(record["options"].pop("contents")) == ["weights", "add"]
    journal.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    assert again() == "left alone"
    assert "different weights: " in again(weights="./w.safetensors")
    journal.write_bytes(new)
    subtitles.write_text("1\n00:00:00,000 --> 00:00:00,100\nnot\n")
    assert "different add: " in again()
    write(tmp_path / "w.safetensors", "p2r3", "nano", {"trained": "further"})
    assert "different add, weights: " in again()


def test_results_never_replace_sources(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "a.mkv").read_bytes()
    assert run([str(folder / "a.mkv"), str(folder / "p.png"), str(folder), "--overwrite"]) == 2
    assert "contains the sources" in capsys.readouterr().err
    assert (folder / "a.mkv").read_bytes() == before


def test_results_among_the_sources_are_no_sources(folder: Path, tmp_path: Path) -> None:
    """Neither in the next run nor, without an end, by --watch."""
    box = tmp_path / "box"
    box.mkdir()
    (folder / "a.mkv").rename(box / "a.avi")
    assert outcomes(upscale_all([box], box, **FAST)) == {"a.mkv": "finished"}
    again = upscale_all([box], box, **FAST)
    assert [(Path(each.source).name, str(each.outcome)) for each in again.files] == [("a.avi", "left alone")]


def test_a_folder_of_results_that_goes_away(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    class Remove(QueueObserver):
        def ended(self, item: Any, result: Any) -> None:
            out.rename(tmp_path / "elsewhere")

    with pytest.raises(OutputError, match="gone"):
        upscale_all([folder / "a.mkv", folder / "s1"], out, observer=Remove(), **FAST)
    assert not out.exists(), "nothing is written into what is below a mount point"
