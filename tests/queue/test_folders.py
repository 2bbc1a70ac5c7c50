"""Runs over many files, with real containers: what is made, and what is tried again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import pytest
from clips import make_clip, read_frames
from published_files import write
from queue_material import FAST, outcomes

from paragon_stream import QueueObserver, QueueReport, upscale_all
from paragon_stream.cli.main import run
from paragon_stream.errors import CheckpointError, EngineError, InputError, Interrupted, OutputError
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.queue import runner, watch, work
from paragon_stream.queue.journal import NAME, FileFacts, Journal
from paragon_stream.queue.progress import WorkMeter
from paragon_stream.queue.results import Outcome
from paragon_stream.upscaler import Upscaler


def test_a_wrong_generation_is_an_error_before_any_file(folder: Path, tmp_path: Path) -> None:
    bare = write(tmp_path / "bare.safetensors", "p2r3", "nano")
    facts: dict[str, Any] = {"weights": bare, "scale": 2, "alpha": 1.0}
    with pytest.raises(CheckpointError, match="p2v7"):
        upscale_all([folder / "a.mkv"], tmp_path / "out", generation="p2v7", **FAST, **facts)
    report = upscale_all([folder / "a.mkv"], tmp_path / "out", generation="p2r3", **FAST, **facts)
    assert outcomes(report) == {"a.mkv": "finished"}


def test_a_folder_then_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = upscale_all([folder], out, recursive=True, preset="ultrafast", engine="openvino", threads=1)
    assert outcomes(report) == {
        "a.mkv": "finished",
        "bad.mkv": "failed",
        "p.png": "finished",
        "a.mp4": "finished",
        "b.mov": "finished",
    }
    assert report.compiled == 2, "one for 96x64, one for 64x64"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == [
        *["a.mkv", "p.png", NAME, "s1/a.mp4", "s1/b.mov"]
    ]
    with av.open(str(out / "a.mkv")) as made:
        assert [stream.type for stream in made.streams] == ["video", "audio", "subtitle"]
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.m*")}

    again = upscale_all([folder], out, recursive=True, preset="ultrafast", engine="openvino", threads=1)
    assert {name for name, outcome in outcomes(again).items() if outcome == "left alone"} == {
        *["a.mkv", "p.png", "a.mp4", "b.mov"]
    }
    assert [Path(each.source).name for each in again.failed] == ["bad.mkv"]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.m*")} == times

    make_clip(folder / "bad.mkv", frames=3)
    make_clip(folder / "s1" / "b.mov", width=64, frames=4)
    (out / "p.png").unlink()
    third = upscale_all([folder], out, recursive=True, preset="ultrafast", engine="openvino", threads=1)
    assert {name for name, outcome in outcomes(third).items() if outcome == "finished"} == {
        *["bad.mkv", "b.mov", "p.png"]
    }
    assert len(read_frames(out / "s1" / "b.mov")) == 4


def test_a_single_name_is_a_source(folder: Path, tmp_path: Path) -> None:
    """Its letters are none: "/" would be the whole file system."""
    for source in (folder / "a.mkv", str(folder / "a.mkv")):
        report = upscale_all(source, tmp_path / type(source).__name__, **FAST)
        assert outcomes(report) == {"a.mkv": "finished"}


def test_kept_engines_give_the_same_pictures(folder: Path, tmp_path: Path) -> None:
    """The second file of a format goes through the first one's engine."""
    both = upscale_all(
        [folder / "a.mkv", folder / "s1" / "a.mp4"],
        *[tmp_path / "both"],
        codec="ffv1",
        container="mkv",
        engine="openvino",
        threads=1,
    )
    alone = upscale_all(
        [folder / "s1" / "a.mp4"],
        *[tmp_path / "alone"],
        codec="ffv1",
        container="mkv",
        engine="openvino",
        threads=1,
    )
    assert (both.compiled, alone.compiled) == (1, 1)
    name = Path(alone.files[0].destination).name
    frames = [read_frames(next((tmp_path / where).rglob(n))) for where, n in (("alone", name),)]
    second = read_frames(Path(both.files[1].destination))
    for (_, before), (_, after) in zip(frames[0], second, strict=True):
        assert all((a == b).all() for a, b in zip(before, after, strict=True))


