"""Bad input: one clear line, the right exit code, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
import pytest
import safetensors.numpy
from clips import make_clip
from PIL import Image

import paragon_stream
from paragon_stream.checkpoint import list_shipped
from paragon_stream.cli.main import run
from paragon_stream.errors import UsageError

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
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    for name, word in {
        "missing.mkv": "does not exist",
        "empty.mkv": "empty",
        "text.mkv": "text",
        "sound.wav": "no video",
    }.items():
        assert word in refused(tmp_path / name, out, code=1)


def test_source_that_is_no_file(refused: Refusal, clip: Path, tmp_path: Path) -> None:
    address = "https://example.org/film.mkv"
    assert "`paragon-stream live`" in refused(address, tmp_path / "out.mkv", code=2)
    assert "standard input cannot be opened" in refused("-", tmp_path / "out.mkv", code=1)
    assert "`paragon-stream live`" in refused("https://example.org/a.png", tmp_path / "b.png", code=2)
    (tmp_path / "empty").mkdir()
    assert "holds no video" in refused(tmp_path / "empty", tmp_path / "larger", code=1)
    assert "one video" in refused(tmp_path, tmp_path / "out.mkv", code=2)
    assert "no file matches" in refused(tmp_path / "*.mkv", tmp_path / "larger", code=1)
    assert "--container is for folders" in refused(clip, tmp_path / "out.mkv", "--container", "mp4", code=2)


@pytest.mark.parametrize("option", ["--report", "--trace"])
def test_a_report_that_cannot_be_written_is_reported_before_the_work(
    refused: Refusal, clip: Path, tmp_path: Path, option: str
) -> None:
    said = refused(clip, tmp_path / "out.mkv", option, tmp_path / "nowhere" / "file.json", code=1)
    assert f"the {option[2:]} cannot be written" in said


def test_destination_that_cannot_be_written(refused: Refusal, clip: Path, tmp_path: Path) -> None:
    existing = tmp_path / "existing.mkv"
    existing.write_bytes(b"precious")
    copy = tmp_path / "same.mkv"
    copy.write_bytes(clip.read_bytes())
    assert "--overwrite" in refused(clip, existing, code=1)
    assert existing.read_bytes() == b"precious"
    assert "folder" in refused(clip, tmp_path / "nowhere" / "out.mkv", code=1)
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
        (["-x", "g=10", "-x", "g=20"], ["g is given twice: 10 and 20"]),
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


def test_weights_that_are_wrong_or_damaged(refused: Refusal, clip: Path, tmp_path: Path) -> None:
    shipped = list_shipped()[0].path.read_bytes()
    half, flipped, other = (tmp_path / f"{name}.safetensors" for name in ("half", "flipped", "other"))
    half.write_bytes(shipped[: len(shipped) // 2])
    flipped.write_bytes(bytes(b ^ 0x55 for b in shipped[:64]) + shipped[64:])
    safetensors.numpy.save_file({"some.weight": np.zeros(3, np.float32)}, other)
    for path in (half, flipped, other, tmp_path / "missing.safetensors"):
        line = refused(clip, tmp_path / "out.mkv", "--weights", path, code=1)
        assert path.name in line


def test_strict_refuses_before_rendering(refused: Refusal, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=4, attachments=[("a.txt", "text/plain", b"hello")])
    line = refused(source, tmp_path / "out.mp4", "--strict", code=1)
    assert "attachment" in line


def test_report_that_cannot_be_written_is_refused_before_rendering(
    refused: Refusal, clip: Path, tmp_path: Path
) -> None:
    refused(clip, tmp_path / "out.mkv", "--report", tmp_path / "nowhere" / "r.json", code=1)


def test_one_file_is_too_few(clip: Path, refused: Refusal) -> None:
    assert "INPUT and OUTPUT are needed" in refused(clip, code=2)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_an_interruption_of_the_imports(tmp_path: Path) -> None:
    """They take seconds on a slow disk; here the first one never ends."""
    (tmp_path / "click.py").write_text("print('imported', flush=True)\nimport time\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "paragon_stream", "models"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as running:
        assert running.stdout is not None and "imported" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (-signal.SIGINT, "")  # 130 in a shell


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize(
    ("name", "background"),
    [("SIGINT", False), ("SIGTERM", False), ("SIGTERM", True), ("SIGHUP", False), ("SIGHUP", True)],
)
def test_interruption(tmp_path: Path, long_clip: Path, name: str, background: bool) -> None:
    """A process in the background, like a script's `command &`: with SIGINT ignored."""
    out = tmp_path / "out.mkv"
    out.write_bytes(b"precious")
    command = [sys.executable, "-m", "paragon_stream", str(long_clip), str(out), "--overwrite"]
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if background else []
    with subprocess.Popen(
        [*shell, *command],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # tests may run under nohup
    ) as running:
        assert running.stderr is not None
        assert "frame" in running.stderr.readline()
        if background:
            running.send_signal(signal.SIGINT)  # ignored, as it was when the program began
        running.send_signal(getattr(signal, name))
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert errors.splitlines()[-1].startswith("paragon-stream: interrupted")
    assert "Traceback" not in errors
    assert out.read_bytes() == b"precious"


def test_internal_errors_are_one_line_too(
    monkeypatch: pytest.MonkeyPatch, refused: Refusal, clip: Path, tmp_path: Path
) -> None:
    def broken(self: object, planes: object) -> None:
        raise ZeroDivisionError("an engine of straw")

    monkeypatch.setattr("paragon_stream.media.frames.reader.VideoReader.read_into", broken)
    assert run([str(clip), str(tmp_path / "out.mkv")]) == 1
    assert not [t.name for t in threading.enumerate() if t.name.startswith("paragon")]


PIPE_SIZE = 1 << 16


