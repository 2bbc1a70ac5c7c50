"""When things are shown: read back from the file and compared with the source."""

from __future__ import annotations

import itertools
import random
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip, packet_facts
from rendering import decoded_pts, main_video, render, sink_for, tracks

import paragon_stream
from paragon_stream.errors import OutputError
from paragon_stream.frame import Timing
from paragon_stream.media.decode.timestamps import rescale

MS = Fraction(1, 1000)
VFR = [0, 33, 67, 100, 300, 341, 350, 351, 500, 1200, 1233, 3000]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "ts"])
def test_variable_rate_stays_variable(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mkv", pts=VFR, time_base=MS, audio="aac", audio_seconds=3.0)
    out = tmp_path / f"out.{suffix}"
    render(source, out)
    shown = decoded_pts(out)
    assert [t - shown[0] for t in shown] == [t * MS for t in VFR]


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_long_gaps_on_a_clock_of_nanoseconds(tmp_path: Path, suffix: str) -> None:
    """A screen that stands still for seconds: MP4 has 31 bits for the ticks until the next picture."""
    times = [0, 33_333_333, 66_666_667, 3_000_000_000, 3_033_333_333, 8_000_000_000]
    source = make_clip(tmp_path / "in.nut", pts=times, time_base=Fraction(1, 10**9), options={"bf": "0"})
    assert decoded_pts(source) == [Fraction(time, 10**9) for time in times]
    assert render(source, tmp_path / f"out.{suffix}").warnings == []
    errors = [
        abs(t - Fraction(n, 10**9))
        for t, n in zip(decoded_pts(tmp_path / f"out.{suffix}"), times, strict=True)
    ]
    assert max(errors) <= Fraction(1, 180_000)


@pytest.mark.parametrize(
    ("suffix", "codec"), [("webm", "libsvtav1"), ("webm", "libvpx-vp9"), ("mkv", "ffv1")]
)
def test_variable_rate_with_other_encoders(tmp_path: Path, suffix: str, codec: str) -> None:
    source = make_clip(tmp_path / "in.mkv", pts=VFR, time_base=MS)
    render(source, tmp_path / f"out.{suffix}", codec=codec)
    assert decoded_pts(tmp_path / f"out.{suffix}") == [t * MS for t in VFR]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_hardly_any_frames(tmp_path: Path, suffix: str, codec: str) -> None:
    """Fewer than an encoder holds back; x265 then makes decode times up, and muxers refuse such packets."""
    for count in (1, 2, 3):
        source = make_clip(tmp_path / f"{count}.mkv", frames=count, codec="ffv1", audio="aac")
        out = tmp_path / f"{count}_{codec}.{suffix}"
        assert render(source, out, codec=codec).warnings == []
        assert decoded_pts(out) == [n * Fraction(1, 25) for n in range(count)]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("texts", [False, True], ids=["", "texts"])
@pytest.mark.parametrize("options", [{"bf": "3", "g": "30"}, {"bf": "0", "g": "1"}], ids=["gop", "intra"])
def test_long_uneven_material_with_gaps_in_the_sound(
    tmp_path: Path, suffix: str, options: dict[str, str], texts: bool
) -> None:
    """Many fragments of crash-safe MP4, none of whose borders may move anything."""
    chance = random.Random(7)
    pts = [80]
    while pts[-1] < 12_000:
        pts.append(pts[-1] + chance.choice([17, 33, 34, 41, 100, 700]))
    whole = make_clip(
        tmp_path / "whole.mkv", width=48, height=32, pts=pts, time_base=MS, audio="aac", audio_seconds=12.0
    )
    source = tmp_path / "in.mkv"
    gaps = [(chance.uniform(0, 12_000), chance.choice([21, 60, 300, 1500])) for _ in range(8)]
    with av.open(str(whole)) as a, av.open(str(source), "w") as b:
        copies = [b.add_stream_from_template(s, opaque=True) for s in a.streams]
        lines = b.add_mux_stream("subrip", time_base=MS) if texts else None
        for packet in a.demux():
            sound = packet.stream.index == 1
            if packet.size and not (sound and any(at < (packet.pts or 0) < at + gap for at, gap in gaps)):
                packet.stream = copies[packet.stream.index]
                b.mux(packet)
        for line in range(10) if texts else ():
            text = av.Packet(f"line {line}".encode())
            text.pts = text.dts = 1150 * line
            text.duration, text.time_base, text.stream = 900, MS, lines
            b.mux(text)
    out = tmp_path / f"out.{suffix}"
    render(source, out, encoder_options=options)
    before, after = tracks(source), tracks(out)
    assert sorted(after[0].pts) == sorted(before[0].pts)  # type: ignore[type-var]
    assert after[1].payloads == before[1].payloads
    assert max(abs((x or 0) - (y or 0)) for x, y in zip(after[1].pts, before[1].pts, strict=True)) <= MS
    if not texts:
        return
    shown = zip(after[2].pts, after[2].durations, after[2].payloads, strict=True)
    said = [(pts, duration) for pts, duration, text in shown if len(text) > 2]
    assert said == [(1150 * n * MS, 900 * MS) for n in range(10)]


def test_rounded_once_never_accumulated(tmp_path: Path) -> None:
    rate = Fraction(24000, 1001)
    source = make_clip(tmp_path / "in.mp4", frames=120, width=32, height=32, rate=rate)
    render(source, tmp_path / "out.mkv")
    exact = [n / rate for n in range(120)]
    for stamp, true in zip(decoded_pts(tmp_path / "out.mkv"), exact, strict=True):
        assert abs(stamp - true) <= MS / 2
    render(source, tmp_path / "out.mp4")
    assert decoded_pts(tmp_path / "out.mp4") == exact  # its time base follows the source


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "ts"])
@pytest.mark.parametrize("bf", [0, 3])
@pytest.mark.parametrize(
    ("first", "delay"), [(0, 0.5), (10_000, 0.0), (80, 0.2), (3_600_000, 3600.25)], ids=str
)
def test_offsets_between_streams(tmp_path: Path, suffix: str, bf: int, first: int, delay: float) -> None:
    source = make_clip(
        tmp_path / "in.mkv",
        pts=[first + 40 * n for n in range(12)],
        time_base=MS,
        audio="flac" if suffix == "mkv" else "aac",
        audio_delay=delay,
        audio_seconds=0.5,
    )
    out = tmp_path / f"out.{suffix}"
    render(source, out, encoder_options={"bf": str(bf)})

    def starts(path: Path) -> tuple[Fraction, Fraction]:
        video, audio = tracks(path)
        return min(p for p in video.pts if p is not None), audio.pts[0] or Fraction(0)

    had, has = starts(source), starts(out)
    assert abs((has[1] - has[0]) - (had[1] - had[0])) <= 2 * MS
    if suffix != "ts":  # which has a clock of its own
        assert has[0] == had[0]


