"""`--start`, `--duration`, `--end` from file to file: what goes with the picture is cut to match."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from clip_subtitles import pgs, vobsub
from clips import make_clip, packet_facts

import paragon_stream
from paragon_stream.cli.main import run

FAST = {"engine": "null", "preset": "ultrafast"}


def video_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        unit = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        return [frame.pts * unit for frame in source.decode(stream)]


@pytest.mark.parametrize(
    ("source", "target"), [("mkv", "mkv"), ("mkv", "mp4"), ("mp4", "mkv"), ("mov", "mov")]
)
def test_sound_is_cut_to_the_packet(tmp_path: Path, source: str, target: str) -> None:
    clip = make_clip(tmp_path / f"in.{source}", frames=75, audio="aac", options={"g": "12", "bf": "2"})
    out = tmp_path / f"out.{target}"
    report = paragon_stream.upscale(clip, out, start=1, end=2, **FAST)
    assert (report.frames_in, report.frames_out, report.warnings) == (25, 25, ())
    times = video_times(out)
    assert times == [Fraction(i, 25) for i in range(25)]
    tick = Fraction(1, 1000)
    wanted = [p for p in packet_facts(clip, 1) if p.pts is not None and 1 <= p.pts < 2 - tick / 2]
    found = packet_facts(out, 1)
    assert [p.data for p in found] == [p.data for p in wanted]
    for packet, original in zip(found, wanted, strict=True):
        assert packet.pts is not None and original.pts is not None
        assert abs(packet.pts - (original.pts - 1)) <= tick


def test_a_transport_stream_far_from_zero(tmp_path: Path) -> None:
    first = 90_000 * 115
    clip = make_clip(
        tmp_path / "in.ts",
        pts=[first + i * 3600 for i in range(75)],
        time_base=Fraction(1, 90_000),
        audio="mp2",
        audio_delay=115,
        audio_seconds=3,
        options={"g": "12", "bf": "2"},
    )
    with av.open(str(clip)) as source:
        origin = Fraction(source.start_time, 1_000_000)
    starts = [p for p in packet_facts(clip, 0) if p.pts is not None]
    frames = sorted(p.pts for p in starts if p.pts is not None)
    begin = next(t for t in frames if t - origin >= Fraction(999, 1000))
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(clip, out, start=1, duration=1, **FAST)
    assert abs(report.frames_out - 25) <= 1
    assert video_times(out)[0] == 0
    wanted = [p for p in packet_facts(clip, 1) if p.pts is not None and begin <= p.pts < origin + 2]
    found = packet_facts(out, 1)
    assert [p.data for p in found] == [p.data for p in wanted]
    assert found[0].pts is not None and wanted[0].pts is not None
    assert abs(found[0].pts - (wanted[0].pts - begin)) <= Fraction(1, 1000)


def test_subtitles_and_chapters_that_reach_into_the_range(tmp_path: Path) -> None:
    """The script's events are shown at 0.04–0.20, 0.20–0.36 and 0.40–0.48 s."""
    clip = make_clip(
        tmp_path / "in.mkv",
        frames=25,
        subtitles="ass",
        chapters=5,
        attachments=[("font.ttf", "font/ttf", bytes(99))],
        second_video=True,
    )
    events = packet_facts(clip, 1)
    out = tmp_path / "out.mkv"
    paragon_stream.upscale(clip, out, start=0.28, end="0.44", **FAST)
    begin, end = Fraction(28, 100), Fraction(44, 100)
    wanted = [
        (max(Fraction(0), e.pts - begin), min(end, e.pts + e.duration) - max(begin, e.pts), e.data)
        for e in events
        if e.pts is not None and e.duration and e.pts < end and e.pts + e.duration > begin
    ]
    assert len(wanted) == 2
    found = [(e.pts, e.duration, e.data) for e in packet_facts(out, 1)]
    assert [f[2] for f in found] == [w[2] for w in wanted]
    for (pts, duration, _), (time, length, _) in zip(found, wanted, strict=True):
        assert pts is not None and duration is not None
        assert abs(pts - time) <= Fraction(1, 1000) and abs(duration - length) <= Fraction(2, 1000)
    with av.open(str(out)) as result:
        chapters = [
            (
                c["start"] * Fraction(c["time_base"]),
                c["end"] * Fraction(c["time_base"]),
                c["metadata"]["title"],
            )
            for c in result.chapters()
        ]
        assert [s.type for s in result.streams] == ["video", "subtitle", "video", "attachment"]
    assert [title for _, _, title in chapters] == ["Chapter 2", "Chapter 3"]
    edges = [edge for start, end, _ in chapters for edge in (start, end)]
    for edge, expected in zip(edges, (0, 12, 12, 16), strict=True):
        assert abs(edge - Fraction(expected, 100)) <= Fraction(1, 1000)


