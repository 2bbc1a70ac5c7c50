"""`--strict` refuses what would be lost, and nothing that arrives: timecodes, stereo packing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clips import make_clip, make_frame, scene

import paragon_stream
from paragon_stream.errors import LossError, UsageError

FAST: dict[str, Any] = {"engine": "null", "preset": "ultrafast", "strict": True}


def with_timecode(path: Path) -> Path:
    """A MOV whose timecode is a track of its own, as cameras write it."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt, video.time_base = 96, 64, "yuv420p", Fraction(1, 25)
        video.metadata["timecode"] = "01:02:03:04"
        for index in range(5):
            frame = make_frame(scene(index, 96, 64), "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mov", "mp4", "mkv"])
def test_a_timecode_track_is_written_anew(tmp_path: Path, suffix: str) -> None:
    clip, out = with_timecode(tmp_path / "in.mov"), tmp_path / f"out.{suffix}"
    report = paragon_stream.upscale(clip, out, **FAST)
    assert not [said for said in report.warnings if "timecode" in said or "dropped" in said]
    with av.open(str(out)) as file:
        tags = {key.casefold(): value for key, value in file.streams.video[0].metadata.items()}
        assert tags["timecode"] == "01:02:03:04"
        assert len(file.streams) == (1 if suffix == "mkv" else 2)


@pytest.mark.parametrize("suffix", ["mov", "mp4"])
@pytest.mark.parametrize(("start", "expected"), [(None, "01:02:03:04"), (0.2, "01:02:03:09")])
def test_a_timecode_of_the_whole_file_becomes_a_track(
    tmp_path: Path, suffix: str, start: float | None, expected: str
) -> None:
    """A timecode as in MXF and some Matroska files."""
    clip = make_clip(tmp_path / "in.mkv", frames=10, metadata={"timecode": "01:02:03:04"})
    out = tmp_path / f"out.{suffix}"
    report = paragon_stream.upscale(clip, out, start=start, **FAST)
    assert report.warnings == ()
    with av.open(str(out)) as file:
        assert [stream.metadata["timecode"] for stream in file.streams] == [expected] * 2


def test_a_timecode_without_a_place_is_a_loss(tmp_path: Path) -> None:
    with pytest.raises(LossError, match="data stream 1"):
        paragon_stream.upscale(with_timecode(tmp_path / "in.mov"), tmp_path / "out.ts", **FAST)


