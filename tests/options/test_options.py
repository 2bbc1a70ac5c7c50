"""An option is one field: signatures, help, the command line, the filter and its script follow from it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from places import REPOSITORY

import paragon_stream
from paragon_stream import vapoursynth as filter_
from paragon_stream.cli.main import run
from paragon_stream.cli.options import choices, given
from paragon_stream.errors import UsageError
from paragon_stream.livestream.live import LiveRequest
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import (
    Options,
    called_with,
    described,
    initialised_with,
    option,
    options_of,
    part,
)
from paragon_stream.pictures.batch import ImagesRequest
from paragon_stream.render.request import RenderRequest


@dataclass(frozen=True, kw_only=True)
class Base:
    speed: int | None = option(None, "How fast.", metavar="N")


@dataclass(frozen=True, kw_only=True)
class Wish(Base):
    """One option of every kind."""

    source: str = field(kw_only=False, metadata=described("What is read."))
    warm: float = option(1.5, "How warm.", metavar="W")
    words: str | float | None = option(None, "Text.", metavar="T", flag="--text")
    dry: bool = option(False, "Dry.")
    lid: bool = option(True, "Keep the lid.", none=("--no-lid", "No lid."))
    paced: bool | None = option(None, "Paced or not.")
    names: Sequence[str | Path] = option((), "Names.")


@called_with(Wish)
def wash(wish: Wish) -> Wish:
    """Wash it."""
    return wish


def test_a_function_is_called_with_the_fields() -> None:
    assert wash("a", speed=3, dry=True) == Wish("a", speed=3, dry=True)
    assert part(wash("a", speed=3), Base) == Base(speed=3)
    with pytest.raises(TypeError, match="sped"):
        wash("a", sped=3)  # type: ignore[call-arg]


def test_text_instead_of_a_number_is_refused() -> None:
    """It would be compared, multiplied or, for "no", taken for True somewhere else."""
    for wrong in (
        *({"words": [1]}, {"source": None}, {"source": 1}, {"names": "ab"}, {"names": Path("ab")}),
        *({"speed": "3"}, {"speed": 3.0}, {"warm": "1"}, {"dry": "no"}, {"paced": 0.5}),
    ):
        with pytest.raises(TypeError, match=rf"wash\(\): {next(iter(wrong))} takes"):
            wash(**{"source": "a", **wrong})
    assert wash("a", speed=np.int64(3), warm=2, dry=1, paced=None, words="x").warm == 2


def test_help_shows_names_types_defaults_and_sentences() -> None:
    shown = inspect.signature(wash)
    assert str(shown.parameters["speed"]) == "speed: 'int | None' = None"
    assert str(shown.parameters["warm"]) == "warm: 'float' = 1.5"
    assert shown.parameters["source"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert shown.parameters["dry"].kind is inspect.Parameter.KEYWORD_ONLY
    assert shown.return_annotation == "Wish"
    assert (wash.__doc__ or "").startswith("Wash it.\n\nArgs:\n") and "    speed: How fast." in wash.__doc__


def test_so_does_a_constructor() -> None:
    class Machine:
        @initialised_with(Base)
        def __init__(self, base: Base) -> None:
            self.base = base

    assert Machine(speed=2).base == Base(speed=2)
    assert str(inspect.signature(Machine)) == "(*, speed: 'int | None' = None) -> 'None'"


def test_the_command_line_has_it() -> None:
    found: dict[str, Any] = {}

    @click.command()
    @choices(Wish, without=("source",))
    def command(**options: Any) -> None:
        found.update(given(**options))

    invoke = CliRunner().invoke
    assert invoke(command, []).exit_code == 0 and found == {}
    flags = ["--speed=3", "--warm=2", "--text=x", "--dry", "--no-lid", "--not-paced"]
    assert invoke(command, flags).exit_code == 0
    assert found == {"speed": 3, "warm": 2.0, "words": "x", "dry": True, "lid": False, "paced": False}
    assert invoke(command, ["--speed=x"]).exit_code == 2
    assert re.search(r"--speed N +How fast\.", invoke(command, ["--help"]).output)


COMMANDS = {
    "paragon_stream.cli.upscale": RenderRequest,
    "paragon_stream.cli.probe": RenderRequest,
    "paragon_stream.cli.live": LiveRequest,
    "paragon_stream.cli.bench": UpscalerOptions,
}


@pytest.mark.parametrize("module", COMMANDS)
def test_commands_have_every_option(module: str) -> None:
    command = __import__(module, fromlist=["command"]).command
    wanted = options_of(COMMANDS[module])
    unfit = {"source", "destination"} | (
        {"overwrite", "resume", "strict", "accept_upgrade"} if "probe" in module else set()
    )
    shown = {each.name: each for each in command.params if isinstance(each, click.Option) and each.help}
    assert wanted.keys() - unfit - shown.keys() == set()
    for name in wanted.keys() - unfit:
        helps = {each.help for each in command.params if each.name == name and isinstance(each, click.Option)}
        assert helps & {wanted[name].help, wanted[name].none[1]}, name


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (paragon_stream.upscale, RenderRequest),
        (paragon_stream.upscale_images, ImagesRequest),
        (paragon_stream.live, LiveRequest),
        (paragon_stream.Upscaler, UpscalerOptions),
        (filter_.upscale, UpscalerOptions),
    ],
)
def test_functions_have_every_option(function: Any, kind: type[Options]) -> None:
    shown = inspect.signature(function).parameters
    for name, each in options_of(kind).items():
        assert name in shown and str(shown[name].annotation) == each.type
        assert each.default is None or shown[name].default == each.default
        assert each.help and each.help.endswith((".", '".', ")."))


def test_the_script_of_mpv_takes_what_the_filter_takes() -> None:
    kinds = filter_.options()
    assert options_of(UpscalerOptions).keys() <= kinds.keys() and "clip" not in kinds
    assert kinds["scale"]("3") == 3 and kinds["alpha"]("0.5") == 0.5 and kinds["wait"]("0") is False
    assert kinds["strength"]("auto") == "auto"
    with pytest.raises(ValueError, match="x"):
        kinds["wait"]("x")
    script = (REPOSITORY / "filters" / "paragon.vpy").read_text("utf-8")
    assert "**paragon.options()" in script


def test_wrong_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--hwaccel vulkan"):
        paragon_stream.upscale(tmp_path / "a.mkv", tmp_path / "b.mkv", hwaccel="vulkan")
    with pytest.raises(TypeError, match="speed"):
        paragon_stream.upscale("a.mkv", "b.mkv", speed=2)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["", "sample", "chunks plan", "eval", "engine build"])
def test_help_shows_options_under_headings(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*name.split(), "-h"]) == 0
    headings = re.findall(r"^(\w.*):$", capfd.readouterr().out, re.MULTILINE)
    own = ["Options"] if name else []
    assert headings[: len(own) + 2] == [*own, "Network and size", "Engine"]
    assert "Other options" in headings and len(headings) == len(set(headings))
