"""Languages with a region or a script go through MP4 and MOV, and between these and Matroska."""

from __future__ import annotations

from pathlib import Path

import pytest
from clip_matroska import make_matroska
from rendering import render, tracks

from paragon_stream import verify
from paragon_stream.errors import LossError
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.matroska.header import TrackChange
from paragon_stream.media.mp4.mov_languages import mov_has

TAGS = ["", "pt-BR", "zh-Hant"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second sound is Chinese in traditional script."""
    return make_matroska(
        tmp_path_factory.mktemp("languages") / "in.mkv",
        tracks={number: TrackChange(language=tag) for number, tag in enumerate(TAGS) if tag},
        frames=60,
        audio="aac",
        audio_tracks=2,
        languages=["", "por", "chi"],
    )


def tags(path: Path) -> list[str]:
    return [stream.language_tag for stream in probe(path).streams]


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("mux", [{}, {"movflags": "-faststart"}, {"movflags": "+faststart"}])
def test_there_and_back(source: Path, tmp_path: Path, suffix: str, mux: dict[str, str]) -> None:
    out = tmp_path / f"out.{suffix}"
    assert render(source, out, strict=True, mux=mux).warnings == []
    assert tags(out) == TAGS
    assert [len(a.payloads) for a in tracks(out)] == [len(a.payloads) for a in tracks(source)]
    assert render(out, tmp_path / "back.mkv", strict=True).warnings == []
    assert tags(tmp_path / "back.mkv") == TAGS
    assert [a.payloads for a in tracks(tmp_path / "back.mkv")][1:] == [a.payloads for a in tracks(source)][1:]


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_languages_without_a_number_in_quicktime(tmp_path: Path, suffix: str) -> None:
    """No linguistic content, Irish (639-2) and Swiss German: FFmpeg's MOV has no numbers for them."""
    codes = ["zxx", "gle", "gsw"]
    assert not any(map(mov_has, codes)) and mov_has("ger") and mov_has("jpn")
    source = make_matroska(
        tmp_path / "in.mkv", tracks={}, frames=30, audio="aac", audio_tracks=3, languages=["", *codes]
    )
    out, back = tmp_path / f"out.{suffix}", tmp_path / "back.mkv"
    assert render(source, out, strict=True).warnings == []
    assert [stream.language for stream in probe(out).streams][1:] == codes
    assert "language" not in str(verify(source, out).findings)
    assert render(out, back, strict=True).warnings == []
    assert [stream.language for stream in probe(back).streams][1:] == codes


def test_other_containers_have_no_place(source: Path, tmp_path: Path) -> None:
    with pytest.raises(LossError, match="ts cannot store the language tags pt-BR, zh-Hant"):
        render(source, tmp_path / "out.ts", strict=True)