def test_transport_streams_start_at_zero_elsewhere(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.ts",
        pts=list(range(3000, 3012)),
        time_base=Fraction(1, 25),
        audio="aac",
        audio_delay=120.0,
        audio_seconds=0.5,
    )
    had = packet_facts(source, 0)[0].pts or Fraction(0)
    assert had > 100
    done = render(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert abs(file.start_time or 0) <= 30_000
    begin = decoded_pts(tmp_path / "out.mkv")[0]
    assert abs(begin - (had - done.plan.shift)) <= 25 * MS


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize("bf", [0, 3])
@pytest.mark.parametrize("last", [40, 1000], ids=["regular", "long"])
def test_the_last_frame_keeps_its_duration(tmp_path: Path, suffix: str, bf: int, last: int) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=2)
    out = tmp_path / f"out.{suffix}"
    shown = [200, 240, 280, 1500, 1540, 1541]
    with sink_for(source, out, encoder_options={"bf": str(bf)}) as (_, plan, sink):
        planes = [np.zeros(s, np.uint8) for s in plan.target.plane_shapes]
        for index, (pts, following) in enumerate(itertools.pairwise([*shown, shown[-1] + last])):
            planes[0][:] = 40 * index
            sink.write(planes, Timing(pts=pts, duration=following - pts, time_base=MS))
        sink.finish()
    with av.open(str(out)) as file:
        video = main_video(file)
        length = shown[-1] + last - (0 if suffix == "mkv" else shown[0])
        assert file.duration is not None and abs(file.duration - 1000 * length) <= 2000
        if suffix != "mkv":
            assert video.duration * Fraction(1, video.time_base.denominator) == length * MS
    assert decoded_pts(out) == [pts * MS for pts in shown]


