"""`--progress json`: every line fits the schema, every job ends once, and standard output stays clean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from clips import make_clip

from paragon_stream.cli.display.events import SCHEMA, TERMINAL, EventLines
from paragon_stream.cli.main import run
from paragon_stream.errors import EngineError
from paragon_stream.queue.journal import NAME
from paragon_stream.upscaler import Upscaler

REPOSITORY = Path(__file__).parents[2]
DESCRIBED = json.loads(SCHEMA.read_text("utf-8"))
VALID = jsonschema.Draft202012Validator(DESCRIBED)

type Events = list[dict[str, Any]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mkv", frames=8, audio="aac")


def checked(text: str) -> Events:
    """The events in `text`: all fit the schema, and each job that is mentioned ends exactly once."""
    events: Events = [json.loads(line) for line in text.splitlines()]
    for event in events:
        VALID.validate(event)
    ends = Counter(event["job"] for event in events if event["event"] in TERMINAL)
    mentioned = {event["job"] for event in events}
    for event in events:
        mentioned |= (
            {file["job"] for file in event["files"]} if isinstance(event.get("files"), list) else set()
        )
    assert set(ends.values()) == {1}
    assert set(ends) <= mentioned
    started = {event["job"] for event in events if event["event"] == "started"}
    assert started <= set(ends)
    assert events[-1]["event"] in TERMINAL, "the command's own job ends last"
    return events


def kinds(events: Events) -> list[str]:
    return [event["event"] for event in events if event["event"] != "progress"]


def test_a_render(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([str(clip), str(tmp_path / "out.mkv"), "--engine", "null", "--verify", "--progress=json"]) == 1
    said = capfd.readouterr()
    events = checked(said.err)
    assert said.out == ""
    assert kinds(events)[:3] == ["planned", "started", "statistics"], "a null engine's picture is wrong"
    assert kinds(events)[-1] == "failed" and events[-1]["error"] == "Refuted"
    assert {e["phase"] for e in events if e["event"] == "progress"} >= {"render"}
    assert run([str(clip), str(tmp_path / "fine.mkv"), "--verify", "--progress", "json"]) == 0
    last = checked(capfd.readouterr().err)[-1]
    assert (last["event"], last["frames"], last["exit_code"]) == ("finished", 8, 0)


def test_a_verification(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out, report = tmp_path / "out.mkv", tmp_path / "report.json"
    assert run([str(clip), str(out), "--engine", "null", "--quiet"]) == 0
    words = ["verify", str(clip), str(out), "--report", str(report), "--progress", "json"]
    assert run(words) == 1, "a null engine's picture is wrong"
    said = capfd.readouterr()
    events = checked(said.err)
    assert said.out == "" and report.exists()
    assert kinds(events)[0] == "started" and "warning" in kinds(events)
    assert (events[-1]["event"], events[-1]["error"], events[-1]["frames"]) == ("failed", "Refuted", 8)


def test_a_sample(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["sample", str(clip), str(tmp_path / "s.html"), "--seconds", "0.2", "--auto", "1"]
    assert run([*words, "--engine", "null", "--compare", "crf=20", "--progress", "json"]) == 0
    said = capfd.readouterr()
    events = checked(said.err)
    assert said.out == ""
    assert kinds(events)[0] == "started"
    steps = [(e["number"], e["count"]) for e in events if e["event"] == "progress"]
    assert steps == sorted(steps) and steps[-1][0] == steps[-1][1] > 1
    (version,) = events[-1]["versions"]
    assert "crf 20" in version["label"] and "--crf 20" in version["command"] and version["seconds"] > 0


def test_a_live_session(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.mkv"
    assert run(["live", str(clip), str(out), "--engine", "null", "--progress", "json"]) == 0
    said = capfd.readouterr()
    events = checked(said.err)
    assert said.out == ""
    assert kinds(events)[0] == "started" and "statistics" in kinds(events)
    assert events[-1]["event"] == "finished" and 1 <= events[-1]["frames"] <= 8
    assert run(["live", str(tmp_path / "gone.mkv"), str(out), "--progress", "json"]) == 1
    assert checked(capfd.readouterr().err)[-1]["error"] == "InputError"


def test_a_live_session_shows_no_secrets(capfd: pytest.CaptureFixture[str]) -> None:
    places = ["tcp://me:word@127.0.0.1:1", "rtmp://127.0.0.1:1/app/key"]
    assert run(["live", *places, "--engine", "null", "--progress", "json"]) == 1
    said = capfd.readouterr().err
    assert "word" not in said and "key" not in said
    started = checked(said)[0]
    assert (started["source"], started["destination"]) == ("tcp://…@127.0.0.1:1", "rtmp://127.0.0.1:1/app/…")


def test_a_run_whose_first_files_fail_starts_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = [tmp_path / f"{name}.mkv" for name in "ab"]
    for name in names:
        name.write_bytes(b"no video at all" * 9 + bytes(99))
    assert run([*map(str, names), str(tmp_path / "out"), "--progress", "json"]) == 1
    assert kinds(checked(capfd.readouterr().err)).count("started") == 1


def test_raw_video_has_standard_output_for_itself(clip: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "paragon_stream",
        str(clip),
        "-",
        "--engine",
        "null",
        "--progress",
        "json",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=120)
    assert done.returncode == 0
    assert done.stdout.startswith(b"YUV4MPEG2 ")
    assert done.stdout.count(b"FRAME\n") == 8
    assert checked(done.stderr.decode())[-1]["event"] == "finished"


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["{clip}", "{out}", "--no-such-option"], 2, "UsageError"),
        (["{clip}", "{out}", "--codec", "nonsense"], 2, "UsageError"),
        (["gone.mkv", "{out}"], 1, "InputError"),
        (["{clip}", "{out}", "--profile", "none"], 2, "UsageError"),
        (["{clip}"], 2, "UsageError"),
        (["verify", "{clip}"], 2, "UsageError"),
    ],
)
def test_what_fails_before_it_begins(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, error: str
) -> None:
    filled = [each.format(clip=clip, out=tmp_path / "out.mkv") for each in arguments]
    assert run([*filled, "--progress", "json"]) == code
    (event,) = checked(capfd.readouterr().err)
    assert (event["event"], event["error"], event["exit_code"]) == ("failed", error, code)


def test_an_engine_that_fails_on_the_way(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, calls = Upscaler.run, iter(range(10**9))

    def failing(self: Upscaler, *arguments: Any) -> Any:
        if next(calls) >= 3:  # again, too: one failure is tried once more
            raise EngineError("the device is lost")
        return runs(self, *arguments)

    monkeypatch.setattr(Upscaler, "run", failing)
    assert run([str(clip), str(tmp_path / "out.mkv"), "--engine", "null", "--progress", "json"]) == 1
    last = checked(capfd.readouterr().err)[-1]
    assert (last["event"], last["error"]) == ("failed", "EngineError")


def test_an_internal_error_is_an_event(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Upscaler, *arguments: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Upscaler, "run", broken)
    arguments = [str(clip), str(tmp_path / "out.mkv"), "--engine", "null", "--progress", "json", "--verbose"]
    assert run(arguments) == 1
    events = checked(capfd.readouterr().err)
    assert events[-1]["error"] == "ZeroDivisionError"
    assert "log" in kinds(events)


@pytest.mark.skipif(os.name == "nt", reason="POSIX's signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("many", [False, True])
def test_signals(tmp_path: Path, long_clip: Path, number: signal.Signals, many: bool) -> None:
    """Sent at the first sign of progress; the journal of a folder agrees."""
    source, out = (long_clip.parent if many else long_clip), tmp_path / ("out" if many else "out.mkv")
    command = [sys.executable, "-m", "paragon_stream", str(source), str(out)]
    with subprocess.Popen(
        [*command, "--threads", "1", "--progress", "json"], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if json.loads(line)["event"] == "progress":
                process.send_signal(number)
                break
        said += process.stderr.read()
        assert process.wait(100) == 130
    events = checked(said)
    ends = [event["event"] for event in events if event["event"] in TERMINAL]
    assert ends == ["interrupted"] * (2 if many else 1)
    if many:
        assert json.loads((out / NAME).read_text().splitlines()[-1])["state"] == "interrupted"


@pytest.mark.skipif(os.name == "nt", reason="POSIX's signals")
def test_the_program_behind_the_pipe_is_killed(long_clip: Path) -> None:
    reader = subprocess.Popen(["sleep", "100"], stdin=subprocess.PIPE)
    assert reader.stdin is not None
    command = [
        sys.executable,
        "-m",
        "paragon_stream",
        str(long_clip),
        "-",
        "--engine",
        "null",
        "--progress",
        "json",
    ]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=reader.stdin, stderr=subprocess.PIPE, text=True
    ) as process:
        reader.stdin.close()
        assert process.stderr is not None
        said = process.stderr.readline()
        reader.kill()
        reader.wait(30)
        said += process.stderr.read()
        assert process.wait(100) == 1
    assert checked(said)[-1]["error"] == "ConsumerGone"


def test_a_job_ends_once_whatever_is_said() -> None:
    lines: list[bytes] = []
    events = EventLines(lines.append)
    events.emit("started", "file")
    events.emit("finished", "file")
    events.emit("interrupted", "file")
    events.emit("started", "other")
    events.emit("warning", "seen only", message="x")
    events.end(130, "", "")
    events.end(0, "", "")
    said = [json.loads(line) for line in lines]
    assert [(each["event"], each["job"]) for each in said if each["event"] in TERMINAL] == [
        ("finished", "file"),
        ("interrupted", "other"),
        ("interrupted", events.job),
    ]


def test_an_interruption_waits_until_the_line_is_written() -> None:
    lines: list[bytes] = []

    def write(line: bytes) -> None:
        signal.raise_signal(signal.SIGINT)
        lines.append(line)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        EventLines(write).emit("waiting")
    assert len(lines) == 1


def test_the_schema_is_printed_and_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--progress-schema"]) == 0
    assert json.loads(capsys.readouterr().out) == DESCRIBED
    page = (REPOSITORY / "docs" / "machine.md").read_text("utf-8")
    names = [each["title"] for each in DESCRIBED["oneOf"]]
    assert [name for name in names if f"| `{name}` |" not in page] == []
    assert set(TERMINAL) <= set(names)
