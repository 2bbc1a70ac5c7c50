"""The frames of the reader, against a plain PyAV decode loop."""

from __future__ import annotations

import threading
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import clips
import numpy as np
import pytest
from clip_damage import corrupted, truncated, ts_packets_lost, with_captions
from clips import (
    Planes,
    frame_planes,
    make_clip,
    read_frames,
    scene,
)
from reading import read_all

from paragon_stream.errors import InputError
from paragon_stream.frame import Timing
from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.decode.seeking import decoder_at
from paragon_stream.media.facts.info import Damage
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.frames.reader import VideoReader


def assert_same_pictures(got: list[tuple[Timing, Planes]], expected: list[tuple[int | None, Planes]]) -> None:
    assert len(got) == len(expected)
    for (_, now), (_, was) in zip(got, expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(now, was, strict=True))


@pytest.mark.parametrize("threads", [1, 3, None])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip.mkv", {}),
        ("clip.mp4", {"codec": "libx265", "pix_fmt": "yuv420p10le"}),
        ("clip.ts", {"audio": "mp2"}),
        ("clip.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("clip.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
        ("odd.mkv", {"codec": "ffv1", "width": 97, "height": 51}),
        ("alpha.mkv", {"codec": "ffv1", "pix_fmt": "yuva420p", "width": 33, "height": 17}),
        ("rgb.mkv", {"codec": "libx264rgb", "pix_fmt": "rgb24"}),
        ("gray.mkv", {"codec": "ffv1", "pix_fmt": "gray", "width": 31, "height": 9}),
        ("packed.avi", {"codec": "rawvideo", "pix_fmt": "bgr24", "width": 33, "height": 9}),
    ],
)
def test_pictures_and_stamps_are_those_of_a_plain_loop(
    tmp_path: Path, name: str, options: dict[str, object], threads: int | None
) -> None:
    clip = make_clip(tmp_path / name, **options)  # type: ignore[arg-type]
    expected = read_frames(clip)
    got, reader = read_all(clip, threads)
    assert len(got) == 12
    assert_same_pictures(got, expected)
    assert [timing.pts for timing, _ in got] == [pts for pts, _ in expected]
    assert reader.damage == Damage() and reader.warnings == []


def test_lossless_planes_are_the_scene(tmp_path: Path) -> None:
    got, _ = read_all(make_clip(tmp_path / "c.mkv", codec="ffv1", pix_fmt="yuv420p10le", width=66, height=34))
    for index, (_, planes) in enumerate(got):
        assert planes[0].dtype == np.uint16
        for now, was in zip(planes, scene(index, 66, 34, "yuv420p10le"), strict=True):
            assert np.array_equal(now, was)


def test_variable_frame_rate_and_durations(tmp_path: Path) -> None:
    stamps = [0, 40, 90, 91, 1200, 1333]
    got, _ = read_all(make_clip(tmp_path / "vfr.mkv", pts=stamps, time_base=Fraction(1, 1000)))
    assert [timing.pts for timing, _ in got] == stamps
    options = {"bf": "0"}  # MP4 stores the distance to the next frame in decoding order
    clip = make_clip(tmp_path / "vfr.mp4", pts=stamps, time_base=Fraction(1, 1000), options=options)
    got, _ = read_all(clip)
    times = [timing.pts * timing.time_base for timing, _ in got]
    assert times == [Fraction(stamp, 1000) for stamp in stamps]
    lengths = [timing.duration * timing.time_base for timing, _ in got[:-1]]
    assert lengths == [b - a for a, b in pairwise(times)]


def test_a_late_start_is_kept(tmp_path: Path) -> None:
    for name in ("late.mp4", "late.mkv", "late.ts"):
        clip = make_clip(tmp_path / name, pts=[250, 251, 252], audio="mp2", audio_delay=9.0)
        got, reader = read_all(clip)
        assert [timing.pts for timing, _ in got] == [pts for pts, _ in read_frames(clip)]
        assert got[0][0].seconds > 9.9
        assert reader.warnings == []