def test_frames_closer_than_a_tick_are_told_apart_and_counted(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=2)
    stamps = [0, 10, 20, 3600, 3605, 7200]  # 1/90000 s; Matroska has 1/1000
    with sink_for(source, tmp_path / "out.mkv") as (_, plan, sink):
        planes = [np.zeros(s, np.uint8) for s in plan.target.plane_shapes]
        for pts in stamps:
            sink.write(planes, Timing(pts=pts, duration=0, time_base=Fraction(1, 90_000)))
        sink.finish()
        assert any("3 frames were less than one tick" in w for w in sink.warnings)
    assert decoded_pts(tmp_path / "out.mkv") == [t * MS for t in (0, 1, 2, 40, 41, 80)]


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("seconds", [0.1, 4.0], ids=["sound shorter", "sound longer"])
def test_sound_and_picture_of_different_lengths(tmp_path: Path, suffix: str, seconds: float) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=25, audio="aac", audio_seconds=seconds, subtitles="subrip")
    out = tmp_path / f"out.{suffix}"
    render(source, out)
    before, after = tracks(source), tracks(out)
    assert after[1].payloads == before[1].payloads
    for has, had in zip(after[1].pts, before[1].pts, strict=True):
        assert abs((has or 0) - (had or 0)) <= MS
    assert len(after[0].payloads) == 25


def test_negative_first_timestamps(tmp_path: Path) -> None:
    """Kept where the container can (MP4, by edit list), else moved together with everything."""
    source = make_clip(tmp_path / "in.mkv", frames=2, audio="aac", audio_seconds=0.4)
    for suffix, moved in (("mp4", Fraction(0)), ("mkv", Fraction(80, 1000))):
        out = tmp_path / f"out.{suffix}"
        with sink_for(source, out) as (_, plan, sink):
            planes = [np.zeros(s, np.uint8) for s in plan.target.plane_shapes]
            for pts in (-80, -40, 0, 40):
                sink.write(planes, Timing(pts=pts, duration=40, time_base=MS))
            sink.finish()
        facts = packet_facts(out, 0)
        assert sorted(f.pts for f in facts if f.pts is not None)[0] == -80 * MS + moved
        audio, had = packet_facts(out, 1)[0].pts, packet_facts(source, 1)[0].pts
        assert audio is not None and had is not None and abs(audio - had - moved) <= 2 * MS