@pytest.mark.skipif(os.name == "nt", reason="POSIX's signals")
def test_kill_9_and_the_same_command_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Finished files are left alone, the interrupted one goes on, and the journal says what was killed."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a", "b", "c"):
        make_clip(folder / f"{name}.mkv", frames=60)
    options = {"codec": "ffv1", "encoder_options": {"g": "5"}, "threads": 1}
    script = f"""
        import os, signal
        import paragon_stream
        from paragon_stream.media.output.writer import VideoWriter
        written, write = [], VideoWriter.write
        def counting(self, planes, timing):
            if len(written) == 60 + 50:
                os.kill(os.getpid(), signal.SIGKILL)
            written.append(timing)
            write(self, planes, timing)
        VideoWriter.write = counting
        paragon_stream.upscale_all([{str(folder)!r}], {str(out)!r}, **{options!r})
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=120, cwd=Path.cwd())
    assert ended.returncode == -signal.SIGKILL
    assert (out / "a.mkv").exists() and not (out / "b.mkv").exists()
    half = next(line for line in reversed((out / NAME).read_text().splitlines()))
    killed = json.loads(half)
    assert (killed["state"], killed["destination"]) == ("started", "b.mkv")
    with (out / NAME).open("a") as journal:
        journal.write(half[: len(half) // 2])  # what a power cut leaves of a line
    first = (out / "a.mkv").stat().st_mtime_ns

    arguments = ["--codec", "ffv1", "-x", "g=5", "--threads", "1"]
    assert run([str(folder), str(out), *arguments, "--progress", "json"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(e["event"], e.get("earlier")) for e in events if e["job"] == killed["job"]] == [
        ("interrupted", True)
    ]
    by_event = {
        kind: [Path(e["destination"]).name for e in events if e["event"] == kind and e.get("source")]
        for kind in ("skipped", "finished")
    }
    assert by_event == {"skipped": ["a.mkv"], "finished": ["b.mkv", "c.mkv"]}
    resumed = next(
        e for e in events if e["event"] == "finished" and e.get("destination", "").endswith("b.mkv")
    )
    assert resumed["resumed_at"] >= 10
    assert (out / "a.mkv").stat().st_mtime_ns == first
    assert len(read_frames(out / "b.mkv")) == 60


def test_a_file_that_cannot_be_gone_on_with_is_begun_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, clip = tmp_path / "out", folder / "a.mkv"
    write = VideoWriter.write

    def broken(self: VideoWriter, planes: Any, timing: Any) -> None:
        raise OutputError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "write", broken)
        assert "power" in upscale_all([clip], out, **FAST).failed[0].error
    assert VideoWriter.write is write
    work = out / "a.mkv.paragon"
    work.mkdir(exist_ok=True)
    (work / "a.mkv").write_bytes(b"rubbish" * 99)
    assert outcomes(upscale_all([clip], out, **FAST)) == {"a.mkv": "finished"}
    assert len(read_frames(out / "a.mkv")) == 6


def test_a_full_disk_stops_the_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: VideoWriter, planes: Any, timing: Any) -> None:
        raise OutputError("cannot write") from OSError(28, "No space left on device")

    seen: list[str] = []

    class Watch(QueueObserver):
        def summary(self, report: QueueReport) -> None:
            seen.extend(outcomes(report).values())

    monkeypatch.setattr(VideoWriter, "write", full)
    with pytest.raises(OutputError, match="is full"):
        upscale_all([folder / "a.mkv", folder / "s1"], tmp_path / "out", observer=Watch(), **FAST)
    assert seen == ["failed"]


def test_an_engine_that_failed_is_compiled_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, calls = Upscaler.run, iter(range(10**9))

    def failing(self: Upscaler, *arguments: Any) -> Any:
        if next(calls) in (2, 3):  # the second time in the render's own retry
            raise EngineError("the device is lost")
        return runs(self, *arguments)

    monkeypatch.setattr(Upscaler, "run", failing)
    report = upscale_all([folder / "a.mkv", folder / "s1" / "a.mp4"], tmp_path / "out", **FAST)
    assert [str(each.outcome) for each in report.files] == ["failed", "finished"]
    assert report.compiled == 3, "once for the retry, once for the next file"


def test_a_cluster_that_failed_is_connected_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Connection:
        def __init__(self, address: str) -> None:
            seen.append("open")

        def close(self) -> None:
            seen.append("close")

    def failing(*_: object, **__: object) -> None:
        seen.append("render")
        raise EngineError("the cluster no longer responds")

    monkeypatch.setattr(work, "Connection", Connection)
    monkeypatch.setattr(work, "render_on_cluster", failing)
    report = upscale_all([folder / "a.mkv", folder / "s1" / "a.mp4"], tmp_path / "out", cluster="auto")
    assert len(report.failed) == 2
    assert seen == ["open", "render", "close"] * 2


@pytest.mark.parametrize("kind", [Interrupted, ZeroDivisionError])
@pytest.mark.parametrize("name", ["a.mkv", "p.png"])
def test_a_callback_ends_the_run(folder: Path, tmp_path: Path, kind: type[Exception], name: str) -> None:
    """Its exception is no failure of the file, which the next run renders."""

    class Cancel(QueueObserver):
        def progress(self, item: Any, progress: Any) -> None:
            raise kind("enough")

    (folder / "zzz.mkv").write_bytes((folder / "a.mkv").read_bytes())
    sources = [folder / name, folder / "zzz.mkv"]
    with pytest.raises(kind, match="enough"):
        upscale_all(sources, tmp_path / "out", observer=Cancel(), **FAST)
    records = [json.loads(line) for line in (tmp_path / "out" / NAME).read_text().splitlines()]
    assert [each["state"] for each in records] == ["started", "interrupted"]
    assert set(outcomes(upscale_all(sources, tmp_path / "out", **FAST)).values()) == {"finished"}


def test_two_runs_on_one_folder(folder: Path, tmp_path: Path) -> None:
    with Journal(tmp_path / "out"), pytest.raises(OutputError, match="another run works on"):
        upscale_all([folder / "a.mkv"], tmp_path / "out", **FAST)
    upscale_all([folder / "a.mkv"], tmp_path / "out", **FAST)


@pytest.mark.parametrize("clock", [-3600.0, 3600.0])
def test_a_kill_after_the_last_step_whatever_the_clocks_say(
    folder: Path, tmp_path: Path, clock: float
) -> None:
    """The file server's clock may be behind or ahead of this machine's."""
    out, clip = tmp_path / "out", folder / "a.mkv"
    upscale_all([clip], out, **FAST)
    journal = out / NAME
    started = journal.read_bytes().splitlines(keepends=True)[0]
    now = time.time()
    os.utime(out / "a.mkv", (now + clock, now + clock))

    journal.write_bytes(started)
    assert outcomes(upscale_all([clip], out, **FAST)) == {"a.mkv": "left alone"}
    journal.write_bytes(started)
    again = upscale_all([clip], out, verify=True, **FAST)
    assert outcomes(again) == {"a.mkv": "failed"}, "it is compared; null computes junk"

    there = asdict(FileFacts.of(out / "a.mkv") or pytest.fail("no result"))
    record = json.loads(started) | {"before": there}
    journal.write_text(json.dumps(record) + "\n")
    assert outcomes(upscale_all([clip], out, overwrite=True, **FAST)) == {"a.mkv": "finished"}
    assert (out / "a.mkv").stat().st_mtime_ns != there["mtime_ns"], "the old file is not the killed run's"


def test_every_video_is_verified(folder: Path, tmp_path: Path) -> None:
    report = upscale_all([folder / "a.mkv"], tmp_path / "out", verify=True, preset="ultrafast")
    assert [str(each.outcome) for each in report.files] == ["finished"]


@pytest.mark.timeout(60)
def test_watching(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is taken when it has stopped growing, and again when it changes."""
    monkeypatch.setattr(watch, "SETTLED", 0.0)
    monkeypatch.setattr(runner, "POLL", 0.05)
    growth = watch.Growth(settled=0.4)
    monkeypatch.setattr(runner, "Growth", lambda: growth)
    seen: list[tuple[str, float]] = []
    begun, new = threading.Event(), folder / "new.mkv"
    grown: list[float] = []

    class Watch(QueueObserver):
        def ended(self, item: Any, result: Any) -> None:
            seen.append((Path(result.destination).name, time.monotonic()))
            begun.set()

        def waiting(self) -> None:
            if "new.mkv" in dict(seen):
                os.kill(os.getpid(), signal.SIGINT)

    def bring() -> None:
        begun.wait()
        data = (tmp_path / "other.mkv").read_bytes()
        with new.open("wb") as file:
            for at in range(0, len(data), len(data) // 4):
                file.write(data[at : at + len(data) // 4])
                file.flush()
                time.sleep(0.15)
        grown.append(time.monotonic())

    make_clip(tmp_path / "other.mkv", frames=4)
    thread = threading.Thread(target=bring)
    thread.start()
    report = upscale_all([folder], tmp_path / "out", watch=True, observer=Watch(), **FAST)
    thread.join()
    assert outcomes(report)["new.mkv"] == "finished"
    assert [name for name, _ in seen].count("new.mkv") == 1
    assert dict(seen)["new.mkv"] > grown[0]
    assert report.of(Outcome.FAILED)[0].source.endswith("bad.mkv")


@pytest.mark.timeout(60)
def test_watching_a_folder_that_goes_away(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="does not exist"):
        upscale_all([tmp_path / "inbxo"], tmp_path / "out", watch=True, **FAST)
    monkeypatch.setattr(runner, "POLL", 0.02)
    growth = watch.Growth(settled=0.1)
    monkeypatch.setattr(runner, "Growth", lambda: growth)
    box, away, said = folder / "s1", folder / "away", list[str]()

    class Watch(QueueObserver):
        def ended(self, item: Any, result: Any) -> None:
            if item.file.path.name == "c.mp4":
                os.kill(os.getpid(), signal.SIGINT)

        def waiting(self) -> None:
            if not said and growth._done:
                box.rename(away)

        def warning(self, item: Any, sentence: str) -> None:
            said.append(sentence)
            make_clip(away / "c.mp4", frames=3)
            away.rename(box)

    monkeypatch.setattr(time, "sleep", lambda seconds, sleep=time.sleep: sleep(min(seconds, 0.05)))
    seen: list[QueueReport] = []
    monkeypatch.setattr(Watch, "summary", lambda self, report: seen.append(report))
    with suppress(KeyboardInterrupt):
        upscale_all([box], tmp_path / "out", watch=True, observer=Watch(), **FAST)
    assert said == [f"{box} does not exist; waiting for it"]
    assert outcomes(seen[0]) == {"a.mp4": "finished", "b.mov": "finished", "c.mp4": "finished"}


def test_one_added_file_in_many_videos_is_announced(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.mkv", "b.mkv"):
        make_clip(tmp_path / "in" / name, frames=3)
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:00,100\nword\n")
    added: dict[str, Any] = {"add": [tmp_path / "a.srt"], **FAST}
    report = upscale_all(tmp_path / "in", tmp_path / "out", **added)
    assert report.warnings == ("--add puts the same file into all 2 videos",)
    assert upscale_all(tmp_path / "in" / "a.mkv", tmp_path / "one", **added).warnings == ()


def test_the_time_that_is_left() -> None:
    now = [0.0]
    meter = WorkMeter(lambda: now[0])
    meter.total = 400.0
    meter.ended(100.0, free=100.0)  # left alone
    assert meter.now(200.0, 0.0) == (0.25, None)
    now[0] = 10.0
    assert meter.now(200.0, 0.5) == (0.5, 20.0)
    meter.ended(200.0)
    now[0] = 20.0
    meter.pause()
    now[0] = 1000.0
    meter.go_on()
    assert meter.now(100.0, 0.5) == (0.875, 50.0 * 20.0 / 250.0)
