"""Sample aspect ratios of codecs that do not know any, in Matroska and WebM."""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import make_clip, packets
from rendering import decoded_pts, frames_of, main_video, render, sink_for

from paragon_stream.media.facts.probe import probe
from paragon_stream.media.output.display_size import display_size, write_display_size


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libsvtav1", "webm"), ("libsvtav1", "mkv"), ("libvpx-vp9", "webm"), ("ffv1", "mkv")],
)
@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(8, 9)], ids=str)
@pytest.mark.parametrize("title", ["", "Der Film — Fassung ä"], ids=["untitled", "titled"])
def test_aspect_and_everything_else_come_back(
    tmp_path: Path, codec: str, suffix: str, aspect: Fraction, title: str
) -> None:
    source = make_clip(
        tmp_path / "in.mkv",
        frames=30,
        width=144,
        height=96,
        sar=aspect,
        audio="libopus",
        chapters=2,
        titles=[title, "Ton"] if title else [],
    )
    out = tmp_path / f"out.{suffix}"
    done = render(source, out, codec=codec)
    assert done.warnings == []
    with av.open(str(out)) as file:
        video = main_video(file)
        assert video.sample_aspect_ratio == aspect
        assert video.metadata.get("title", "") == title
        assert file.streams.audio[0].metadata.get("title", "") == ("Ton" if title else "")
        assert len(file.chapters()) == 2
        assert (video.codec_context.colorspace, video.codec_context.color_range) != (2, 0)
    assert probe(out).video.format.sample_aspect_ratio == aspect
    assert decoded_pts(out) == [Fraction(n, 25) for n in range(30)]
    assert packets(out, 1) == packets(source, 1)


def test_the_checksum_of_the_tracks_is_right(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, width=144, height=96, sar=Fraction(4, 3))
    out = tmp_path / "out.mkv"
    render(source, out, codec="ffv1")
    data = out.read_bytes()
    at = data.rindex(b"\x16\x54\xae\x6b", 0, data.index(b"\x1f\x43\xb6\x75")) + 4
    length = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + length]) & ((1 << 7 * length) - 1)
    tracks = data[at + length : at + length + size]
    assert tracks[:2] == b"\xbf\x84"  # CRC-32, four bytes
    assert int.from_bytes(tracks[2:6], "little") == zlib.crc32(tracks[6:])


def test_unfinished_files_have_it_too(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, width=144, height=96, sar=Fraction(4, 3))
    with sink_for(source, tmp_path / "out.mkv", codec="ffv1") as (_, plan, sink):
        for planes, timing in frames_of(probe(source), plan.target):
            sink.write(planes, timing)
        sink.abort()
    kept = tmp_path / "out.mkv.paragon" / "out.mkv"
    with av.open(str(kept)) as file:
        assert file.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        assert "title" not in file.streams.video[0].metadata


def test_square_pixels_leave_the_file_alone(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3)
    render(source, tmp_path / "out.mkv", codec="ffv1")
    before = (tmp_path / "out.mkv").read_bytes()
    assert not write_display_size(tmp_path / "out.mkv", "", 10, 10)
    (tmp_path / "other").write_bytes(b"no Matroska at all")
    assert not write_display_size(tmp_path / "other", "", 10, 10)
    assert (tmp_path / "out.mkv").read_bytes() == before


def test_display_size_never_shrinks() -> None:
    assert display_size(720, 576, Fraction(64, 45)) == (1024, 576)
    assert display_size(720, 480, Fraction(8, 9)) == (720, 540)