@pytest.mark.parametrize("lasting", [False, True], ids=["until the next", "with durations"])
@pytest.mark.parametrize("suffix", ["mkv", "m2ts"])
def test_bitmap_subtitles_that_reach_into_the_range(tmp_path: Path, suffix: str, lasting: bool) -> None:
    """Subtitles on the screen when the range begins are shown from its first frame on, until they are
    cleared."""
    film = make_clip(tmp_path / "film.mkv", frames=50, audio="aac", options={"bf": "0"})
    clip = tmp_path / "in.mkv"
    sets = [(200, True), (800, False), (1000, True), (1600, False)]  # ms
    with av.open(str(film)) as a, av.open(str(clip), "w") as b:
        copies = [b.add_stream_from_template(stream, opaque=True) for stream in a.streams]
        bitmaps = b.add_mux_stream("hdmv_pgs_subtitle", time_base=Fraction(1, 1000))
        made = [packet for packet in a.demux() if packet.size]
        for packet in made:
            packet.stream = copies[packet.stream.index]
        for number, (time, shown) in enumerate(sets):
            packet = av.Packet(pgs(shown, number))
            packet.stream, packet.time_base = bitmaps, Fraction(1, 1000)
            packet.pts = packet.dts = time
            packet.duration = 600 if lasting and shown else 0
            made.append(packet)
        for packet in sorted(made, key=lambda p: (p.pts if p.dts is None else p.dts) * Fraction(p.time_base)):
            b.mux(packet)
    out = tmp_path / f"out.{suffix}"
    report = paragon_stream.upscale(clip, out, start=0.48, end=1.2, **FAST)
    assert (report.frames_out, report.warnings) == (18, ())
    begin = min(p.pts for p in packet_facts(out, 0) if p.pts is not None)
    found = [(p.pts - begin, p.data) for p in packet_facts(out, 2) if p.pts is not None]
    wanted = [(0, pgs(True, 0)), (0.32, pgs(False, 1)), (0.52, pgs(True, 2))]
    assert [data for _, data in found] == [data for _, data in wanted]
    for (time, _), (expected, _) in zip(found, wanted, strict=True):
        assert float(time) == pytest.approx(expected, abs=0.002)
    if suffix != "mkv":
        return  # FFmpeg's decoder wants Matroska's packets
    with av.open(str(out)) as result:
        bitmap = next(s for p in result.demux(result.streams.subtitles[0]) for s in p.decode())
        assert (bitmap.x, bitmap.y, bitmap.width, bitmap.height) == (8, 4, 8, 2)


def test_subtitles_of_dvds_that_have_ended_stay_away(tmp_path: Path) -> None:
    """Program streams have no durations; the end of a subtitle is among its commands."""
    film, clip = make_clip(tmp_path / "film.mkv", frames=50, options={"bf": "0"}), tmp_path / "in.mkv"
    times, picture = (100, 900), vobsub(44)  # half a second
    with av.open(str(film)) as a, av.open(str(clip), "w") as b:
        copy = b.add_stream_from_template(a.streams[0], opaque=True)
        texts = b.add_mux_stream("dvd_subtitle", time_base=Fraction(1, 1000))
        made = [packet for packet in a.demux() if packet.size]
        for packet in made:
            packet.stream = copy
        for time in times:
            shown = av.Packet(picture)
            shown.stream, shown.time_base, shown.pts, shown.dts = texts, Fraction(1, 1000), time, time
            made.append(shown)
        for packet in sorted(made, key=lambda p: (p.pts if p.dts is None else p.dts) * Fraction(p.time_base)):
            b.mux(packet)
    for start, wanted in ((0.4, [(0.0, 0.2), (0.5, 0.5)]), (0.8, [(0.1, 0.5)]), (1.2, [(0.0, 0.2)])):
        out = tmp_path / f"{start}.mkv"
        assert paragon_stream.upscale(clip, out, start=start, **FAST).warnings == ()
        found = packet_facts(out, 1)
        assert [p.data for p in found] == [picture] * len(wanted)
        with av.open(str(out)) as file:
            unit = file.streams[1].time_base
            shown_for = [float(p.duration * unit) for p in file.demux(file.streams[1]) if p.size]
        for packet, length, (time, expected) in zip(found, shown_for, wanted, strict=True):
            assert packet.pts is not None and float(packet.pts) == pytest.approx(time, abs=0.002)
            assert length == pytest.approx(expected, abs=0.005)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=50)
    out = tmp_path / "out.mkv"
    common = [str(clip), str(out), "--engine", "null", "--preset", "ultrafast", "--quiet"]
    assert run([*common, "--start", "0:00:01", "--duration", "0.2"]) == 0
    assert video_times(out) == [Fraction(i, 25) for i in range(5)]
    for wrong, code, message in (
        (["--start", "soon"], 2, "--start soon is not a time"),
        (["--start", "2", "--end", "1"], 2, "is empty"),
        (["--start", "1:00:00"], 1, "is after the end"),
    ):
        assert run([*common, "--overwrite", *wrong]) == code
        assert message in capsys.readouterr().err
    assert len(video_times(out)) == 5


def test_sound_before_a_late_picture(tmp_path: Path) -> None:
    """FFmpeg seeks to the first key frame, however early a time is wanted."""
    clip = make_clip(tmp_path / "in.mkv", frames=50, audio="aac", audio_seconds=3, pts=range(30, 80))
    paragon_stream.upscale(clip, tmp_path / "out.mkv", engine="null", duration=2, strict=True)
    with av.open(str(tmp_path / "out.mkv")) as file:
        starts = {s.type: float(s.start_time * s.time_base) for s in file.streams if s.start_time is not None}
    assert starts["audio"] < 0.05 and abs(starts["video"] - 1.2) < 0.01