def test_raw_stream_is_timed_by_its_rate(tmp_path: Path) -> None:
    got, reader = read_all(make_clip(tmp_path / "clip.264"))
    assert [timing.pts * timing.time_base for timing, _ in got] == [Fraction(n, 25) for n in range(12)]
    assert any("12 frames had no timestamp" in said for said in reader.warnings)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(50)])
@pytest.mark.parametrize(
    ("suffix", "codec"), [("h264", "libx264"), ("hevc", "libx265"), ("m2v", "mpeg2video")]
)
def test_raw_streams_of_other_rates(tmp_path: Path, suffix: str, codec: str, rate: Fraction) -> None:
    """FFmpeg's demuxers say 25; the pictures' headers know better."""
    clip = make_clip(tmp_path / f"clip.{suffix}", codec=codec, rate=rate, options={"bf": "2"})
    assert probe(clip).video.average_rate == rate
    got, _ = read_all(clip)
    times = [timing.pts * timing.time_base for timing, _ in got]
    assert all(abs(b - a - 1 / rate) < Fraction(1, 10_000) for a, b in pairwise(times))


def test_first_part_without_a_key_frame_is_said(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.ts", frames=100, options={"g": "50", "sc_threshold": "0"})
    data = clip.read_bytes()
    fifth = len(data) // 188 // 5 * 188
    # keep the tables at the start, lose the first key frame behind them
    (tmp_path / "cut.ts").write_bytes(data[: 188 * 2] + data[fifth:])
    got, reader = read_all(tmp_path / "cut.ts")
    assert 0 < len(got) <= 50
    assert any("no key frame" in said for said in reader.warnings)
    assert not any("cut off" in said for said in reader.warnings)  # its length counts from what is lost


def test_change_of_size_keeps_the_programme_whole(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.ts", frames=10)
    second = make_clip(tmp_path / "b.ts", frames=10, width=192, height=128, pts=list(range(10, 20)))
    (tmp_path / "ab.ts").write_bytes(first.read_bytes() + second.read_bytes())
    got, reader = read_all(tmp_path / "ab.ts")
    assert len(got) == 20
    assert all(planes[0].shape == (64, 96) for _, planes in got)
    small = [frame.reformat(width=96, height=64) for frame in _decoded(second)]
    error = np.abs(got[15][1][0].astype(int) - frame_planes(small[5])[0].astype(int))
    assert error.mean() < 2
    (said,) = [said for said in reader.warnings if "changes" in said]
    assert "192x128" in said and "10 frames" in said


def _decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as source:
        return list(source.decode(video=0))


def test_jpeg_range_format_needs_no_conversion(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", codec="mjpeg", pix_fmt="yuvj420p")
    got, reader = read_all(clip)
    assert_same_pictures(got, read_frames(clip))
    assert reader.warnings == []


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "libx264"),
        ("clip.mkv", "libx264"),
        ("clip.ts", "libx264"),
        ("clip.264", "libx264"),
        ("clip.mp4", "libx265"),
        ("clip.mkv", "libx265"),
        ("clip.hevc", "libx265"),
        ("clip.avi", "mpeg4"),
        ("clip.mov", "prores_ks"),
        ("clip.mpg", "mpeg2video"),
    ],
)
@pytest.mark.parametrize("threads", [1, 4])
def test_cut_file_gives_every_frame_up_to_the_cut(
    tmp_path: Path, name: str, codec: str, threads: int
) -> None:
    flags = {"movflags": "faststart"} if name.endswith(("mp4", "mov")) else {}
    deep = {"pix_fmt": "yuv422p10le"} if codec == "prores_ks" else {"options": {"bf": "2"}}
    whole = make_clip(tmp_path / name, codec=codec, frames=40, container_options=flags, **deep)
    cut = truncated(whole, tmp_path / f"cut{whole.suffix}", 0.85 if name == "clip.avi" else 0.6)
    expected = read_frames(whole)
    got, _ = read_all(cut, threads)
    alone = _frames_by_one_thread(cut)
    assert len(got) == alone
    assert 6 < len(got) < 40
    for (_, now), (_, was) in zip(got[:-4], expected, strict=False):  # the last ones may lack references
        assert all(np.array_equal(a, b) for a, b in zip(now, was, strict=True))


