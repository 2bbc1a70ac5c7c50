from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from clip_damage import with_captions, with_dolby_vision
from clips import BT709, Tags, make_clip
from reading import read_all

from paragon_stream.errors import FormatError, InputError
from paragon_stream.frame import ChromaLocation, ColorRange, Matrix
from paragon_stream.media.facts.info import HdrMetadata, StreamKind
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.facts.side_data import uncarried_mastering

RATE = Fraction(24000, 1001)


def test_a_full_matroska_file(tmp_path: Path) -> None:
    info = probe(
        make_clip(
            tmp_path / "full.mkv",
            rate=RATE,
            audio="aac",
            audio_tracks=2,
            subtitles="ass",
            attachments=[("font.ttf", "font/ttf", b"not a font")],
            second_video=True,
            cover=True,
            chapters=3,
            languages=["und", "deu", "eng", "fra"],
            titles=["Film", "Ton"],
            dispositions=[1, 1, 0, 64],
            tags=BT709,
            sar=Fraction(4, 3),
        )
    )
    assert info.container == "matroska,webm"
    assert info.chapters == 3
    assert info.seekable
    kinds = [stream.kind for stream in info.streams]
    assert kinds == [
        StreamKind.VIDEO,
        StreamKind.AUDIO,
        StreamKind.AUDIO,
        StreamKind.SUBTITLE,
        StreamKind.VIDEO,
        StreamKind.ATTACHMENT,
        StreamKind.COVER,
    ]
    assert [stream.codec for stream in info.streams] == ["h264", "aac", "aac", "ass", "h264", "", "mjpeg"]
    assert [stream.language for stream in info.streams[:4]] == ["", "deu", "eng", "fra"]
    assert [stream.title for stream in info.streams[:3]] == ["Film", "Ton", ""]
    assert info.streams[1].dispositions == ("default",)
    assert info.streams[3].dispositions == ("forced",)
    assert info.streams[1].detail == "aac 48000 Hz stereo"
    assert info.streams[5].detail == "font.ttf, font/ttf, 10 bytes"
    assert all(stream.copyable for stream in info.streams)

    video = info.video
    assert (video.index, video.codec) == (0, "h264")
    assert (video.format.width, video.format.height) == (96, 64)
    assert video.format.pixel_format.name == "yuv420p"
    assert video.format.sample_aspect_ratio == Fraction(4, 3)
    assert video.guessed == ()
    assert video.time_base == Fraction(1, 1000)
    assert video.average_rate == RATE
    assert video.frames == 12
    assert video.duration == pytest.approx(12 / RATE, abs=0.02)
    assert not video.interlaced
    assert video.display_matrix is None and video.hdr is None and video.uncarried == ()


def test_colour_tags_are_read_and_not_guessed(tmp_path: Path) -> None:
    tags = Tags(matrix=6, range=2, transfer=8, primaries=7, chroma_location=2)
    video = probe(make_clip(tmp_path / "clip.mp4", codec="libx265", tags=tags)).video
    color = video.format.color
    assert color.matrix is Matrix.SMPTE170M
    assert color.range is ColorRange.FULL
    assert (color.transfer, color.primaries) == (8, 7)
    assert color.chroma_location is ChromaLocation.CENTER
    assert video.guessed == ()


@pytest.mark.parametrize(
    ("width", "height", "rate", "matrix", "primaries"),
    [
        (1280, 64, 25, Matrix.BT709, 1),
        (64, 578, 25, Matrix.BT709, 1),
        (64, 576, 24, Matrix.BT470BG, 5),
        (64, 480, 25, Matrix.BT470BG, 5),
        (64, 480, 30, Matrix.SMPTE170M, 6),
    ],
)
def test_untagged_colour_goes_by_size_and_rate(
    tmp_path: Path, width: int, height: int, rate: int, matrix: Matrix, primaries: int
) -> None:
    clip = make_clip(tmp_path / "c.mkv", width=width, height=height, rate=rate, frames=2, codec="mpeg4")
    video = probe(clip).video
    assert (video.format.color.matrix, video.format.color.primaries) == (matrix, primaries)
    assert video.format.color.range is ColorRange.LIMITED
    assert {"matrix", "transfer", "primaries"} <= set(video.guessed)


