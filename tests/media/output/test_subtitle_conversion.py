"""Texts that overlap, draw or have no end, on their way into MP4's timed text and elsewhere."""

from __future__ import annotations

import io
import re
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import make_clip
from rendering import render

MS = Fraction(1, 1000)

STYLE_FIELDS = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
    "Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, "
    "MarginR, MarginV, Encoding"
)
STYLE = "Default,Arial,16,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1"
SCRIPT = rf"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: {STYLE_FIELDS}
Style: {STYLE}

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.10,0:00:01.00,Default,,0,0,0,,Speech, with a comma
Dialogue: 0,0:00:00.40,0:00:00.60,Default,,0,0,0,,{{\pos(10,10)}}SIGN
Dialogue: 0,0:00:00.40,0:00:00.80,Default,,0,0,0,,{{\p1}}m 0 0 l 100 0 100 100{{\p0}}
Dialogue: 0,0:00:01.20,0:00:01.50,Default,,0,0,0,,Alone
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    clip = make_clip(tmp_path / "plain.mkv", frames=50)
    script = av.open(io.BytesIO(SCRIPT.encode()), format="ass")
    with av.open(str(clip)) as a, av.open(str(tmp_path / "in.mkv"), "w") as b:
        video = b.add_stream_from_template(a.streams[0], opaque=True)
        text = b.add_stream_from_template(script.streams[0], opaque=True)
        pictures = [(p, video) for p in a.demux() if p.size]
        for packet, stream in [*pictures, *((p, text) for p in script.demux() if p.size)]:
            packet.stream = stream
            b.mux(packet)
    script.close()
    return tmp_path / "in.mkv"


def texts(path: Path) -> list[tuple[int, int, str]]:
    """(start, end) in milliseconds and the bare words of every text that says something."""
    said = []
    with av.open(str(path)) as file:
        for packet in file.demux(file.streams.subtitles[0]):
            for shown in packet.decode() if packet.size else []:
                words = re.sub(r"\{.*?\}|<.*?>", "", shown.dialogue.decode()).strip()
                if words:
                    start = round(packet.pts * packet.time_base * 1000)
                    said.append((start, start + round(packet.duration * packet.time_base * 1000), words))
    return said


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_overlapping_texts_share_the_time_they_have_in_common(
    source: Path, tmp_path: Path, suffix: str
) -> None:
    done = render(source, tmp_path / f"out.{suffix}")
    assert [w for w in done.warnings if "fonts, positions and effects are lost" in w]
    assert texts(tmp_path / f"out.{suffix}") == [
        (100, 400, "Speech, with a comma"),
        (400, 600, "Speech, with a comma\nSIGN"),
        (600, 1000, "Speech, with a comma"),
        (1200, 1500, "Alone"),
    ]


def test_webm_keeps_overlapping_texts_apart(source: Path, tmp_path: Path) -> None:
    render(source, tmp_path / "out.webm")
    assert texts(tmp_path / "out.webm") == [
        (100, 1000, "Speech, with a comma"),
        (400, 600, "SIGN"),
        (1200, 1500, "Alone"),
    ]


def test_copied_where_the_container_takes_it(source: Path, tmp_path: Path) -> None:
    render(source, tmp_path / "out.mkv")
    with av.open(str(source)) as a, av.open(str(tmp_path / "out.mkv")) as b:
        for had, has in zip(a.demux(a.streams[1]), b.demux(b.streams[1]), strict=True):
            assert bytes(had) == bytes(has) and (had.pts, had.duration) == (has.pts, has.duration)
        assert a.streams[1].codec_context.extradata == b.streams[1].codec_context.extradata  # the styles


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("lyrics.lrc", "[00:00.50]first\n[00:01.50]second\n[00:02.50]last\n"),
        ("old.sub", "{1}{1}25\n{12}{37}first\n{37}{}second\n{62}{}last\n"),
    ],
)
def test_texts_without_an_end_are_shown_until_the_next(
    tmp_path: Path, name: str, script: str, suffix: str
) -> None:
    (tmp_path / name).write_text(script)
    clip = make_clip(tmp_path / "in.mkv", frames=100)
    render(clip, tmp_path / f"out.{suffix}", add=(str(tmp_path / name),))
    found = texts(tmp_path / f"out.{suffix}")
    assert [words for _, _, words in found] == ["first", "second", "last"]
    assert [end - start for start, end, _ in found[1:]] == [1000, 5000]


def test_text_of_matroska_without_an_end(tmp_path: Path) -> None:
    """It lasts until the next one."""
    clip = make_clip(tmp_path / "plain.mkv", frames=25, subtitles="subrip")
    with av.open(str(clip)) as a, av.open(str(tmp_path / "in.mkv"), "w") as b:
        copies = [b.add_stream_from_template(s, opaque=True) for s in a.streams]
        for packet in a.demux():
            if packet.size:
                if packet.stream.index == 1 and packet.pts == 200:
                    packet.duration = 0
                packet.stream = copies[packet.stream.index]
                b.mux(packet)
    render(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert texts(tmp_path / "out.mp4")[1] == (200, 400, "Zwölf Boxkämpfer")


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_texts_of_added_files_keep_their_times(tmp_path: Path, suffix: str) -> None:
    """They may shift at the borders of fragments, where FFmpeg may even end the process."""
    starts = range(300, 29_000, 1700)
    times = [f"00:00:{time // 1000:02},{time % 1000:03}" for start in starts for time in (start, start + 90)]
    lines = zip(times[::2], times[1::2], strict=True)
    script = "\n".join(f"{n}\n{begin} --> {end}\nx\n" for n, (begin, end) in enumerate(lines, 1))
    (tmp_path / "lines.srt").write_text(script)
    clip = make_clip(tmp_path / "in.mp4", frames=300, rate=10)
    out = tmp_path / f"out.{suffix}"
    done = render(clip, out, add=(str(tmp_path / "lines.srt"),), encoder_options={"g": "20"})
    assert "movflags" not in done.plan.muxer_options
    assert [start for start, _, _ in texts(out)] == list(starts)