def _frames_by_one_thread(path: Path) -> int:
    """The number of frames that decode if every packet is decoded alone and errors are ignored."""
    count = 0
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
        for packet in source.demux(stream):
            try:
                count += len(packet.decode())
            except av.FFmpegError:
                continue
    return count


def test_cut_file_says_so(tmp_path: Path) -> None:
    flags = {"movflags": "faststart"}
    whole = make_clip(tmp_path / "clip.mp4", frames=100, container_options=flags)
    _, reader = read_all(truncated(whole, tmp_path / "cut.mp4", 0.5))
    assert any("probably cut off" in said for said in reader.warnings)
    assert reader.damage.corrupt_packets == 1
    _, reader = read_all(whole)
    assert reader.warnings == []


@pytest.mark.parametrize(
    ("options", "video", "cut"),
    [({"subtitles": "subrip"}, 0, False), ({"second_video": True}, 1, False), ({"cover": True}, 0, True)],
)
def test_another_stream_may_be_longer_than_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], video: int, cut: bool
) -> None:
    """Matroska's header has only the length of the longest stream, unless there are tags for each."""
    monkeypatch.setattr(clips, "SRT_SCRIPT", clips.SRT_SCRIPT.replace("00,480", "30,000"))
    clip = make_clip(tmp_path / "clip.mkv", frames=100 if video or cut else 12, **options)
    clip.write_bytes(clip.read_bytes().replace(b"DURATION", b"DURATIOM"))
    info = probe(truncated(clip, tmp_path / "cut.mkv", 0.5) if cut else clip, video=video)
    planes = [np.empty(shape, np.uint8) for shape in info.video.format.plane_shapes]
    with VideoReader(info) as reader:
        while reader.read_into(planes) is not None:
            pass
    assert any("probably cut off" in said for said in reader.warnings) is cut, reader.warnings


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bytes_cost_frames_but_never_the_file(tmp_path: Path, seed: int) -> None:
    whole = make_clip(tmp_path / "clip.mkv", frames=60, options={"g": "10"})
    broken = corrupted(whole, tmp_path / "broken.mkv", bytes_hit=20, seed=seed)
    got, reader = read_all(broken, threads=3)
    assert len(got) >= 30
    assert len(got) == 60 or reader.warnings
    stamps = [timing.pts for timing, _ in got]
    assert stamps == sorted(set(stamps))


def test_lost_transport_packets_are_counted(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "clip.ts", frames=60, width=320, height=180, options={"g": "10", "crf": "5"})
    got, reader = read_all(ts_packets_lost(whole, tmp_path / "lossy.ts"))
    assert len(got) >= 50
    assert reader.damage.corrupt_packets > 0
    assert reader.damage.corrupt_frames > 0
    assert any("decoded with errors" in said for said in reader.warnings)


