"""Copies of sound whose packets change with the container: nothing is lost, and nothing is reported."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_clip, packets

import paragon_stream
from paragon_stream.media.measure.packets import read_packets
from paragon_stream.media.measure.sound_pieces import SoundPieces

FAST: dict[str, Any] = {"crf": 10, "preset": "ultrafast"}


def samples(path: Path) -> int:
    """Decoded samples of the first sound."""
    with av.open(str(path)) as file:
        return sum(frame.samples for frame in file.decode(audio=0))


@pytest.mark.parametrize("codec", ["alac", "libopus"])
def test_the_last_packet_without_a_length_is_played(tmp_path: Path, codec: str) -> None:
    """Matroska has no length of ALAC's packets, NUT of none. MP4 plays what its edit list covers."""
    clip = make_clip(tmp_path / ("in.mkv" if codec == "alac" else "in.nut"), frames=30, audio=codec)
    paragon_stream.upscale(clip, tmp_path / "out.mp4", **FAST)
    assert samples(tmp_path / "out.mp4") == samples(clip)
    assert packets(tmp_path / "out.mp4", 1) == packets(clip, 1)


@pytest.mark.parametrize("part", [{}, {"start": 0.3, "duration": 0.4}])
def test_pcm_in_packets_of_other_sizes(tmp_path: Path, part: dict[str, float]) -> None:
    clip, out = make_clip(tmp_path / "in.mkv", frames=30, audio="pcm_s16le"), tmp_path / "out.mov"
    report = paragon_stream.upscale(clip, out, **part, **FAST)
    assert {len(data) for data in packets(out, 1)} - {len(data) for data in packets(clip, 1)}
    assert not [str(finding) for finding in paragon_stream.verify(clip, out, plan=report).findings]


def test_a_changed_sample_of_pcm_is_found(tmp_path: Path) -> None:
    clip, out = make_clip(tmp_path / "in.mkv", frames=30, audio="pcm_s16le"), tmp_path / "out.mov"
    report = paragon_stream.upscale(clip, out, **FAST)
    data = bytearray(out.read_bytes())
    place = data.index(packets(out, 1)[3]) + 100
    data[place] ^= 1
    out.write_bytes(data)
    found = [str(finding) for finding in paragon_stream.verify(clip, out, plan=report).findings]
    assert len(found) == 1 and "pieces of audio stream 1 (pcm_s16le) differ" in found[0]


def test_pieces_do_not_depend_on_packets() -> None:
    chance = np.random.default_rng(1)
    loud = chance.integers(-3000, 3000, (40_000, 2)).astype("<i2")
    data = np.concatenate([loud, np.zeros((20_000, 2), "<i2"), loud[:9000]]).tobytes()

    def pieces(data: bytes, blocks: int) -> list[tuple[bytes, float | None]]:
        made, found = SoundPieces(4, 48_000), []
        for begin in range(0, len(data), blocks * 4):
            found += made.add(data[begin : begin + blocks * 4], begin / 4 / 48_000)
        return [*found, *made.rest()]

    whole = pieces(data, len(data))
    assert b"".join(piece for piece, _ in whole) == data and len(whole) > 20
    position = 0
    for piece, seconds in whole:
        assert seconds == pytest.approx(position / 4 / 48_000)
        position += len(piece)
    for blocks in (211, 1024, 1920):
        again = pieces(data, blocks)
        assert [piece for piece, _ in again] == [piece for piece, _ in whole]
    cut = [piece for piece, _ in pieces(data[12_345 * 4 :], 1000)]
    assert set(cut[1:]) <= {piece for piece, _ in whole}


def test_the_timecode_of_a_whole_file_in_mp4(tmp_path: Path) -> None:
    """It is a tag of the file in MXF and Matroska, and a track in MP4."""
    clip = make_clip(tmp_path / "in.mkv", frames=10, metadata={"timecode": "01:02:03:04"})
    report = paragon_stream.upscale(clip, tmp_path / "out.mp4", **FAST)
    assert not paragon_stream.verify(clip, tmp_path / "out.mp4", plan=report).findings


def test_statistics_count_packets(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=30, audio="pcm_s16le")
    assert read_packets(clip).streams[1].packets == len(packets(clip, 1))