def waiting(pipe: IO[bytes]) -> int:
    """Bytes in a pipe that have not been read."""
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.skipif(sys.platform != "linux", reason="the size of pipes is Linux's")
def test_interruption_while_the_reader_is_paused(tmp_path: Path) -> None:
    """A player on pause reads nothing, and the encode stage waits for it."""
    source = make_clip(tmp_path / "in.mkv", width=320, height=240, frames=20)
    command = [sys.executable, "-m", "paragon_stream", str(source), "-", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.read(9) == b"YUV4MPEG2"
        while waiting(running.stdout) < PIPE_SIZE // 2:  # a picture is larger
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 130
        assert running.stderr.read().splitlines()[-1].startswith(b"paragon-stream: interrupted")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell's pipe")
def test_a_reader_that_leaves(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", width=320, height=240, frames=60)
    command = [sys.executable, "-m", "paragon_stream", str(source), "-", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.read(9) == b"YUV4MPEG2"
        running.stdout.close()
        errors = running.stderr.read().decode()
        assert running.wait(timeout=60) == 1
    lines = [line for line in errors.splitlines() if not line.startswith("warning:")]
    assert lines == ["paragon-stream: the program that reads the y4m stream has closed it"]


def test_pictures_are_another_functions(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "in.png")
    with pytest.raises(UsageError, match=r"upscale_images\(\)"):
        paragon_stream.upscale(tmp_path / "in.png", tmp_path / "out.png")


def test_encoder_options_may_be_numbers(clip: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"g": 2}
    paragon_stream.upscale(clip, tmp_path / "out.mkv", engine="null", encoder_options=options)
    with av.open(str(tmp_path / "out.mkv")) as file:
        keys = [packet.is_keyframe for packet in file.demux(video=0) if packet.size]
    assert keys.count(True) == len(keys) // 2


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        [f"{LONG}.mkv", "out.mkv"],
        ["{clip}", f"{LONG}.mkv"],
        ["{clip}", f"{LONG}/out.mkv"],
        ["{clip}", f"{LONG}_%d.png"],
        ["{clip}", f"{LONG}.png"],
        [f"{LONG}.png", "out.png"],
        ["picture.png", f"{LONG}.png"],
        ["probe", f"{LONG}.mkv"],
        ["live", f"{LONG}.mkv", "out.mkv"],
        ["live", "{clip}", f"{LONG}.mkv"],
        ["{clip}", "out.mkv", "--add", f"{LONG}.srt"],
    ],
)
def test_names_that_are_too_long(
    clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([each.format(clip=clip) for each in arguments]) in (1, 2)
    said = capsys.readouterr().err.strip().splitlines()
    assert "name is too long" in said[-1] and "internal error" not in said[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so the refusal is played."""

    def refuse(folder: Any, scandir: Callable[[Any], Any] = os.scandir) -> Any:
        if folder == tmp_path:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert run([str(tmp_path), str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == f"paragon-stream: {tmp_path}: permission denied\n"


def test_a_file_that_may_not_be_read_does_not_end_the_run(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so the refusal is played."""
    secret = tmp_path / "secret.mkv"
    secret.write_bytes(clip.read_bytes())

    def access(path: Any, mode: int, real: Callable[[Any, int], bool] = os.access) -> bool:
        return Path(path) != secret and real(path, mode)

    def opened(file: Any, *arguments: Any, real: Callable[..., Any] = av.open, **options: Any) -> Any:
        if str(secret) in str(file):
            raise PermissionError(13, "Permission denied", str(file))
        return real(file, *arguments, **options)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(av, "open", opened)
    arguments = [clip, secret, tmp_path / "out", "--engine", "null", "--preset", "ultrafast"]
    assert run(list(map(str, arguments))) == 1
    assert (tmp_path / "out" / clip.name).exists()
    printed = capsys.readouterr().err
    assert "permission denied" in printed and "1 of 2 files failed" in printed


def test_verify_needs_no_right_to_write(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result may be on a disk that is read-only by now."""
    out = tmp_path / "out.mkv"
    paragon_stream.upscale(clip, out, preset="ultrafast")
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert run(["verify", str(clip), str(out)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("alpha", [-3.0, 5.0])
def test_an_alpha_beyond_its_range_is_warned_about(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], alpha: float
) -> None:
    assert run(["probe", str(clip), "--alpha", str(alpha)]) == 0
    assert f"warning: --alpha {alpha:g} is outside of 0 to 1" in capsys.readouterr().out
    assert run(["probe", str(clip), "--alpha", "1"]) == 0
    assert "alpha" not in capsys.readouterr().out


@pytest.mark.parametrize("names", [("", "out.mkv"), ("", "folder/"), ("in.mkv", "")])
def test_an_empty_name_is_not_the_current_folder(
    names: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*names]) == 2
    assert "a file name is empty" in capsys.readouterr().err


def test_reports_never_replace_videos_or_pages(refused: Refusal, clip: Path, tmp_path: Path) -> None:
    before = clip.read_bytes()
    for words in (
        ["out.mkv", "--report", clip],
        ["out.mkv", "--trace", clip],
        ["out.mkv", "--report", tmp_path / "out.png"],
    ):
        assert "another name" in refused(clip, tmp_path / words[0], *words[1:], code=2)
    assert "another name" in refused("live", clip, tmp_path / "out.mkv", "--report", clip, code=2)
    page = tmp_path / "page.html"
    assert ".png" in refused("sample", clip, page, "--montage", page, code=2)
    plan = tmp_path / "plan.json"
    plan.write_text("{}")
    assert "replace" in refused("verify", clip, clip, "--plan", plan, "--report", plan, code=2)
    assert clip.read_bytes() == before and plan.read_text() == "{}"
