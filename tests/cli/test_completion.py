"""Completion, in the shells themselves where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paragon_stream.cli.main import run
from paragon_stream.cli.shortcuts.completion import SCRIPTS, completions

REPOSITORY = Path(__file__).parents[2]


def values(*words: str) -> list[str]:
    return [item.value for item in completions(words)]


def test_options_and_their_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "profiles.toml").write_text('[anime]\nto = "1080p"\n')
    monkeypatch.chdir(tmp_path)
    assert "--variant" in values("--va")
    assert set(values("--variant", "")) >= {"realtime", "stream"}
    assert set(values("a.mkv", "--weights", "")) >= {"video", "fidelity"}
    assert values("--codec", "libx26") == ["libx264", "libx265"]
    assert values("--profile", "an") == ["anime"]
    assert values("--container", "we") == ["webm"]
    assert "native" in values("bench", "--engine", "na")
    assert "veryslow" in values("--preset", "")
    assert values("--precision", "") == ["auto", "fp32", "bf16", "fp16", "int8"]
    assert values("export", "onnx", "--precision", "") == ["fp32", "fp16", "int8"]
    assert (values("--strength", "a"), values("export", "onnx", "--strength", "")) == (["auto"], ["0", "1"])
    assert set(values("pro")) >= {"probe", "profiles"}
    assert [item.type for item in completions(["some.mk"])] == ["file"]


def test_the_command_prints_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    for shell, script in SCRIPTS.items():
        assert run(["completion", shell]) == 0
        assert capsys.readouterr().out == script
    assert run(["completion", "tcsh"]) == 2


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """An environment in which `paragon-stream` is this checkout, and a film in the current folder."""
    script = tmp_path / "bin" / "paragon-stream"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m paragon_stream "$@"\n')
    script.chmod(0o755)
    (tmp_path / "film of mine.mkv").touch()
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path), "TERM": "xterm"}


def ask(shell: list[str], script: str, program: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [*shell, "-c", script],
        env=program,
        cwd=program["HOME"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash(program: dict[str, str]) -> None:
    script = """
        eval "$(paragon-stream completion bash)"
        try() {
            COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _paragon_stream; printf '%s\\n' "${COMPREPLY[@]}"
        }
        try paragon-stream in.mkv --variant re
        try paragon-stream --deint
        complete -p paragon-stream
    """
    assert ask(["bash", "--norc"], script, program) == [
        *["realtime", "--deinterlace", "complete -F _paragon_stream paragon-stream"]
    ]


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
def test_fish(program: dict[str, str]) -> None:
    script = """
        paragon-stream completion fish | source
        complete -C 'paragon-stream in.mkv --variant re'
        complete -C 'paragon-stream --deint'
        complete -C 'paragon-stream fil'
    """
    said = ask(["fish", "--no-config"], script, program)
    assert said[0].split("\t")[0] == "realtime"
    assert said[1].startswith("--deinterlace\t")
    assert said[2].replace("\\", "").startswith("film of mine.mkv")


@pytest.mark.skipif(os.name == "nt" or not shutil.which("zsh"), reason="needs zsh")
@pytest.mark.timeout(120)
def test_zsh(program: dict[str, str]) -> None:
    """At a terminal: zsh completes nowhere else."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, env=program, cwd=program["HOME"]
    )
    os.close(theirs)
    said = b""

    def wait_for(word: bytes) -> None:
        nonlocal said
        until = time.monotonic() + 60
        while word not in said:
            assert time.monotonic() < until, said
            said += os.read(ours, 4096)

    os.write(ours, b'PS1=; autoload -U compinit; compinit -u; eval "$(paragon-stream completion zsh)"\n')
    os.write(ours, b"echo rea''dy\n")
    wait_for(b"ready")
    for typed, expected in ((b"in.mkv --variant re", b"realtime"), (b"--deint", b"--deinterlace")):
        said = b""
        os.write(ours, b"paragon-stream " + typed + b"\t")
        wait_for(expected)
        os.write(ours, b"\x15")
    os.write(ours, b"exit\n")
    process.wait(30)
    os.close(ours)
