"""The identity of a render: it changes with everything that changes the file, and with nothing else."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from clips import make_clip

from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("identity") / "in.mkv"
    return make_clip(path, frames=50, audio="aac", subtitles="subrip", chapters=2)


def identity(clip: Path, **options: Any) -> dict[str, str]:
    request = RenderRequest(source=clip, destination=clip.with_name("out.mkv"), **options)
    return dict(plan_render(request).identity)


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"alpha": 0.75}, "weights"),
    ({"weights": "fidelity"}, "weights"),
    ({"variant": "stream"}, "weights"),
    ({"precision": "bf16"}, "weights"),
    ({"scale": 3, "weights": "fidelity"}, "weights"),
    ({"strength": 0.25}, "strength settings"),
    ({"to": "1.5"}, "size settings"),
    ({"pix_fmt": "yuv420p10le"}, "size settings"),
    ({"crf": 30}, "encoder settings"),
    ({"preset": "fast"}, "encoder settings"),
    ({"encoder_options": {"g": "12"}}, "encoder settings"),
    ({"codec": "ffv1"}, "encoder settings"),
    ({"start": 1}, "frame selection"),
    ({"end": 1}, "frame selection"),
    ({"deinterlace": "bwdif"}, "frame selection"),
    ({"audio": "none"}, "tracks"),
    ({"subtitles": []}, "tracks"),
    ({"chapters": False}, "tracks"),
    ({"temporal": "adaptive"}, "video mode"),
    ({"duration": 1}, "frame selection"),
    ({"ivtc": True}, "frame selection"),
    ({"idet": True}, "frame selection"),
    ({"audio_codec": "flac"}, "tracks"),
    ({"mux": {"cues_to_front": "1"}}, "muxer settings"),
]
KEEPS: list[dict[str, Any]] = [
    {"strength": "auto"},
    {"engine": "onnxruntime"},
    {"threads": 1},
    {"device": "cpu"},
    {"hwaccel": "none"},
    {"overwrite": True},
    {"resume": True},
    {"strict": True},
    {"video": 1},
    {"scale": 2},
    {"variant": "realtime"},
    {"weights": "video"},
    {"crf": 17},
    {"codec": "h264"},
    {"to": 2.0},
    {"audio": [1]},
    {"generation": "p2head"},
    {"reuse_duplicates": "exact"},
    {"accept_upgrade": True, "resume": True},
]
ELSEWHERE = {"window_size", "add", "audio_bitrate", "fit", "fps", "attachments", "probesize"}
"""Options that change the file only for some sources or together with others."""


def test_every_option_is_sorted() -> None:
    known = {name for options, _ in CHANGES for name in options} | {name for each in KEEPS for name in each}
    assert {each.name for each in fields(RenderRequest)} - {"source", "destination"} == known | ELSEWHERE


@pytest.mark.parametrize(("options", "facts"), CHANGES)
def test_what_changes_the_file(clip: Path, options: dict[str, Any], facts: str) -> None:
    plain, other = identity(clip), identity(clip, **options)
    assert facts in {key for key in plain | other if plain.get(key) != other.get(key)}


def test_the_window_of_attention_changes_the_file(clip: Path) -> None:
    options = {"variant": "photo", "weights": "untrained"}
    small, large = (identity(clip, window_size=size, **options) for size in (8, 16))
    assert {key for key in small if small[key] != large[key]} == {"weights"}


def test_the_bit_rate_of_converted_sound_changes_the_file(clip: Path) -> None:
    low, high = (identity(clip, audio_codec="libopus", audio_bitrate=rate) for rate in ("64k", "96k"))
    assert {key for key in low if low[key] != high[key]} == {"tracks"}


def test_an_added_track_counts_by_its_content(clip: Path, tmp_path: Path) -> None:
    added = tmp_path / "film.eng.srt"
    added.write_text("1\n00:00:00,000 --> 00:00:01,000\nOne\n")
    one = identity(clip, add=[added])
    added.write_text("1\n00:00:00,000 --> 00:00:01,000\nTwo\n")
    two = identity(clip, add=[added])
    assert {key for key in one if one[key] != two[key]} == {"tracks"}


@pytest.mark.parametrize("options", KEEPS)
def test_what_does_not(clip: Path, options: dict[str, Any]) -> None:
    assert identity(clip, **options) == identity(clip)


def test_spellings_of_one_choice_are_one(clip: Path) -> None:
    assert identity(clip, start="0:01", end="2.0") == identity(clip, start=1, duration=1)
    assert identity(clip, strength="0.50") == identity(clip, strength=0.5)


def test_strength_does_not_count_where_no_weights_use_it(clip: Path) -> None:
    assert identity(clip, weights="fidelity") == identity(clip, weights="fidelity", strength="auto")


def test_the_name_and_the_dates_of_a_source_do_not_count(clip: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copy(clip, tmp_path / "other.mkv"))
    assert identity(moved) == identity(clip)
    with moved.open("ab") as file:
        file.write(b"\0")
    assert identity(moved)["source data"] != identity(clip)["source data"]