def test_interlaced_is_said_at_once(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", options={"x264-params": "tff=1:interlaced=1"})
    with VideoReader(probe(clip)) as reader:
        assert any("interlaced" in said for said in reader.warnings)


def test_captions_that_come_late_are_said(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "a.264", frames=10)
    captioned = with_captions(plain, tmp_path / "b.264")
    (tmp_path / "late.264").write_bytes(plain.read_bytes() + captioned.read_bytes())
    assert probe(tmp_path / "late.264").video.uncarried == ()
    _, reader = read_all(tmp_path / "late.264")
    assert any("closed captions" in said for said in reader.warnings)


def test_planes_of_the_wrong_shape_are_a_programming_error(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mkv"))
    with VideoReader(info) as reader, pytest.raises(ValueError, match="planes"):
        reader.read_into([np.empty((64, 64), np.uint8)] * 3)


@pytest.mark.parametrize("hit", ["device", "data"])
def test_a_failing_read_is_told_from_damaged_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hit: str
) -> None:
    clip = make_clip(tmp_path / "clip.mkv")
    reader = VideoReader(probe(clip))

    class Failing:
        """A demuxer that gives three packets and then only errors: FFmpeg's words for both cases."""

        def __init__(self, container: av.container.InputContainer) -> None:
            self.source, self.format, self.close = container, container.format, container.close
            self.packets = (packet for packet in container.demux(video=0) if packet.size)

        def demux(self, _: object) -> list[av.Packet]:
            given = list(islice(self.packets, 3))
            yield from given
            if not given:
                return
            raise av.error.OSError(5, "Input/output error", str(clip))

    assert reader._decoder is not None
    monkeypatch.setattr(reader._decoder, "_container", Failing(reader._decoder._container))
    if hit == "device":
        clip.unlink()
    planes = [np.empty(shape, np.uint8) for shape in reader.info.video.format.plane_shapes]
    with reader:
        if hit == "device":
            with pytest.raises(InputError, match=r"reading .* failed"):
                while reader.read_into(planes) is not None:
                    pass
        else:
            while reader.read_into(planes) is not None:
                pass
            assert reader.frames == 12  # the packets between the errors
            assert reader.warnings == []


def test_reading_that_gets_nowhere_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = VideoReader(probe(make_clip(tmp_path / "clip.mkv")))

    assert reader._decoder is not None

    class Stuck:
        format = reader._decoder._container.format
        close = staticmethod(lambda: None)

        def demux(self, _: object) -> list[av.Packet]:
            raise av.error.InvalidDataError(1094995529, "Invalid data found when processing input")

    monkeypatch.setattr(reader._decoder, "_container", Stuck())
    planes = [np.empty(shape, np.uint8) for shape in reader.info.video.format.plane_shapes]
    with reader:
        assert reader.read_into(planes) is None
    assert any("the rest of the file cannot be read: Invalid data" in said for said in reader.warnings)


def test_file_that_goes_away_before_reading(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv")
    info = probe(clip)
    clip.unlink()
    with pytest.raises(InputError, match="does not exist"):
        VideoReader(info)


def test_close_from_another_thread_ends_reading(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mkv", frames=300))
    reader = VideoReader(info)
    planes = [np.empty(shape, np.uint8) for shape in info.video.format.plane_shapes]
    started, outcome = threading.Event(), []

    def read() -> None:
        try:
            while reader.read_into(planes) is not None:
                started.set()
        except InputError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    assert started.wait(20)
    reader.close()
    reader.close()
    thread.join(20)
    assert not thread.is_alive()
    assert not outcome or "closed while it was being read" in outcome[0]
    assert reader.damage == Damage()


def test_threads_of_the_decoder_end_with_it(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    info = probe(make_clip(tmp_path / "clip.mkv", frames=60))
    planes = [np.empty(shape, np.uint8) for shape in info.video.format.plane_shapes]
    before = psutil.Process().num_threads()
    for _ in range(5):
        with VideoReader(info, threads=4) as reader:
            reader.read_into(planes)
        del reader
    assert psutil.Process().num_threads() <= before


def test_closing_while_times_are_being_listed(tmp_path: Path) -> None:
    """Ctrl-C may come between two of them, where the list still exists."""
    reader = VideoReader(probe(make_clip(tmp_path / "in.mkv", frames=8)))
    timings = reader.timings()
    next(timings)
    closing = threading.Thread(target=reader.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()
    assert list(timings) == []


def test_a_decoder_that_fails_while_seeking_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, closed, close = make_clip(tmp_path / "in.mkv", frames=30), list[Decoder](), Decoder.close

    def failing(self: Decoder, position: Fraction) -> bool:
        raise InputError("the disk is gone")

    monkeypatch.setattr(Decoder, "skip_to", failing)
    monkeypatch.setattr(Decoder, "close", lambda self: (closed.append(self), close(self)))
    with pytest.raises(InputError, match="disk is gone"):
        decoder_at(clip, 0, Fraction(1))
    assert len(closed) == 1
