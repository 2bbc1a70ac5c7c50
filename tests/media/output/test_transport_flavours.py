"""Flavours of MPEG transport streams: what each of them holds comes back, the rest is announced."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clip_subtitles import pgs, pgs_segments
from clips import make_clip, packet_facts
from rendering import render

import paragon_stream

MS = Fraction(1, 1000)


def with_pgs(path: Path) -> Path:
    """A clip with PGS subtitles that are shown and cleared."""
    whole = make_clip(path.with_name("whole.mkv"), frames=25, audio="ac3", options={"bf": "0"})
    with av.open(str(whole)) as a, av.open(str(path), "w") as b:
        copies = [b.add_stream_from_template(s, opaque=True) for s in a.streams]
        texts = b.add_mux_stream("hdmv_pgs_subtitle", time_base=MS)
        packets: list[Any] = [p for p in a.demux() if p.size]
        for packet in packets:
            packet.stream = copies[packet.stream.index]
        for number, time in enumerate((100, 600)):
            shown: Any = av.Packet(pgs(number == 0, number))
            shown.pts = shown.dts = time
            shown.time_base, shown.stream = MS, texts
            packets.append(shown)
        for packet in sorted(packets, key=lambda p: (p.dts if p.dts is not None else p.pts) * p.time_base):
            b.mux(packet)
    return path


SETS = ((100, True), (300, False), (600, True), (800, False))
"""When test subtitles are shown and cleared, ms."""


def with_segments(path: Path) -> Path:
    """A transport stream with each segment of PGS subtitles in a packet; objects are decoded before they are
    shown, as on discs."""
    whole = make_clip(path.with_name("whole.mkv"), frames=25, audio="ac3", options={"bf": "0"})
    with av.open(str(whole)) as a, av.open(str(path), "w") as b:
        copies = [b.add_stream_from_template(s, opaque=True) for s in a.streams]
        texts = b.add_mux_stream("hdmv_pgs_subtitle", time_base=MS)
        packets: list[Any] = [p for p in a.demux() if p.size]
        for packet in packets:
            packet.stream = copies[packet.stream.index]
        for number, (time, shown) in enumerate(SETS):
            for place, segment in enumerate(pgs_segments(pgs(shown, number))):
                part: Any = av.Packet(segment)
                part.dts, part.pts = time - 10 + place, time - (0 if segment[0] in (0x16, 0x17) else 5)
                part.time_base, part.stream = MS, texts
                packets.append(part)
        for packet in sorted(packets, key=lambda p: (p.dts if p.dts is not None else p.pts) * p.time_base):
            b.mux(packet)
    return path


@pytest.mark.parametrize("part", [{}, {"start": 0.2}, {"start": 0.598, "end": 0.798}])
@pytest.mark.parametrize("suffix", ["mkv", "m2ts"])
def test_segments_of_pgs(tmp_path: Path, suffix: str, part: dict[str, float]) -> None:
    """Sets stay whole in parts, with the one on the screen at the start, and their copies are no faults."""
    clip, out = with_segments(tmp_path / "in.m2ts"), tmp_path / f"out.{suffix}"
    report = paragon_stream.upscale(clip, out, preset="ultrafast", **part)
    assert report.warnings == ()
    begin, end = 1000 * part.get("start", 0), 1000 * part.get("end", 2)
    before = [number for number, (time, _) in enumerate(SETS) if time < begin]
    wanted = [pgs(SETS[n][1], n) for n in before[-1:]]
    wanted += [pgs(shown, n) for n, (time, shown) in enumerate(SETS) if begin <= time < end]
    assert b"".join(p.data for p in packet_facts(out, 2)) == b"".join(wanted)
    assert [str(f) for f in paragon_stream.verify(clip, out, plan=report).findings] == []


def test_an_added_sup_file(tmp_path: Path) -> None:
    clip, out = make_clip(tmp_path / "in.mkv", frames=25), tmp_path / "out.mkv"
    parts = [(time, part) for n, (time, shown) in enumerate(SETS) for part in pgs_segments(pgs(shown, n))]
    added = tmp_path / "in.jpn.sup"
    added.write_bytes(b"".join(b"PG" + (90 * time).to_bytes(4) + bytes(4) + part for time, part in parts))
    report = paragon_stream.upscale(clip, out, add=[added], preset="ultrafast")
    assert [p.data for p in packet_facts(out, 1)] == [pgs(shown, n) for n, (_, shown) in enumerate(SETS)]
    assert [str(f) for f in paragon_stream.verify(clip, out, plan=report).findings] == []


def codecs(path: Path) -> list[str]:
    with av.open(str(path)) as file:
        return [s.codec_context.codec.canonical_name if s.codec_context else "" for s in file.streams]


@pytest.mark.parametrize(("suffix", "kept"), [("m2ts", True), ("ts", False), ("mts", False)])
def test_pgs(tmp_path: Path, suffix: str, kept: bool) -> None:
    out = tmp_path / f"out.{suffix}"
    done = render(with_pgs(tmp_path / "in.mkv"), out)
    assert codecs(out) == ["h264", "ac3", *(["hdmv_pgs_subtitle"] if kept else [])]
    said = [w for w in done.warnings if "hdmv_pgs_subtitle) dropped: ts cannot hold" in w]
    assert len(said) == (0 if kept else 1) == len(done.warnings)


@pytest.mark.parametrize(("suffix", "becomes"), [("m2ts", "pcm_bluray"), ("ts", "aac"), ("mkv", "flac")])
def test_lpcm(tmp_path: Path, suffix: str, becomes: str) -> None:
    source = make_clip(tmp_path / "in.m2ts", audio="pcm_bluray", frames=25)
    out = tmp_path / f"out.{suffix}"
    done = render(source, out)
    assert codecs(out)[1] == becomes
    assert any("converted to aac" in w for w in done.warnings) == (becomes == "aac")


def test_packets_shorter_than_a_tick_do_not_run_backwards(tmp_path: Path) -> None:
    """TrueHD's are 0.83 ms long, and Matroska rounds to milliseconds; here PCM stands in."""
    source = make_clip(tmp_path / "in.mkv", frames=25, options={"bf": "0"})
    with av.open(str(source)) as a, av.open(str(tmp_path / "short.mkv"), "w") as b:
        video = b.add_stream_from_template(a.streams[0], opaque=True)
        sound = b.add_stream("pcm_s16le", rate=48_000, layout="stereo")
        made: list[Any] = [p for p in a.demux() if p.size]
        for packet in made:
            packet.stream = video
        for number in range(1200):
            packet = av.Packet(bytes([number % 256]) * 160)
            packet.pts = packet.dts = 40 * number
            packet.time_base, packet.duration, packet.stream = Fraction(1, 48_000), 40, sound
            made.append(packet)
        for packet in sorted(made, key=lambda p: (p.pts if p.dts is None else p.dts) * p.time_base):
            b.mux(packet)
    done = render(tmp_path / "short.mkv", tmp_path / "out.mov")
    assert done.warnings == []
    with av.open(str(tmp_path / "out.mov")) as file:
        assert b"".join(bytes(p) for p in file.demux(audio=0)) == b"".join(
            bytes([number % 256]) * 160 for number in range(1200)
        )
