"""The tracks in the output: choices by number and language, and tracks from other files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from clip_subtitles import ASS_SCRIPT, SRT_SCRIPT
from clips import make_clip, packet_facts, packets, read_frames

import paragon_stream
from paragon_stream.cli.main import run
from paragon_stream.errors import InputError, UsageError
from paragon_stream.media.facts.languages import language_code, same_language
from paragon_stream.media.prepare import SourceOptions, prepare

FAST = {"engine": "null", "preset": "ultrafast"}


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Video, three sound tracks, subtitles, a second video, a font, chapters."""
    return make_clip(
        tmp_path / "film.mkv",
        audio="flac",
        audio_tracks=3,
        subtitles="subrip",
        second_video=True,
        attachments=[("font.ttf", "font/ttf", bytes(50))],
        chapters=2,
        languages=["und", "eng", "jpn", "ger", "eng"],
    )


def streams(path: Path) -> list[tuple[str, str]]:
    with av.open(str(path)) as result:
        return [(s.type, s.language or "und") for s in result.streams]


def render(source: Path, target: Path, **options: Any) -> list[tuple[str, str]]:
    report = paragon_stream.upscale(source, target, overwrite=True, **FAST, **options)
    assert not [w for w in report.warnings if "dropped" in w]
    return streams(target)


VIDEO, OTHER, FONT, SUBS = ("video", "und"), ("video", "und"), ("attachment", "und"), ("subtitle", "eng")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["eng", "jpn", "ger"]),
        ({"audio": "2"}, ["jpn"]),
        ({"audio": "jpn,1"}, ["eng", "jpn"]),
        ({"audio": "de"}, ["ger"]),
        ({"audio": ["deu", 2]}, ["jpn", "ger"]),
        ({"audio": []}, []),
        ({"audio": "none"}, []),
    ],
)
def test_sound(film: Path, tmp_path: Path, options: dict[str, Any], expected: list[str]) -> None:
    found = render(film, tmp_path / "out.mkv", **options)
    assert found == [VIDEO, *(("audio", each) for each in expected), SUBS, OTHER, FONT]