def test_a_tagged_matrix_decides_the_other_gaps(tmp_path: Path) -> None:
    video = probe(make_clip(tmp_path / "clip.mkv", tags=Tags(matrix=1))).video
    assert (video.format.color.transfer, video.format.color.primaries) == (1, 1)
    assert "matrix" not in video.guessed and "primaries" in video.guessed


def test_untagged_pq_means_bt2020(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "c.mkv", codec="libx265", pix_fmt="yuv420p10le", tags=Tags(transfer=16))
    color = probe(clip).video.format.color
    assert (color.matrix, color.transfer, color.primaries) == (Matrix.BT2020_NCL, 16, 9)


def test_jpeg_range_by_the_name_of_the_format(tmp_path: Path) -> None:
    video = probe(make_clip(tmp_path / "clip.mkv", codec="mjpeg", pix_fmt="yuvj420p")).video
    assert video.format.pixel_format.name == "yuv420p"
    assert video.format.color.range is ColorRange.FULL
    assert video.format.color.chroma_location is ChromaLocation.CENTER
    assert "range" not in video.guessed


@pytest.mark.parametrize(
    ("matrix", "word"), [(10, "constant-luminance"), (14, "ICtCp"), (8, "YCGCO"), (13, "constant-luminance")]
)
def test_colour_that_is_not_linear_is_refused(tmp_path: Path, matrix: int, word: str) -> None:
    clip = make_clip(tmp_path / "clip.mkv", tags=Tags(matrix=matrix, range=1, transfer=1, primaries=9))
    with pytest.raises(FormatError, match=word):
        probe(clip)


