"""Streams that begin late in recordings: found before a render, however late, or said to be missing after."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clips import make_clip, packet_facts

import paragon_stream
from paragon_stream.errors import UsageError
from paragon_stream.media.facts import late_streams
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.source.opening import open_source
from paragon_stream.media.source.probing import HEADERS, parse_probe_size

FAST: dict[str, Any] = {"engine": "null", "preset": "ultrafast"}
LATE = 18
"""Seconds: behind the 7 s of FFmpeg's default for transport streams."""


def recording(path: Path, seconds: int = 24, *, codec: str = "mp2", until: int = 100) -> Path:
    """A programme whose second sound begins at `LATE` and ends at `until`."""
    whole = make_clip(
        path.with_suffix(".mkv"),
        frames=seconds * 5,
        rate=5,
        width=32,
        height=32,
        codec="mpeg2video",
        audio=codec,
        audio_tracks=2,
        options={"g": "5"},
    )
    format = {".ts": "mpegts", ".vob": "vob", ".flv": "flv"}[path.suffix]
    with av.open(str(whole)) as source, av.open(str(path), "w", format=format) as out:
        copies = [out.add_stream_from_template(s, opaque=True) for s in source.streams]
        for packet in source.demux():
            there = packet.stream.index != 2 or LATE <= (packet.pts or 0) * packet.time_base < until
            if packet.size and there:
                packet.stream = copies[packet.stream.index]
                out.mux(packet)
    return path


def starts(path: Path) -> list[float]:
    return [float(packet_facts(path, index)[0].pts or 0) for index in (0, 1, 2)]


@pytest.mark.parametrize("suffix", ["ts", "vob"])
@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_a_second_sound_that_begins_late(tmp_path: Path, suffix: str, container: str) -> None:
    source = recording(tmp_path / f"in.{suffix}", codec="ac3")
    out = tmp_path / f"out.{container}"
    report = paragon_stream.upscale(source, out, strict=True, **FAST)
    assert report.warnings == ()
    video, sound, late = starts(out)
    assert abs(late - sound - LATE) < 0.04 and abs(video - sound) < 0.1
    with open_source(source, probe(source).probing) as file:
        had = [p for p in file.demux(file.streams[2]) if p.size]
    assert len(packet_facts(out, 2)) == len(had)


def test_a_new_program_map_behind_the_default_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two recordings, one after the other; only the second one's map lists a second sound."""
    monkeypatch.setattr(late_streams, "DEFAULT_SIZE", 200_000)
    monkeypatch.setattr(late_streams, "_WINDOW_SIZE", 50_000)
    monkeypatch.setattr(late_streams, "_LAST_WINDOW_SIZE", 50_000)
    parts = []
    for number, tracks in enumerate((1, 2)):
        parts.append(
            make_clip(
                tmp_path / f"{number}.ts",
                frames=100,
                rate=5,
                width=32,
                height=32,
                codec="mpeg2video",
                audio="mp2",
                audio_tracks=tracks,
                pts=range(105 * number, 105 * number + 100),
                audio_delay=21 * number,
                audio_seconds=20,
                options={"g": "5"},
            )
        )
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert parts[0].stat().st_size > 300_000
    info = probe(source)
    assert info.probing.size > parts[0].stat().st_size
    out = tmp_path / "out.mkv"
    paragon_stream.upscale(source, out, strict=True, **FAST)
    video, sound, late = starts(out)
    assert abs(late - 21) < 0.3 and abs(sound) < 0.1 and abs(video) < 0.1


def test_what_was_not_looked_for_is_said_to_be_missing(tmp_path: Path) -> None:
    source = recording(tmp_path / "in.vob", 40, until=20)
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(source, out, probesize="20k", **FAST)
    (said,) = [w for w in report.warnings if "begins late" in w]
    assert "Audio: mp2" in said and "--probesize all" in said
    paragon_stream.upscale(source, out, probesize="all", overwrite=True, strict=True, **FAST)
    assert abs(starts(out)[2] - starts(out)[1] - LATE) < 0.04


def test_sound_without_parameters_is_not_promised(tmp_path: Path) -> None:
    """A stream whose first packet was not searched for is dropped, and that is said, before the render."""
    source = recording(tmp_path / "in.ts")
    info = probe(source, probing=HEADERS)
    assert len(info.streams) == 3
    with pytest.raises(paragon_stream.errors.LossError, match="neither header nor packets say"):
        paragon_stream.upscale(source, tmp_path / "out.mkv", probesize="100k", strict=True, **FAST)


def test_the_longer_search_is_kept_where_it_finds_more(tmp_path: Path) -> None:
    assert late_streams.settle_probing(make_clip(tmp_path / "in.mkv", audio="aac")) == HEADERS
    assert late_streams.settle_probing(make_clip(tmp_path / "in.ts", audio="aac")) == HEADERS
    late = recording(tmp_path / "late.ts")
    assert late_streams.settle_probing(late).size == late.stat().st_size


def test_packets_are_the_same_after_a_longer_search(tmp_path: Path) -> None:
    source = recording(tmp_path / "in.ts")
    probing = late_streams.settle_probing(source)
    assert probing.rewinds
    with (
        open_source(source, probing) as one,
        av.open(str(source), options={"probesize": "100000000"}) as other,
    ):
        facts = [
            [(p.stream_index, p.pts, p.dts, p.size, p.pos, p.is_keyframe) for p in file.demux()]
            for file in (one, other)
        ]
    assert facts[0] == facts[1]


def test_sizes() -> None:
    assert [parse_probe_size(text) for text in ("500M", "2g", "1.5 GB".replace(" ", ""), 700, "64")] == [
        500_000_000,
        2_000_000_000,
        1_500_000_000,
        700,
        64,
    ]
    assert parse_probe_size(None) is None and (parse_probe_size("all") or 0) > 1 << 50
    for wrong in ("", "0", "-5", "much", 0, "9" * 400):
        with pytest.raises(UsageError, match="--probesize"):
            parse_probe_size(wrong)


@pytest.mark.parametrize("name", ["late.vob", "late.ts"])
def test_shared(name: str, shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    paragon_stream.upscale(shared / "media" / "faults" / name, out, strict=True, **FAST)
    video, sound, late = starts(out)
    assert abs(late - 18) < 0.04 and abs(sound) < Fraction(1, 100) and abs(video) < 0.05
    times = [float(fact.pts or 0) for fact in packet_facts(out, 1)]
    steps = {round(after - before, 3) for before, after in itertools.pairwise(times)}
    length = {"late.vob": 0.032, "late.ts": 0.024}[name]
    assert (
        max(abs(step - length) for step in steps) < 0.002
    )  # FFmpeg stamps some packets like the ones before