def earlier(path: Path, target: Path, ms: int) -> Path:
    """A copy of a Matroska file of one cluster, which begins at 0, with all blocks `ms` earlier. FFmpeg gives
    packets of video before zero no time."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\x1f\x43\xb6\x75") + 4
    assert data.count(b"\x1f\x43\xb6\x75") == 1

    def size(at: int) -> tuple[int, int]:
        """The size of an element, and the place behind it."""
        length = 9 - data[at].bit_length()
        return int.from_bytes(data[at : at + length]) & ((1 << 7 * length) - 1), at + length

    length, at = size(at)
    end = at + length
    while at < end:
        id, (length, body) = data[at], size(at + 1)
        if id in (0xA0, 0xA3):  # a group, whose first element is the block; a simple block
            place = body + 1 if id == 0xA3 else size(body + 1)[1] + 1
            data[place : place + 2] = (int.from_bytes(data[place : place + 2], signed=True) - ms).to_bytes(
                2, signed=True
            )
        at = body + length
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_frames_before_zero_in_matroska(tmp_path: Path, suffix: str) -> None:
    """They have no times; the sound has, and stays in step."""
    whole = make_clip(tmp_path / "whole.mkv", frames=24, audio="mp2", options={"bf": "0"})
    source = earlier(whole, tmp_path / "in.mkv", 480)
    with av.open(str(source)) as file:
        assert sum(packet.size > 0 and packet.pts is None for packet in file.demux(video=0)) == 12
    out = tmp_path / f"out.{suffix}"
    report = paragon_stream.upscale(source, out, preset="ultrafast")
    assert report.warnings == ("12 frames had no timestamp: timed at 25 frames per second",)
    assert not paragon_stream.verify(source, out, plan=report).findings
    begins = [[min(f.pts or 0 for f in packet_facts(path, n)) for n in (0, 1)] for path in (whole, out)]
    (ours, sound), (theirs, copied) = begins
    assert theirs >= 0 and abs((copied - theirs) - (sound - ours)) <= 2 * MS


def test_rescale_rounds_to_nearest_halves_away_from_zero() -> None:
    tick = Fraction(1, 1000)
    cases = {15: 2, 14: 1, 5: 1, 4: 0, 0: 0, -4: 0, -5: -1, -14: -1, -15: -2}
    assert {t: rescale(t, tick / 10, Fraction(0), tick) for t in cases} == cases
    assert rescale(90_000, Fraction(1, 90_000), Fraction(1, 3), tick) == 667


UNEVEN = {
    "a gap before the last": [*range(0, 1000, 40), 400_000, 400_040],
    "stills": [0, 520, 3520, 4000, 10_000, 10_040],
    "a long last one": [200, 240, 280, 1500, 1540, 1541, 2541],
    "even": list(range(0, 1001, 40)),
}


@pytest.mark.parametrize("company", ["", "sound", "texts"])
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("libx264", "mp4"),
        ("libx264", "mov"),
        ("libx265", "mp4"),
        ("libx265", "mov"),
        ("libsvtav1", "mp4"),
        ("libvpx-vp9", "mp4"),
        ("mpeg4", "mp4"),
        ("prores_ks", "mov"),
    ],
)
def test_the_length_is_the_end_of_the_last_picture(
    tmp_path: Path, codec: str, suffix: str, company: str
) -> None:
    """B-frames of uneven length: MP4's decode times, edit list and headers must agree on the end."""
    sound, texts = ("aac" if company == "sound" else None), ("subrip" if company == "texts" else None)
    source = make_clip(tmp_path / "in.mkv", frames=2, audio=sound, audio_seconds=0.5, subtitles=texts)
    for name, shown in UNEVEN.items():
        out = tmp_path / f"{name}.{suffix}"
        with sink_for(source, out, codec=codec) as (_, plan, sink):
            sample = np.uint8 if plan.target.pixel_format.bytes_per_sample == 1 else np.uint16
            planes = [np.zeros(s, sample) for s in plan.target.plane_shapes]
            for index, (pts, following) in enumerate(itertools.pairwise(shown)):
                planes[0][:] = 40 * index % 250
                sink.write(planes, Timing(pts=pts, duration=following - pts, time_base=MS))
            sink.finish()
        assert decoded_pts(out) == [pts * MS for pts in shown[:-1]], name
        with av.open(str(out)) as file:
            stream = main_video(file)
            assert stream.duration * Fraction(1, stream.time_base.denominator) == (shown[-1] - shown[0]) * MS
            lead = shown[0] if company else 0  # with nothing else to begin, the file begins with the picture
            length = 1000 * (shown[-1] - shown[0] + lead)
            assert file.duration is not None and abs(file.duration - length) <= 2000, name
        times = packet_facts(out, 0)
        assert all(a.dts < b.dts for a, b in itertools.pairwise(times) if a.dts is not None and b.dts)