@pytest.mark.parametrize("told_by", ["SEI", "container"])
def test_stereo_packing_arrives_in_matroska(tmp_path: Path, told_by: str) -> None:
    packing = {"x264-params": "frame-packing=3"} if told_by == "SEI" else {}
    clip = make_clip(tmp_path / "in.mkv", options={"preset": "ultrafast", **packing}, frames=5)
    if told_by == "container":
        tagged = tmp_path / "tagged.mkv"
        with av.open(str(clip)) as source, av.open(str(tagged), "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            stream.metadata["stereo_mode"] = "left_right"
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        clip = tagged
    paragon_stream.upscale(clip, tmp_path / "out.mkv", **FAST)
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert file.streams.video[0].metadata["stereo_mode"] == "left_right"
    with pytest.raises(LossError, match="stereo 3D packing"):
        paragon_stream.upscale(clip, tmp_path / "out.mp4", **FAST)


def test_the_shared_clips_with_timecodes_are_not_refused(shared: Path, tmp_path: Path) -> None:
    for name in ("tc.mp4", "tc_dropframe.mov"):
        source, out = shared / "media" / "faults" / name, tmp_path / f"{name}.mov"
        paragon_stream.upscale(source, out, **FAST)
        with av.open(str(source)) as a, av.open(str(out)) as b:
            assert a.streams.video[0].metadata["timecode"] == b.streams.video[0].metadata["timecode"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crf": -1}, "crf -1 is out of range"),
        ({"crf": 20, "encoder_options": {"crf": "30"}}, "--crf 20 and -x crf=30"),
        ({"encoder_options": {"preset": "slow"}}, "--preset ultrafast and -x preset=slow"),
        (
            {"encoder_options": {"pix_fmt": "yuv444p"}},
            "-x pix_fmt=yuv444p cannot be given: --pix-fmt chooses",
        ),
        ({"encoder_options": {"video_size": "64x48"}}, "--to chooses the size"),
        ({"encoder_options": {"time_base": "1/10"}}, "frames keep their times"),
        ({"encoder_options": {"color_range": "pc"}}, "color_range=pc cannot be given: the colours"),
        (
            {"encoder_options": {"x264-params": "aq-mode=3:colormatrix=bt2020nc"}},
            "colormatrix=bt2020nc in -x x264-params cannot be given",
        ),
    ],
)
def test_options_said_twice_or_impossible(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    with pytest.raises(UsageError, match=words):
        paragon_stream.upscale(clip, tmp_path / "out.mkv", **FAST, **options)


def test_flags_are_added_to_those_that_the_container_needs(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    paragon_stream.upscale(clip, tmp_path / "out.mkv", **FAST, encoder_options={"flags": "low_delay"})
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert file.streams.video[0].codec_context.extradata


@pytest.mark.parametrize("suffix", ["mov", "mp4", "mkv"])
def test_a_creation_time_that_quicktime_holds_twice(tmp_path: Path, suffix: str) -> None:
    """FFmpeg writes it a second time with free-form tags, and reads "TIME;TIME"."""
    clip = make_clip(
        tmp_path / "in.mov",
        frames=5,
        metadata={"creation_time": "2020-01-02T03:04:05Z", "artist": "Acme"},
        container_options={"movflags": "use_metadata_tags"},
    )
    with av.open(str(clip)) as file:
        assert ";" in file.metadata["creation_time"]
    out = tmp_path / f"out.{suffix}"
    report = paragon_stream.upscale(clip, out, **FAST)
    assert report.warnings == ()
    with av.open(str(out)) as file:
        assert file.metadata["creation_time"].startswith("2020-01-02T03:04:05")


@pytest.mark.parametrize("name", ["out.ts", "out.y4m"])
def test_the_language_of_a_video(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=5, languages=["jpn"])
    with pytest.raises(LossError, match=r"cannot store the language of video stream 0 \(jpn, h264\)"):
        paragon_stream.upscale(clip, tmp_path / name, engine="null", strict=True)


def test_the_name_of_a_cover(tmp_path: Path) -> None:
    """MP4 stores the picture; only Matroska needs a file name and a type for it."""
    clip = make_clip(tmp_path / "in.mkv", frames=5, cover=True)
    assert paragon_stream.upscale(clip, tmp_path / "out.mp4", **FAST).warnings == ()


def test_tags_of_tracks(tmp_path: Path) -> None:
    """Statistics and handlers are no loss. MP4 has titles of tracks, but no other tags; TS has neither."""
    plain, clip = make_clip(tmp_path / "plain.mkv", frames=5, audio="aac"), tmp_path / "in.mkv"
    with av.open(str(plain)) as ours, av.open(str(clip), "w") as out:
        made = {stream.index: out.add_stream_from_template(stream) for stream in ours.streams}
        for stream in made.values():
            stream.metadata.update({"BPS": "1000", "HANDLER_NAME": "VideoHandler", "title": "A title"})
        made[1].metadata["SOURCE"] = "Tape 7"
        for packet in ours.demux():
            if packet.size:
                packet.stream = made[packet.stream.index]
                out.mux(packet)
    assert paragon_stream.upscale(clip, tmp_path / "out.mkv", **FAST).warnings == ()
    with pytest.raises(
        LossError, match=r"^--strict: mp4 cannot store the tags SOURCE of audio stream 1 \(aac"
    ):
        paragon_stream.upscale(clip, tmp_path / "out.mp4", **FAST)
    with pytest.raises(
        LossError, match=r"ts cannot store the title of video stream 0 .*; ts .* title of audio"
    ):
        paragon_stream.upscale(clip, tmp_path / "out.ts", **FAST)