def test_dolby_vision_5_is_refused_and_8_is_not_carried(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", codec="libx265", pix_fmt="yuv420p10le", frames=2)
    with pytest.raises(FormatError, match="Dolby Vision profile 5"):
        probe(with_dolby_vision(clip, tmp_path / "p5.mp4", profile=5))
    info = probe(with_dolby_vision(clip, tmp_path / "p8.mp4", profile=8, compatibility=1))
    assert info.video.uncarried == ("Dolby Vision",)


def test_captions_are_noticed(tmp_path: Path) -> None:
    raw = make_clip(tmp_path / "clip.264")
    assert probe(raw).video.uncarried == ()
    assert probe(with_captions(raw, tmp_path / "cc.264")).video.uncarried == ("closed captions",)


def test_hdr10_metadata_in_the_units_of_x265(tmp_path: Path) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    clip = make_clip(
        tmp_path / "hdr.mkv",
        codec="libx265",
        pix_fmt="yuv420p10le",
        tags=Tags(matrix=9, range=1, transfer=16, primaries=9),
        options={"x265-params": f"hdr10=1:repeat-headers=1:master-display={display}:max-cll=1000,400"},
    )
    assert probe(clip).video.hdr == HdrMetadata(mastering_display=display, content_light=(1000, 400))


def test_rotation_is_read_as_a_matrix(tmp_path: Path) -> None:
    video = probe(make_clip(tmp_path / "clip.mp4", rotation=90)).video
    assert video.display_matrix == (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)
    assert probe(make_clip(tmp_path / "upright.mp4")).video.display_matrix is None


def test_interlaced_by_the_frames(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", options={"x264-params": "tff=1:interlaced=1"})
    assert probe(clip).video.interlaced


def test_cover_before_the_film_is_not_the_film(tmp_path: Path) -> None:
    video = probe(make_clip(tmp_path / "clip.mp4", cover=True)).video
    assert (video.index, video.codec) == (0, "h264")
    assert video.frames == 12


def test_default_disposition_wins_and_an_index_overrules_it(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "two.mkv", second_video=True, dispositions=[0, 1])
    assert probe(clip).video.format.width == 64
    assert probe(clip, video=0).video.format.width == 96
    assert probe(clip, video=1).video.index == 1


def test_an_index_that_is_no_video(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", audio="aac")
    for index in (1, 7, -1):
        with pytest.raises(InputError, match=f"stream {index} of .* is not a video stream"):
            probe(clip, video=index)


def test_a_default_track_without_frames_does_not_hide_the_film(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "film.mkv", frames=5)
    path = tmp_path / "empty_first.mkv"
    with av.open(str(clip)) as source, av.open(str(path), "w") as out:
        empty = out.add_stream("mpeg4", rate=25)
        empty.width, empty.height, empty.pix_fmt = 32, 32, "yuv420p"
        empty.disposition = av.stream.Disposition.default
        film = out.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = film
                out.mux(packet)
    info = probe(path)
    assert info.streams[0].kind is StreamKind.VIDEO and info.streams[0].dispositions == ("default",)
    assert (info.video.index, info.video.format.width) == (1, 96)


def test_raw_stream_has_no_times(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.264"))
    assert info.video.start_pts is None
    assert info.video.average_rate == 25
    assert info.duration is None and info.video.frames is None


def test_first_pts_and_start_offsets(tmp_path: Path) -> None:
    base = Fraction(1, 25)
    clip = make_clip(
        tmp_path / "late.mkv",
        pts=[250, 251, 252],
        time_base=base,
        audio="aac",
        audio_delay=9.5,
        audio_seconds=1,
    )
    info = probe(clip)
    assert info.video.start_pts == 10_000
    assert info.video.duration == pytest.approx(0.12, abs=0.01)
    assert info.start_time == pytest.approx(9.5, abs=0.05)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (100, 3), (2048, 16)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    clip = make_clip(
        tmp_path / "c.mkv", width=size[0], height=size[1], codec="ffv1", pix_fmt="yuv444p", frames=2
    )
    video = probe(clip).video
    assert (video.format.width, video.format.height) == size


@pytest.mark.parametrize(
    ("flags", "said"), [((1, 0), ("an incomplete mastering display",)), ((1, 1), ()), ((0, 0), ())]
)
def test_a_mastering_display_without_luminance_is_announced(
    flags: tuple[int, int], said: tuple[str, ...]
) -> None:
    """Encoders take the whole of it, or nothing."""
    numbers = [*(n for value in range(1, 11) for n in (value, 50_000)), *flags]
    data = {"mastering_display_metadata": struct.pack("=22i", *numbers)}
    context: Any = SimpleNamespace(coded_side_data=data)
    assert uncarried_mastering(context, None) == said


def test_an_unknown_video_codec_is_named(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    data = clip.read_bytes()
    assert data.count(b"V_MPEG4/ISO/AVC") == 1
    clip.write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_PARAGON/TEST0"))
    with pytest.raises(InputError, match="has video whose codec cannot be decoded"):
        probe(clip)


@pytest.mark.parametrize("audio", [None, "pcm_s16le"])
def test_an_avi_from_a_pipe_has_no_length(tmp_path: Path, audio: str | None) -> None:
    """Its header has a placeholder of 2^30 frames, from which FFmpeg computes a length."""
    clip = tmp_path / "in.avi"
    with clip.open("wb") as file, av.open(str(make_clip(tmp_path / "whole.avi", audio=audio))) as whole:
        without_seeking = SimpleNamespace(write=file.write)
        with av.open(without_seeking, "w", format="avi") as out:
            streams = [out.add_stream_from_template(stream) for stream in whole.streams]
            for packet in whole.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream_index]
                    out.mux(packet)
    info = probe(clip)
    assert (info.duration, info.video.duration, info.video.frames) == (None, None, None)
    _, reader = read_all(clip)
    assert reader.frames == 12 and reader.warnings == []
