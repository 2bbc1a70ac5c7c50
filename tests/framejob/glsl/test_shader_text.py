"""The files of `export shader`: headers that players understand, and the documented sizes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from paragon_stream.checkpoint import load_weights
from paragon_stream.cli.export import command
from paragon_stream.cli.main import run
from paragon_stream.errors import EngineError, UsageError
from paragon_stream.framejob.glsl.emit import ShaderOptions, emit_shader
from paragon_stream.framejob.glsl.literals import number
from paragon_stream.framejob.glsl.network import Hook

LARGEST = 130_000


def export(*arguments: object) -> str:
    answer = CliRunner().invoke(command, ["shader", *map(str, arguments)])
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return answer.output


@pytest.mark.parametrize(
    "options", [[], ["--hook", "rgb"], ["--half"], ["--strength", "1"], ["--weights", "fidelity"]]
)
def test_files_are_small_and_plain(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "out.glsl"
    assert str(path) in export(*options, path)
    text = path.read_bytes().decode("ascii")
    assert len(text) <= LARGEST
    assert "SPDX-License-Identifier: MIT" in text
    hooks = re.findall(r"^//!HOOK (.*)$", text, re.MULTILINE)
    saved = re.findall(r"^//!SAVE (.*)$", text, re.MULTILINE)
    assert set(hooks) == {"MAIN" if "rgb" in options else "LUMA"}
    assert len(hooks) == len(saved) + 1 <= 16
    # A name that is read was written before, or is the hooked one.
    known = set(hooks)
    for line in text.splitlines():
        if line.startswith("//!BIND "):
            assert line.split()[1] in known
        if line.startswith("//!SAVE "):
            known.add(line.split()[1])


def test_strength_is_in_the_file() -> None:
    video = load_weights("video", variant="realtime", scale=2)
    usual, weak, strong = (emit_shader(video, ShaderOptions(strength=s)) for s in (None, 0.0, 1.0))
    assert "strength 0.4" in usual and "strength 0" in weak and "strength 1" in strong
    assert len({usual, weak, strong}) == 3


@pytest.mark.parametrize("fragment", [False, True])
def test_transparency_stays(fragment: bool) -> None:
    text = emit_shader(load_weights("fidelity"), ShaderOptions(hook=Hook.RGB, fragment=fragment))
    assert text.count(".a)" if fragment else ".a;") == 1


def test_range_concerns_luma_alone() -> None:
    weights = load_weights("fidelity", variant="realtime", scale=2)
    luma = [emit_shader(weights, ShaderOptions(full_range=full)) for full in (False, True)]
    colours = [emit_shader(weights, ShaderOptions(hook=Hook.RGB, full_range=full)) for full in (False, True)]
    assert luma[0] != luma[1] and colours[0] == colours[1]


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(EngineError, match="photo"):
        emit_shader(load_weights("untrained", variant="photo"), ShaderOptions())
    with pytest.raises(UsageError, match="not conditioned"):
        emit_shader(load_weights("fidelity", variant="realtime"), ShaderOptions(strength=0.5))
    with pytest.raises(UsageError, match="outside"):
        emit_shader(load_weights("video", variant="realtime"), ShaderOptions(strength=1.5))


def test_options_that_are_unusual_or_have_no_effect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.glsl"
    assert run(["export", "shader", "--alpha", "3", str(path)]) == 0
    assert "warning: alpha 3 is outside of 0 to 1" in capsys.readouterr().err
    path.unlink()
    assert run(["export", "shader", "--hook", "rgb", "--range", "full", str(path)]) == 2
    assert "--range is for --hook luma" in capsys.readouterr().err
    assert run(["export", "shader", "--weights", "fidelity", "--strength", "0.3", str(path)]) == 2
    assert "not conditioned on strength: leave the strength out" in capsys.readouterr().err
    assert not path.exists()


def test_nothing_is_overwritten_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.glsl"
    path.write_text("mine")
    assert run(["export", "shader", str(path)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert run(["export", "shader", str(path), "--overwrite"]) == 0
    assert path.read_text().startswith("// ParagonSR2")
    film = tmp_path / "film.mkv"
    film.write_text("mine")
    for kind in ("shader", "onnx"):
        assert run(["export", kind, str(film), "--overwrite"]) == 2
    assert film.read_text() == "mine"


def test_ready_made_shaders_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["filter-path", "realtime_x2_luma_fidelity"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.name == "realtime_x2_luma_fidelity.glsl" and path.read_text("ascii").startswith(
        "// ParagonSR2"
    )
    assert run(["filter-path"]) == 0
    assert Path(capsys.readouterr().out.strip()).name == "paragon.vpy"
    assert run(["filter-path", "nothing"]) == 2
    assert "realtime_x2_luma_fidelity.glsl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, ".012346"), (-0.5, "-.5"), (3, "3."), (-1e-7, "-1e-7"), (0, "0."), (1.5e9, "1.5e9")],
)
def test_literals(value: float, text: str) -> None:
    assert number(value) == text
    assert float(number(value)) == pytest.approx(value, rel=1e-4)