def test_leaving_out(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    found = render(film, out, audio="none", subtitles="none", attachments=False, chapters=False)
    assert found == [VIDEO, OTHER]
    with av.open(str(out)) as result:
        assert result.chapters() == []
    mp4 = tmp_path / "in.mp4"
    make_clip(mp4, chapters=2, audio="aac")
    assert render(mp4, tmp_path / "out.mp4", chapters=False) == [VIDEO, ("audio", "und")]


def test_strict_does_not_mind_what_was_not_asked_for(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.webm"
    options = {"engine": "null", "codec": "libvpx-vp9", "strict": True, "attachments": False}
    with pytest.raises(paragon_stream.errors.LossError):
        paragon_stream.upscale(film, out, **options)  # FLAC and H.264 do not fit into WebM
    single = make_clip(tmp_path / "single.mkv", audio="flac", subtitles="subrip")
    paragon_stream.upscale(single, out, audio="none", **options)
    assert streams(out) == [VIDEO, ("subtitle", "und")]


def test_what_is_not_there(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    audio = ("fre", "4", "0", "9" * 5000)
    for wrong in (*({"audio": each} for each in audio), {"subtitles": "2"}, {"video": 3}):
        with pytest.raises(UsageError, match="is not in the source, which has: 1 "):
            paragon_stream.upscale(film, out, **FAST, **wrong)
    assert not out.exists()


def test_the_other_video(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    found = render(film, out, video=2)
    assert found == [VIDEO, ("audio", "eng"), ("audio", "jpn"), ("audio", "ger"), SUBS, OTHER, FONT]
    with av.open(str(out)) as result:
        sizes = [(s.codec_context.width, s.codec_context.height) for s in result.streams.video]
    assert sizes == [(96, 64), (128, 96)]
    assert len(read_frames(out, 1)) == 5
    assert packets(out, 0) == packets(film, 0)


@pytest.mark.parametrize("target", ["mkv", "mp4"])
def test_subtitle_files(tmp_path: Path, target: str) -> None:
    clip = make_clip(tmp_path / "in.mkv", audio="aac", frames=25)
    english, german, signs = tmp_path / "in.eng.srt", tmp_path / "in.de.forced.srt", tmp_path / "in.ass"
    english.write_text(SRT_SCRIPT, encoding="utf-8")
    german.write_text(SRT_SCRIPT, encoding="utf-8")
    signs.write_text(ASS_SCRIPT, encoding="utf-8")
    out = tmp_path / f"out.{target}"
    found = render(clip, out, add=[english, german, signs])
    assert found == [
        VIDEO,
        ("audio", "und"),
        ("subtitle", "eng"),
        ("subtitle", "ger"),
        ("subtitle", "und"),
    ]
    with av.open(str(out)) as result:
        flags = [bool(s.disposition & Disposition.forced) for s in result.streams.subtitles]
        codecs = [s.codec_context.codec.canonical_name for s in result.streams.subtitles]
    assert flags == [False, True, False]
    assert codecs == (["subrip", "subrip", "ass"] if target == "mkv" else ["mov_text"] * 3)
    shown = [
        (round(float(e.pts or 0), 3), round(float((e.pts or 0) + (e.duration or 0)), 3))
        for e in packet_facts(out, 2)
        if len(e.data) > 2  # MP4 fills the time between with empty texts
    ]
    assert shown == [(0.04, 0.2), (0.2, 0.36), (0.4, 0.48)]


def test_fonts_of_added_files(tmp_path: Path) -> None:
    """The same font comes into the output once; another one of the same name is another file."""
    clip = make_clip(tmp_path / "in.mkv", frames=10, attachments=[("a.ttf", "font/ttf", bytes(50))])
    fonts = [("a.ttf", "font/ttf", bytes(50)), ("a.ttf", "font/ttf", bytes(60)), ("b.ttf", "font/ttf", b"b")]
    subs = make_clip(tmp_path / "subs.mkv", frames=10, subtitles="ass", attachments=fonts)
    added, out = [subs, subs], tmp_path / "out.mkv"
    report = paragon_stream.upscale(clip, out, add=added, strict=True, **FAST)
    with av.open(str(out)) as result:
        kept: list[Any] = [s for s in result.streams if s.type == "attachment"]
        assert [(s.name, bytes(s.data)) for s in kept] == [
            ("a.ttf", bytes(50)),
            ("a.ttf", bytes(60)),
            ("b.ttf", b"b"),
        ]
    found = {str(finding.check) for finding in paragon_stream.verify(clip, out, plan=report).findings}
    assert found <= {"picture", "quality"}, "the engine computes nothing"
    assert FONT not in render(clip, out, add=added, attachments=False)
    mp4 = paragon_stream.upscale(clip, tmp_path / "out.mp4", add=[subs], **FAST)
    assert any("b.ttf" in warning and "holds no attached files" in warning for warning in mp4.warnings)


def test_sound_files_and_a_range(tmp_path: Path) -> None:
    """Times of added files count from the beginning of the programme, at any start of the source's clock."""
    clip = make_clip(tmp_path / "in.ts", frames=50, audio="mp2")
    comment = make_clip(tmp_path / "comment.fr.mka.mkv", frames=50, audio="flac")
    sound = tmp_path / "in.french.mka"
    with av.open(str(comment)) as source, av.open(str(sound), "w", format="matroska") as target:
        track = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = track
                target.mux(packet)
    words = tmp_path / "in.srt"
    words.write_text("1\n00:00:01,200 --> 00:00:01,500\nHere\n\n2\n00:00:00,100 --> 00:00:00,200\nBefore\n")
    out = tmp_path / "out.mkv"
    found = render(clip, out, start=1, duration="0.6", add=[sound, words])
    assert found == [VIDEO, ("audio", "und"), ("audio", "fre"), ("subtitle", "und")]
    part = prepare(clip, SourceOptions(start=1, duration="0.6"))
    assert part.cut is not None
    begin = part.cut.start - part.programme_start
    assert 1 <= begin < 1 + Fraction(1, 25)
    original = packet_facts(sound, 0)
    kept = packet_facts(out, 2)
    index = next(i for i, p in enumerate(original) if p.data == kept[0].data)
    assert original[index].pts is not None and kept[0].pts is not None
    assert abs(original[index].pts - begin - kept[0].pts) < Fraction(2, 1000)
    assert 0 <= kept[0].pts < Fraction(11, 100)
    (here,) = packet_facts(out, 3)
    assert here.data == b"Here" and here.pts is not None
    assert abs(here.pts - (Fraction(12, 10) - begin)) <= Fraction(1, 1000)
    assert np.isclose(len(kept), 0.6 / float(original[1].pts or 0), atol=1.5)


def test_files_that_cannot_be_added(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    out = tmp_path / "out.mkv"
    latin = tmp_path / "latin.srt"
    latin.write_bytes("1\n00:00:00,000 --> 00:00:01,000\nMüßig\n".encode("cp1252"))
    with pytest.raises(InputError, match="not in UTF-8"):
        paragon_stream.upscale(clip, out, add=[latin], **FAST)
    with pytest.raises(InputError, match="neither sound nor subtitles"):
        paragon_stream.upscale(clip, out, add=[clip], **FAST)
    with pytest.raises(InputError, match="does not exist"):
        paragon_stream.upscale(clip, out, add=[tmp_path / "none.srt"], **FAST)
    with pytest.raises(UsageError, match="leave --add out"):
        paragon_stream.upscale(clip, tmp_path / "out.y4m", add=[latin], engine="null")
    assert not out.exists()


def test_the_command(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, words = tmp_path / "out.mkv", tmp_path / "film.en.sdh.srt"
    words.write_text(SRT_SCRIPT, encoding="utf-8")
    command = [str(film), str(out), "--engine", "null", "--preset", "ultrafast", "--quiet", "--overwrite"]
    assert run([*command, "--no-audio", "--no-subs", "--no-attachments", "--no-chapters"]) == 0
    assert streams(out) == [VIDEO, OTHER]
    assert run([*command, "--audio", "jpn", "--subs", "1", "--add", str(words)]) == 0
    assert streams(out) == [VIDEO, ("audio", "jpn"), SUBS, OTHER, ("subtitle", "eng"), FONT] or streams(
        out
    ) == [VIDEO, ("audio", "jpn"), SUBS, OTHER, FONT, ("subtitle", "eng")]
    with av.open(str(out)) as result:
        assert result.streams.subtitles[1].disposition & Disposition.hearing_impaired
        assert len(result.chapters()) == 2
    assert run([*command, "--audio", "xyz"]) == 2
    assert "--audio xyz is not in the source, which has: 1 eng, 2 jpn, 3 ger" in capsys.readouterr().err


def test_names_of_languages() -> None:
    for name, code in {
        "en": "eng",
        "deu": "ger",
        "ger": "ger",
        "pt-BR": "por",
        "zh_Hant": "chi",
        "French": "fre",
    }.items():
        assert language_code(name) == code
    for name in ("", "1080p", "x264", "the", "xx"):
        assert language_code(name) is None
    assert same_language("deu", "de") and same_language("und", "UND") and not same_language("eng", "ger")