@pytest.mark.parametrize("part", [{}, {"duration": 0.5}])
def test_a_track_without_packets_is_announced_in_mp4(tmp_path: Path, part: dict[str, float]) -> None:
    """MP4 has no empty tracks, and FFmpeg fails at an empty one of AC-3."""
    plain = make_clip(tmp_path / "plain.mkv", frames=30, audio="ac3")
    clip = tmp_path / "in.mkv"
    with av.open(str(plain)) as ours, av.open(str(clip), "w") as out:
        made = {stream.index: out.add_stream_from_template(stream) for stream in ours.streams}
        for packet in ours.demux():
            if packet.size and (
                packet.stream.index == 0 or (part and float(packet.pts * packet.time_base) > 0.8)
            ):
                packet.stream = made[packet.stream.index]
                out.mux(packet)
    report = paragon_stream.upscale(clip, tmp_path / "out.mp4", **part, **FAST)
    assert len(report.warnings) == 1 and "audio stream 1 (ac3) dropped: it " in report.warnings[0]
    assert not paragon_stream.verify(clip, tmp_path / "out.mp4", plan=report).findings
    assert paragon_stream.upscale(clip, tmp_path / "out.mkv", **part, **FAST).warnings == ()


def test_gxf_counts_fields(tmp_path: Path) -> None:
    """The decoder returns the last picture without a time."""
    clip = tmp_path / "in.gxf"
    with av.open(str(clip), "w") as out:
        video: Any = out.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 720, 576, "yuv420p"
        for number in range(5):
            frame = av.VideoFrame(720, 576, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    paragon_stream.upscale(clip, tmp_path / "out.mkv", engine="null", **FAST)
    with av.open(str(tmp_path / "out.mkv")) as file:
        times = [float(frame.time) for frame in file.decode(video=0) if frame.time is not None]
    assert [after - before for before, after in pairwise(times)] == pytest.approx([0.04] * 4)


def test_a_part_of_a_late_picture_in_ts(tmp_path: Path) -> None:
    """The part begins with the sound, before the first picture."""
    clip = make_clip(tmp_path / "in.mkv", frames=30, audio="aac", pts=range(8, 38), audio_seconds=1.4)
    report = paragon_stream.upscale(clip, tmp_path / "out.ts", duration=0.8, **FAST)
    assert not [
        str(found) for found in paragon_stream.verify(clip, tmp_path / "out.ts", plan=report).findings
    ]


def without_sound(path: Path, target: Path, since: float) -> Path:
    """A copy without the packets of sound from `since` (seconds) on."""
    with av.open(str(path)) as ours, av.open(str(target), "w") as out:
        made = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in ours.streams}
        for packet in ours.demux():
            sound = packet.stream.type == "audio"
            if packet.size and not (sound and float(packet.pts * packet.time_base) >= since):
                packet.stream = made[packet.stream.index]
                out.mux(packet)
    return target


@pytest.mark.parametrize("codec", [None, "libopus"])
def test_lost_sound_of_a_part_is_found(tmp_path: Path, codec: str | None) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=125, audio="aac")
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(clip, out, start=0.5, audio_codec=codec, engine="null", **FAST)
    about = ("packets", "streams", "audio/video sync")

    def sound(path: Path) -> list[str]:
        found = paragon_stream.verify(clip, path, plan=report).findings
        return [str(finding) for finding in found if str(finding.check) in about]

    assert not sound(out)
    silent = without_sound(out, tmp_path / "silent.mkv", 0.0)
    missing = (
        "packets of audio stream 1 (aac) are missing" if codec is None else "audio stream 1 (aac) is empty"
    )
    assert len(sound(silent)) == 1 and missing in sound(silent)[0]


def test_converted_sound_that_begins_behind_the_part_may_be_empty(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=75, audio="ac3", audio_delay=2.0, audio_seconds=0.9)
    report = paragon_stream.upscale(
        clip, tmp_path / "out.mkv", duration=0.5, audio_codec="aac", engine="null", **FAST
    )
    found = paragon_stream.verify(clip, tmp_path / "out.mkv", plan=report).findings
    assert not [str(finding) for finding in found if finding.check == "streams"]


def test_the_language_of_a_second_video_in_ts_is_announced(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "in.mkv", frames=30, audio="aac", second_video=True, languages=["eng", "eng", "deu"]
    )
    report = paragon_stream.upscale(clip, tmp_path / "out.ts", **FAST)
    assert sum("cannot store the language of video" in warning for warning in report.warnings) == 2
    found = paragon_stream.verify(clip, tmp_path / "out.ts", plan=report)
    assert not [str(finding) for finding in found.findings]
    assert "closed captions" in found.checks


def test_captions_are_no_check_where_the_codec_holds_none(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=5)
    report = paragon_stream.upscale(clip, tmp_path / "out.mkv", codec="ffv1")
    assert "closed captions" not in paragon_stream.verify(clip, tmp_path / "out.mkv", plan=report).checks
