"""Profiles: options by name, from a file whose mistakes are named by file, line and key."""

from __future__ import annotations

import json
from pathlib import Path

import av
import platformdirs
import pytest
from clips import make_clip
from PIL import Image

from paragon_stream import upscale
from paragon_stream.cli.main import run
from paragon_stream.errors import UsageError
from paragon_stream.profiles import list_profiles, load_profile

PROFILES = """\
# of this project
[anime-1080p]
to = "192x128"
codec = "ffv1"
audio = "none"

[anime-1080p.encoder_options]
g = 5
slicecrc = true

[plain]
to = 1.5
engine = "null"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; the user's configuration is beside it."""
    (tmp_path / "user").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "user")
    return tmp_path / "here"


def test_options_on_the_line_win(folder: Path) -> None:
    (folder / "profiles.toml").write_text(PROFILES)
    clip = make_clip(folder / "in.mkv", frames=4, audio="aac")
    report = folder / "report.json"
    arguments = [
        str(clip),
        "out.mkv",
        "--profile",
        "anime-1080p",
        "--engine",
        "null",
        "--report",
        str(report),
    ]
    assert run(arguments) == 0
    with av.open("out.mkv") as made:
        assert [stream.type for stream in made.streams] == ["video"]
        assert made.streams.video[0].codec_context.name == "ffv1"
    asked = json.loads(report.read_text())["request"]
    assert asked["encoder_options"] == {"g": "5", "slicecrc": "1"}
    assert run([*arguments, "--overwrite", "--to", "144x96", "--audio", "1", "--codec", "libx264"]) == 2
    assert run([*arguments, "--overwrite", "--to", "144x96", "--audio", "1", "-x", "g=1"]) == 0
    with av.open("out.mkv") as made:
        assert made.streams.video[0].width == 144 and len(made.streams.audio) == 1


def test_pairs_are_completed_by_key(folder: Path) -> None:
    """Lists of an encoder's parameters are joined: the last value of a parameter counts."""
    (folder / "profiles.toml").write_text(
        '[p.encoder_options]\nx264-params = "aq-mode=3"\ntune = "film"\npreset = "ultrafast"\n'
    )
    arguments = [str(make_clip(folder / "in.mkv", frames=4)), "out.mkv", "--profile", "p", "--engine", "null"]
    given = ["-x", "x264-params=no-mbtree=1", "-x", "tune=grain", "-x", "x264-params=me=dia"]
    assert run([*arguments, "--report", "report.json", *given]) == 0
    assert json.loads((folder / "report.json").read_text())["request"]["encoder_options"] == {
        "x264-params": "aq-mode=3:no-mbtree=1:me=dia",
        "tune": "grain",
        "preset": "ultrafast",
    }


def test_every_command_that_plans_takes_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that a command does not have are ignored."""
    (folder / "profiles.toml").write_text(
        '[p]\nto = 1.5\nengine = "null"\naudio = 2\ncontainer = "mp4"\nrecursive = true\nstrict = true\n'
    )
    clip = make_clip(folder / "in.mkv", frames=30, audio="aac")
    assert run(["probe", str(clip), "--profile", "p", "--audio", "1"]) == 0
    assert "would become (.mp4, about" in capsys.readouterr().out
    assert run(["chunks", "plan", str(clip), "out.mkv", "--profile", "p"]) == 2
    assert "--audio 2 is not in the source" in capsys.readouterr().err
    assert run(["sample", str(clip), "page.html", "--profile", "p", "--audio", "1", "--seconds", "0.2"]) == 0


def test_a_file_that_is_missing_is_named_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["in.mkv", "out.mkv", "--config", "no.yml"]) == 1
    assert "no.yml cannot be read: no such file or folder\n" in capsys.readouterr().err


def test_the_keys_are_those_of_the_api(folder: Path) -> None:
    (folder / "profiles.toml").write_text(PROFILES)
    clip = make_clip(folder / "in.mkv", frames=3)
    report = upscale(clip, folder / "out.mkv", **load_profile("plain").options)
    assert report.target_format.startswith("144x96")


def test_pictures_pass_over_what_is_for_video(folder: Path) -> None:
    (folder / "profiles.toml").write_text(PROFILES)
    Image.new("RGB", (96, 64)).save("a.png")
    assert run(["a.png", "b.png", "--profile", "anime-1080p", "-x", "compression_level=1"]) == 0
    with Image.open("b.png") as made:
        assert made.size == (192, 128)


def test_the_project_comes_before_the_user(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "user" / "profiles.toml").write_text('[plain]\nto = "720p"\n[mine]\nweights = "w.st"\n')
    (folder.parent / "user" / "w.st").touch()
    assert run(["profiles"]) == 0
    assert 'to = "720p"' in capsys.readouterr().out
    (folder / "profiles.toml").write_text(PROFILES)
    assert load_profile("plain").options == {"to": 1.5, "engine": "null"}
    assert load_profile("mine").options == {"weights": str(folder.parent / "user" / "w.st")}
    assert run(["profiles", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["anime-1080p", "mine", "plain"]
    with pytest.raises(UsageError, match=r"no profile anime.*did you mean anime-1080p"):
        load_profile("anime1080p")


def test_without_any(capsys: pytest.CaptureFixture[str]) -> None:
    _none(capsys)


def test_a_user_without_a_home_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Newer versions of platformdirs raise an error, older ones return "~/.config"."""
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: Path("~/.config/paragon-stream"))
    _none(capsys)

    def no_home(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_config_path", no_home)
    _none(capsys)


def _none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profiles"]) == 0
    assert "looked for in" in capsys.readouterr().out
    assert run(["in.mkv", "out.mkv", "--profile", "x"]) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[a]\nto = "1080p"\n\n[b]\ncrff = 18\n',
            r"line 5, \[b\]: there is no option crff \(did you mean crf",
        ),
        ('[a]\n"crf" = "high"\n', r"line 2, \[a\]: crf takes a number, not 'high'"),
        ("[a]\nthreads = 1.5\n", r"line 2, \[a\]: threads takes a whole number, not 1.5"),
        ("[a]\nstrict = 1\n", r"line 2, \[a\]: strict takes true or false, not 1"),
        ("[a]\ncodec = true\n", r"line 2, \[a\]: codec takes a text, not True"),
        ("[a]\nencoder_options = 3\n", r"line 2, \[a\]: encoder_options takes a table"),
        ("[a]\nadd = [1]\n", r"line 2, \[a\]: add takes a list of texts, not one with 1"),
        ("[a]\nencoder_options = {x = [1]}\n", r"\[a\]: x takes a text or a number, not \[1\]"),
        ("[a.b]\nto = 2\n", r"line 1, \[a\]: there is no option b"),
        ('to = "1080p"\n', "line 1: to is outside"),
        ("[a\n", "line 1"),
    ],
)
def test_mistakes_are_found(folder: Path, text: str, said: str) -> None:
    (folder / "profiles.toml").write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        list_profiles()
    assert "profiles.toml" in str(caught.value)