@pytest.mark.parametrize(("name", "seconds"), [("gap.mkv", "400.04"), ("slide.mp4", "10.04")])
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_shared_lengths(name: str, seconds: str, suffix: str, shared: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out.{suffix}"
    render(shared / "media" / "faults" / name, out)
    with av.open(str(out)) as file:
        stream = main_video(file)
        assert stream.duration * stream.time_base == Fraction(seconds)
        assert file.duration == int(Fraction(seconds) * 1_000_000)


STILLS = [0, 520, 3520, 4000, 10_000, 10_040, 11_000, 15_000]


@pytest.mark.parametrize("count", [5, 8])
@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", None), ("mov", "prores_ks"), ("mkv", None), ("mkv", "ffv1")]
)
def test_a_last_picture_whose_sample_is_not_the_last(
    tmp_path: Path, suffix: str, codec: str | None, count: int
) -> None:
    """FFmpeg's MP4 gives the last picture, decoded before B-frames, a duration of seconds; it is 40 ms."""
    order = {"bf": "3", "g": "30", "x264-params": "b-adapt=0"}
    source = make_clip(tmp_path / "in.mp4", pts=STILLS[:count], time_base=MS, options=order)
    with av.open(str(source)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
        latest = max(packets, key=lambda packet: packet.pts or 0)
        assert latest is not packets[-1] and (latest.duration or 0) * latest.time_base >= 3
    out = tmp_path / f"out.{suffix}"
    render(source, out, codec=codec)
    with av.open(str(out)) as file:
        assert file.duration is not None and abs(file.duration - 1000 * (STILLS[count - 1] + 40)) <= 1000
    again = tmp_path / f"again.{suffix}"
    render(out, again, codec=codec)
    with av.open(str(again)) as file:
        assert file.duration is not None and abs(file.duration - 1000 * (STILLS[count - 1] + 40)) <= 1000


def test_gaps_that_mp4_cannot_store(tmp_path: Path) -> None:
    """FFmpeg's muxer would show all pictures behind them at once, and end the process at such sound."""
    times = [0, 40, 80, 60 * 3600 * 1000]
    gap = make_clip(tmp_path / "gap.nut", pts=times, time_base=MS, options={"bf": "0"})
    with pytest.raises(OutputError, match=r"a gap of 60\.0 hours is too long for mp4; write to \.mkv"):
        render(gap, tmp_path / "out.mp4")
    render(gap, tmp_path / "out.mkv")
    assert decoded_pts(tmp_path / "out.mkv")[-1] == times[-1] * MS
    plain, far = make_clip(tmp_path / "plain.mkv", audio="aac"), tmp_path / "far.mkv"
    with av.open(str(plain)) as source, av.open(str(far), "w") as out:
        made = [out.add_stream_from_template(stream) for stream in source.streams]
        for packet in (packet for packet in source.demux() if packet.size):
            if packet.stream.index == 1 and packet.pts > 300:
                packet.pts, packet.dts = packet.pts + 60 * 3600 * 1000, packet.dts + 60 * 3600 * 1000
            packet.stream = made[packet.stream.index]
            out.mux(packet)
    (warning,) = render(far, tmp_path / "far.mp4").warnings
    assert "packets of audio stream 1 (aac) could not be written: a gap of 60.0 hours" in warning


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_damaged_timestamp_of_a_broadcast_moves_nothing_else(tmp_path: Path, suffix: str) -> None:
    plain = make_clip(tmp_path / "plain.ts", frames=100, audio="mp2", options={"bf": "0", "g": "25"})
    damaged = tmp_path / "in.ts"
    with av.open(str(plain)) as source, av.open(str(damaged), "w") as made_of:
        made = [made_of.add_stream_from_template(stream) for stream in source.streams]
        pictures = itertools.count()
        for packet in (packet for packet in source.demux() if packet.size):
            if packet.stream.index == 0 and next(pictures) == 39:
                packet.pts += 90_000 * 36_000
            packet.stream = made[packet.stream.index]
            made_of.mux(packet)
    out = tmp_path / f"out.{suffix}"
    (warning,) = paragon_stream.upscale(damaged, out, engine="null", preset="ultrafast").warnings
    assert warning.startswith("1 frame had a timestamp far from its neighbours'")
    shown = decoded_pts(out)
    assert [time - shown[0] for time in shown] == [n * Fraction(1, 25) for n in range(100)]
    assert max(filter(None, tracks(out)[1].pts)) < 5


@pytest.mark.parametrize("wrong", [90_000 * 36_000, -180_000, -(1 << 33)], ids=["ahead", "behind", "zero"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_damaged_timestamps_of_sound_move_nothing_else(tmp_path: Path, suffix: str, wrong: int) -> None:
    plain, damaged = tmp_path / "plain.ts", tmp_path / "in.ts"
    data = bytearray(make_clip(plain, frames=100, audio="mp2").read_bytes())
    at = [found.start() + 9 for found in re.finditer(rb"\0\0\x01\xc0..[\x80-\xbf]\x80", data, re.DOTALL)][-8]
    bits = int.from_bytes(data[at : at + 5])  # ISO/IEC 13818-1, 2.4.3.7
    stamp = (bits >> 33 & 7) << 30 | (bits >> 17 & 0x7FFF) << 15 | bits >> 1 & 0x7FFF
    stamp = max(0, stamp + wrong) % (1 << 33)
    bits = 2 << 36 | (stamp >> 30) << 33 | (stamp >> 15 & 0x7FFF) << 17 | (stamp & 0x7FFF) << 1 | 0x100010001
    data[at : at + 5] = bits.to_bytes(5)
    damaged.write_bytes(data)
    (warning,) = render(damaged, tmp_path / f"out.{suffix}").warnings
    assert "far from its neighbours'; repaired" in warning
    assert render(plain, tmp_path / f"plain.{suffix}").warnings == []
    found, wanted = (tracks(tmp_path / f"{name}.{suffix}")[1] for name in ("out", "plain"))
    assert found.payloads == wanted.payloads
    assert all(abs(a - b) < Fraction(1, 20) for a, b in zip(found.pts, wanted.pts, strict=True))
