"""Timecodes of parts: drop-frame counting, and what files say."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import make_clip

import paragon_stream
from paragon_stream.errors import LossError
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.timecode import Timecode


def shifted(text: str, frames: int, nominal: int) -> str:
    timecode = Timecode.parse(text)
    assert timecode is not None
    return str(timecode.later(frames, nominal))


@pytest.mark.parametrize(
    ("timecode", "frames", "nominal", "expected"),
    [
        ("01:02:03;04", 30, 30, "01:02:04;04"),
        ("00:00:59;29", 1, 30, "00:01:00;02"),
        ("00:09:59;29", 1, 30, "00:10:00;00"),
        ("23:59:59;29", 1, 30, "00:00:00;00"),
        ("00:00:00;00", 17_982, 30, "00:10:00;00"),
        ("00:00:59;59", 1, 60, "00:01:00;04"),
        ("00:00:59:29", 1, 30, "00:01:00:00"),
        ("10:00:00:00", 25 * 61, 25, "10:01:01:00"),
        ("01:00:00:00", 24, 24, "01:00:01:00"),
    ],
)
def test_shifted(timecode: str, frames: int, nominal: int, expected: str) -> None:
    assert shifted(timecode, frames, nominal) == expected


def test_every_drop_frame_number_comes_once() -> None:
    timecode, seen = "00:00:00;00", set()
    for number in range(20_000):
        assert timecode == shifted("00:00:00;00", number, 30) and timecode not in seen
        seen.add(timecode)
        timecode = shifted(timecode, 1, 30)


@pytest.mark.parametrize(
    ("timecode", "factor", "expected"),
    [
        ("10:00:00:12", Fraction(2), "10:00:00:24"),
        ("01:00:00;29", Fraction(2), "01:00:00;58"),
        ("01:00:00;29", Fraction(4, 5), "01:00:00:23"),
    ],
)
def test_in_other_frames(timecode: str, factor: Fraction, expected: str) -> None:
    found = Timecode.parse(timecode)
    assert found is not None and str(found.counted_at(factor)) == expected


@pytest.mark.parametrize("text", ["no timecode", "", "1:02:03:04", "01:02:03:004", "01:02:03-04"])
def test_what_is_no_timecode(text: str) -> None:
    assert Timecode.parse(text) is None


def timecodes(path: Path) -> set[str]:
    """The timecodes of a file and its streams."""
    with av.open(str(path)) as file:
        tags = [file.metadata, *(stream.metadata for stream in file.streams)]
    return {v for each in tags for k, v in each.items() if k.casefold() == "timecode"}


def tagged(source: Path, target: Path, **tags: str) -> Path:
    """The video of `source` with these tags."""
    with av.open(str(source)) as a, av.open(str(target), "w") as b:
        video = b.add_stream_from_template(a.streams[0], opaque=True)
        video.metadata.update(tags)
        for packet in a.demux():
            if packet.size:
                packet.stream = video
                b.mux(packet)
    return target


@pytest.mark.parametrize("suffix", ["mov", "mp4", "mkv"])
def test_a_part(tmp_path: Path, suffix: str) -> None:
    plain = make_clip(tmp_path / "plain.mkv", frames=60, rate=Fraction(30000, 1001))
    source = tagged(plain, tmp_path / "in.mov", timecode="01:02:03;04")
    assert timecodes(source) == {"01:02:03;04"}
    out = tmp_path / f"out.{suffix}"
    fast = {"engine": "null", "preset": "ultrafast", "overwrite": True}
    report = paragon_stream.upscale(source, out, start=1, strict=True, **fast)
    assert timecodes(out) == {"01:02:04;04"} and report.warnings == ()
    paragon_stream.upscale(source, out, **fast)
    assert timecodes(out) == {"01:02:03;04"}


@pytest.mark.parametrize("suffix", ["mov", "mp4", "mkv"])
def test_shared(shared: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    source = shared / "media" / "faults" / "tc_dropframe.mov"
    paragon_stream.upscale(source, out, start=1, engine="null", preset="ultrafast")
    assert timecodes(out) == {"01:02:04;04"}


GROUPS = {
    "01:02:03:04": "01:02:03:04",
    "23:59:59:24": "23:59:59:24",
    "00:00:00:00": None,
}


@pytest.mark.parametrize("timecode", GROUPS)
@pytest.mark.parametrize(("source_suffix", "suffix"), [("ts", "mp4"), ("ts", "mkv"), ("mkv", "mkv")])
def test_groups_of_pictures(tmp_path: Path, timecode: str, source_suffix: str, suffix: str) -> None:
    """HDV tapes store the time of the recording there; the zeros of most encoders mean nothing."""
    options = {"gop_timecode": timecode, "g": "12", "bf": "2"}
    source = make_clip(
        tmp_path / f"in.{source_suffix}", frames=40, codec="mpeg2video", audio="mp2", options=options
    )
    expected = GROUPS[timecode]
    assert probe(source).video.timecode == (expected or "")
    fast = {"engine": "null", "preset": "ultrafast", "strict": True, "overwrite": True}
    out = tmp_path / f"out.{suffix}"
    paragon_stream.upscale(source, out, **fast)
    assert timecodes(out) == ({expected} if expected else set())
    if expected:
        paragon_stream.upscale(source, out, start=0.4, **fast)
        assert timecodes(out) == {shifted(expected, 10, 25)}
        with pytest.raises(LossError, match="cannot store the timecode"):
            paragon_stream.upscale(source, tmp_path / "out.ts", **fast)


def test_a_tag_of_matroska_comes_once(tmp_path: Path) -> None:
    options = {"gop_timecode": "01:02:03:04", "g": "12"}
    plain = make_clip(tmp_path / "in.ts", frames=30, codec="mpeg2video", options=options)
    source, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    fast = {"engine": "null", "preset": "ultrafast", "strict": True}
    paragon_stream.upscale(plain, source, **fast)
    paragon_stream.upscale(source, out, **fast)
    assert out.read_bytes().count(b"TIMECODE") == source.read_bytes().count(b"TIMECODE") == 1
    assert timecodes(out) == {"01:02:03:04"}


def test_groups_whose_time_stands_still(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.m2v", frames=40, codec="mpeg2video", options={"gop_timecode": "01:00:00:00"}
    )
    data = source.read_bytes()
    head = data.index(b"\0\0\1\xb8")
    parts = data.split(b"\0\0\1\xb8")
    still = [parts[0], *(data[head + 4 : head + 8] + part[4:] for part in parts[1:])]
    source.write_bytes(b"\0\0\1\xb8".join(still))
    assert probe(source).video.timecode == ""


def test_groups_that_need_an_earlier_one(tmp_path: Path) -> None:
    """The recording begins inside the video: decoders leave out the first pictures of the group."""
    options = {"gop_timecode": "01:02:03:04", "g": "12", "bf": "2"}
    whole = make_clip(tmp_path / "in.m2v", frames=60, codec="mpeg2video", options=options)
    parts = whole.read_bytes().split(b"\0\0\1\xb3")  # before each group
    part = tmp_path / "part.m2v"
    part.write_bytes(b"\0\0\1\xb3" + b"\0\0\1\xb3".join(parts[3:]))
    with av.open(str(part)) as shorter, av.open(str(whole)) as file:
        begin = next(shorter.decode(video=0)).to_ndarray()
        same = [(frame.to_ndarray() == begin).all() for frame in file.decode(video=0)]
    number = same.index(True)
    assert number > 20 and probe(part).video.timecode == shifted("01:02:03:04", number, 25)


def test_sei(shared: Path) -> None:
    """A broadcast of H.264 whose pictures have timecodes, which begin 1:54 after the encoder was started."""
    assert probe(shared / "media" / "h264_ts_no_initial_keyframe_t115s.ts").video.timecode == "00:01:54:01"


def test_the_name_of_the_reel_is_kept_with_the_timecode(tmp_path: Path) -> None:
    """From QuickTime into Matroska and back; MP4 has no place for it, which is announced."""
    plain = make_clip(tmp_path / "plain.mkv", frames=5)
    source = tagged(plain, tmp_path / "in.mov", timecode="01:02:03:04", reel_name="A001C003")
    fast = {"engine": "null", "preset": "ultrafast", "strict": True}
    for path, name in [(source, "out.mov"), (source, "out.mkv"), (tmp_path / "out.mkv", "back.mov")]:
        report = paragon_stream.upscale(path, tmp_path / name, **fast)
        assert report.warnings == ()
        with av.open(str(tmp_path / name)) as file:
            reels = {v for s in file.streams for k, v in s.metadata.items() if k.casefold() == "reel_name"}
        assert reels == {"A001C003"}, name
        assert timecodes(tmp_path / name) == {"01:02:03:04"}
    with pytest.raises(LossError, match="mp4 cannot store the tags reel_name of"):
        paragon_stream.upscale(source, tmp_path / "out.mp4", **fast)
