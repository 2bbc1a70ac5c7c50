"""Whole files out and read back: every kind of stream, every container."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import Tags, jpeg, make_clip, packets, read_frames
from rendering import main_video, render, tracks

from paragon_stream.media.facts.probe import probe
from paragon_stream.media.output.stream_plans import Action

FONT = b"\0\1\0\0" + bytes(range(256)) * 3
RICH = {
    "frames": 25,
    "audio_tracks": 2,
    "languages": ["und", "jpn", "ger", "eng"],
    "titles": ["Film", "Ton", "Kommentar", "Text"],
    "metadata": {"title": "A Film", "artist": "Somebody", "comment": "why not"},
    "chapters": 3,
}


def test_mkv_to_mkv_keeps_everything(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.mkv",
        audio="libopus",
        subtitles="ass",
        attachments=[("font.ttf", "font/ttf", FONT), ("more.otf", "font/otf", FONT[::-1])],
        cover=True,
        second_video=True,
        dispositions=[1, 1, 2 | 128, 64],  # default, default, dub + hearing impaired, forced
        **RICH,
    )
    out = tmp_path / "out.mkv"
    done = render(source, out)
    assert done.warnings == []
    before, after = tracks(source), tracks(out)
    assert [(t.type, t.codec) for t in after] == [(t.type, t.codec) for t in before]
    for had, has in zip(before[1:], after[1:], strict=True):
        assert has.payloads == had.payloads and has.pts == had.pts
        assert has.disposition == had.disposition
        for key in ("language", "title", "filename", "mimetype"):
            assert has.metadata.get(key) == had.metadata.get(key)
    assert after[0].disposition == before[0].disposition and after[0].metadata["title"] == "Film"
    assert after[0].pts == before[0].pts or sorted(after[0].pts) == sorted(before[0].pts)  # type: ignore[type-var]
    with av.open(str(source)) as a, av.open(str(out)) as b:
        assert a.chapters() == b.chapters() and len(b.chapters()) == 3
        for key in ("title", "ARTIST", "COMMENT"):
            assert b.metadata[key] == a.metadata[key]
        fonts = [(s.name, s.mimetype, s.data) for s in b.streams.attachments]
        assert fonts == [("font.ttf", "font/ttf", FONT), ("more.otf", "font/otf", FONT[::-1])]
    assert not (tmp_path / "out.mkv.paragon").exists()


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("extras", [False, True], ids=["plain", "chapters+cover"])
def test_mkv_to_mp4_and_mov(tmp_path: Path, suffix: str, extras: bool) -> None:
    rich = dict(RICH) if extras else {**RICH, "chapters": 0}
    source = make_clip(tmp_path / "in.mkv", audio="aac", subtitles="subrip", cover=extras, **rich)
    out = tmp_path / f"out.{suffix}"
    done = render(source, out)
    assert "movflags" not in done.plan.muxer_options  # crash-safe only without texts, covers and chapters
    before, after = tracks(source), tracks(out)
    assert [t.codec for t in after[:4]] == ["h264", "aac", "aac", "mov_text"]
    for index in (1, 2):
        assert after[index].payloads == before[index].payloads
        for has, had in zip(after[index].pts, before[index].pts, strict=True):
            assert has is not None and had is not None and abs(has - had) <= Fraction(1, 1000)
    assert [t.metadata.get("language") for t in after[1:4]] == ["jpn", "ger", "eng"]
    assert [t.metadata.get("name") for t in after[:4]] == RICH["titles"]
    with av.open(str(out)) as file:
        assert file.metadata["title"] == "A Film" and file.metadata["artist"] == "Somebody"
        assert len(file.chapters()) == (3 if extras else 0)
        texts = [s.dialogue for p in file.demux(file.streams.subtitles[0]) if p.size > 2 for s in p.decode()]
        texts = [re.sub(rb"\{.*?\}", b"", text) for text in texts]
    assert texts == [b"Hello, world", "Zwölf Boxkämpfer".encode(), b"Two\nlines"]
    shown = [p for p, d in zip(after[3].pts, after[3].payloads, strict=True) if len(d) > 2]
    assert shown == [Fraction(40, 1000), Fraction(200, 1000), Fraction(400, 1000)]
    covers = [t for t in after if t.codec == "mjpeg"]
    if extras and suffix == "mp4":
        assert [t.payloads for t in covers] == [[jpeg()]] and len(after) == 5
    else:
        assert covers == [] and len(after) == 4
        assert not extras or any("cover picture" in w for w in done.warnings)


def test_mp4_to_mkv_and_back_keeps_cover_titles_and_text(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.mkv", audio="aac", subtitles="subrip", cover=True, **RICH)
    render(first, tmp_path / "b.mp4")
    done = render(tmp_path / "b.mp4", tmp_path / "c.mkv")
    fates = [s.action for s in done.plan.streams]
    assert fates.count(Action.REBUILD) == 1 and fates.count(Action.ATTACH) == 1  # chapter track, cover
    with av.open(str(tmp_path / "c.mkv")) as file:
        assert len(file.chapters()) == 3 and file.metadata["title"] == "A Film"
        assert [s.metadata.get("title") for s in file.streams][:4] == RICH["titles"]
        assert "NAME" not in file.streams[1].metadata and "HANDLER_NAME" not in file.streams[1].metadata
        cover = file.streams[-1]
        assert cover.metadata["filename"] == "cover.jpg"
        assert next(bytes(p) for p in file.demux(cover) if p.size) == jpeg()
        texts = [bytes(p) for p in file.demux(file.streams.subtitles[0]) if p.size]
    assert texts == [b"Hello, <i>world</i>", "Zwölf Boxkämpfer".encode(), b"Two\nlines"]
    assert packets(first, 1) == packets(tmp_path / "c.mkv", 1)


def test_webm(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.mkv", audio="libopus", subtitles="subrip", **{**RICH, "audio_tracks": 1}
    )
    out = tmp_path / "out.webm"
    render(source, out, codec="libvpx-vp9")
    before, after = tracks(source), tracks(out)
    assert [t.codec for t in after] == ["vp9", "opus", "webvtt"]
    assert after[1].payloads == before[1].payloads
    assert after[2].payloads[0] == b"Hello, <i>world</i>"
    with av.open(str(out)) as file:
        assert len(file.chapters()) == 3 and file.format.name == "matroska,webm"


def test_ts_and_its_audio_into_mp4(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", audio="aac", frames=25, languages=["und", "jpn"])
    done = render(source, tmp_path / "b.ts")
    assert [t.codec for t in tracks(tmp_path / "b.ts")] == ["h264", "aac"]
    assert tracks(tmp_path / "b.ts")[1].metadata["language"] == "jpn"
    assert done.warnings == []
    for name in ("c.mp4", "c.mkv"):
        render(tmp_path / "b.ts", tmp_path / name)
        assert packets(tmp_path / name, 1) == packets(source, 1)  # ADTS headers put on and taken off
        with av.open(str(tmp_path / name)) as file:
            assert len(file.streams) == 2
            samples = sum(frame.samples for frame in file.decode(audio=0))
        assert samples >= 47_000


@pytest.mark.parametrize("codec", ["flac", "ac3", "mp2", "pcm_s16le", "libopus"])
def test_audio_codecs_are_copied_or_encoded_again_with_a_reason(tmp_path: Path, codec: str) -> None:
    source = make_clip(tmp_path / "in.mkv", audio=codec, frames=12)
    for suffix in ("mkv", "mp4", "mov", "ts"):
        out = tmp_path / f"out.{suffix}"
        done = render(source, out)
        planned = done.plan.streams[0]
        if planned.action is Action.COPY:
            back = tracks(out)[1]
            assert b"".join(back.payloads) == b"".join(packets(source, 1))
        else:
            assert planned.action is Action.CONVERT and planned.reason
            assert done.warnings == ([str(planned)] if planned.loss else [])
            assert planned.sound is not None and tracks(out)[1].codec == planned.sound.encoder.removeprefix(
                "lib"
            )
            assert planned.loss == (tracks(out)[1].codec == "aac")
    assert plan_actions(tmp_path, source, "mkv") == [Action.COPY]


def plan_actions(tmp_path: Path, source: Path, suffix: str) -> list[Action]:
    return [s.action for s in render(source, tmp_path / f"again.{suffix}").plan.streams]


def test_stale_statistics_are_left_behind(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", audio="aac", frames=4)
    with av.open(str(source)) as a, av.open(str(tmp_path / "tagged.mkv"), "w") as b:
        for stream in a.streams:
            copy = b.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(
                {"BPS-eng": "1", "NUMBER_OF_FRAMES": "9", "_STATISTICS_TAGS": "BPS", "mood": "blue"}
            )
        for packet in a.demux():
            if packet.size:
                packet.stream = b.streams[packet.stream.index]
                b.mux(packet)
    render(tmp_path / "tagged.mkv", tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as file:
        for stream in file.streams:
            assert set(stream.metadata) == {"MOOD", "DURATION"}


# ---------------------------------------------------------------------- the picture and its tags


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [("libx264", "yuv420p"), ("libx265", "yuv420p10le"), ("libx265", "yuv422p12le"), ("libx264", "yuv444p")],
)
def test_colour_aspect_and_rotation_come_back(tmp_path: Path, suffix: str, codec: str, pix_fmt: str) -> None:
    tags = Tags(matrix=9, range=2, transfer=16, primaries=9, chroma_location=3)
    source = make_clip(
        tmp_path / "in.mkv",
        frames=3,
        codec="libx265" if "1" in pix_fmt[-4:] else "libx264",
        pix_fmt=pix_fmt,
        tags=tags,
        sar=Fraction(64, 45),
        rotation=90,
    )
    out = tmp_path / f"out.{suffix}"
    render(source, out, codec=codec)
    before, after = probe(source).video, probe(out).video
    assert after.format.pixel_format.name == pix_fmt
    assert after.format.color == before.format.color and after.guessed == before.guessed
    assert after.format.sample_aspect_ratio == Fraction(64, 45)
    assert after.display_matrix == before.display_matrix is not None
    with av.open(str(out)) as file:
        context = main_video(file).codec_context  # the container's tags: nothing is decoded yet
        assert (context.colorspace, context.color_range) == (9, 2)
        assert (context.color_trc, context.color_primaries) == (16, 9)
        if codec == "libx265" and suffix != "mkv":
            assert context.codec_tag == "hvc1"


def test_guessed_colour_is_written(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=2, width=720, height=480, rate=Fraction(30000, 1001))
    render(source, tmp_path / "out.mkv", scale=2)
    guessed, written = probe(source).video, probe(tmp_path / "out.mkv").video
    assert "matrix" in guessed.guessed and written.guessed == ()
    assert written.format.color == guessed.format.color  # not what 1440x960 would be taken for


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *(("a.mkv", "libx265"), ("a.mp4", "libx265"), ("a.ts", "libx265")),
        *(("a.mkv", "libx264"), ("a.mp4", "libx264")),
        *(("a.webm", "libsvtav1"), ("a.mp4", "libsvtav1")),
    ],
)
def test_hdr10_metadata_comes_back(tmp_path: Path, name: str, codec: str) -> None:
    parameters = (
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    )
    source = make_clip(
        tmp_path / "in.mkv",
        frames=3,
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"x265-params": parameters},
        tags=Tags(matrix=9, range=1, transfer=16, primaries=9, chroma_location=3),
    )
    had = probe(source).video.hdr
    assert had is not None and had.content_light == (1000, 400)
    done = render(source, tmp_path / name, codec=codec)
    assert probe(tmp_path / name).video.hdr == had
    assert done.warnings == []


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"),
    [
        ("ffv1", "yuv420p10le", "a.mkv"),
        ("ffv1", "yuv444p16le", "a.mkv"),
        ("ffv1", "gray12le", "a.mkv"),
        ("ffv1", "gbrp10le", "a.mkv"),
        ("ffv1", "yuva444p", "a.mkv"),
    ],
)
def test_lossless_output_is_exactly_what_went_in(tmp_path: Path, codec: str, pix_fmt: str, name: str) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=4, codec="ffv1", pix_fmt=pix_fmt)
    render(source, tmp_path / name, codec=codec)
    pairs = zip(read_frames(source), read_frames(tmp_path / name), strict=True)
    for (_, had), (_, has) in pairs:
        assert all(np.array_equal(a, b) for a, b in zip(had, has, strict=True))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"),
    [
        ("libx264", "yuv420p", "a.mkv"),
        ("libx265", "yuv420p10le", "a.mp4"),
        ("libsvtav1", "yuv420p10le", "a.webm"),
        ("libvpx-vp9", "yuv420p", "a.webm"),
        ("prores_ks", "yuv422p10le", "a.mov"),
        ("libx265", "gbrp", "a.mkv"),
    ],
)
def test_pictures_look_like_what_went_in_and_two_runs_agree(
    tmp_path: Path, codec: str, pix_fmt: str, name: str
) -> None:
    source_codec = "libx265" if pix_fmt == "gbrp" else "ffv1"
    source = make_clip(tmp_path / "in.mkv", frames=6, codec=source_codec, pix_fmt=pix_fmt)
    runs = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        render(source, tmp_path / run / name, codec=codec)
        runs.append(read_frames(tmp_path / run / name))
    before = read_frames(source)
    assert len(runs[0]) == len(before)
    peak = 255 if before[0][1][0].dtype == np.uint8 else 1023
    for (_, first), (_, second), (_, had) in zip(*runs, before, strict=True):
        for a, b, reference in zip(first, second, had, strict=True):
            assert np.array_equal(a, b)
            error = np.mean((a.astype(float) - reference) ** 2) / peak**2
            assert -10 * np.log10(error + 1e-12) > 33
