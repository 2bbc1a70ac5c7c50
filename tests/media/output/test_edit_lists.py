"""MP4s of which an edit list plays pieces only: the sound of the output is what players play, in its time."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import pytest
from clips import make_clip

import paragon_stream

type Edits = Sequence[tuple[int, int]]
"""Milliseconds to play, and from which tick of the track on; -1 is a pause."""

FRAME, SOUND = 512, 1024
"""Ticks of a frame, and of a packet of sound."""


def boxes(data: bytes | bytearray, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while begin < end:
        size = int.from_bytes(data[begin : begin + 4])
        yield bytes(data[begin + 4 : begin + 8]), begin, begin + size
        begin += size


def edited(path: Path, tracks: dict[int, Edits]) -> Path:
    """The MP4 at `path`, whose index is at its end, with other edit lists."""
    for number, edits in tracks.items():
        data = bytearray(path.read_bytes())
        moov, end = next((a, b) for kind, a, b in boxes(data, 0, len(data)) if kind == b"moov")
        track, track_end = [(a, b) for kind, a, b in boxes(data, moov + 8, end) if kind == b"trak"][number]
        parts = {kind: (a, b) for kind, a, b in boxes(data, track + 8, track_end)}
        begin, stop = parts.get(b"edts", (parts[b"tkhd"][1],) * 2)
        table = struct.pack(">II", 0, len(edits))
        table += b"".join(struct.pack(">IiI", length, tick, 1 << 16) for length, tick in edits)
        elst = struct.pack(">I", len(table) + 8) + b"elst" + table
        data[begin:stop] = struct.pack(">I", len(elst) + 8) + b"edts" + elst
        for place in (moov, track):
            size = int.from_bytes(data[place : place + 4]) + len(elst) + 8 - (stop - begin)
            data[place : place + 4] = size.to_bytes(4)
        path.write_bytes(data)
    return path


def played(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(audio=0) if packet.size and not packet.is_discard]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in packets]


PICTURE = [(400, 2 * FRAME), (600, 27 * FRAME)]
CASES: dict[str, dict[int, Edits]] = {
    "picture of two pieces": {0: PICTURE},
    "picture with a pause": {0: [(400, 2 * FRAME), (300, -1), (600, 12 * FRAME)]},
    "picture twice": {0: [(400, 2 * FRAME)] * 2},
    "both of two pieces": {0: PICTURE, 1: [(400, SOUND), (600, 48 * SOUND)]},
    "late sound": {1: [(300, -1), (1500, SOUND)]},
    "sound from its middle": {1: [(1500, 24 * SOUND)]},
    "sound that ends early": {1: [(1000, SOUND)]},
}


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("name", CASES)
def test_sound_is_what_players_play(tmp_path: Path, name: str, suffix: str) -> None:
    source = edited(make_clip(tmp_path / "in.mp4", frames=50, audio="aac"), CASES[name])
    out = tmp_path / f"out.{suffix}"
    report = paragon_stream.upscale(source, out, engine="null", preset="ultrafast", strict=True)
    assert not [warning for warning in report.warnings if "audio" in warning]
    ours, theirs = played(source), [each for each in played(out) if each[0] > -0.001]
    assert [data for _, data in theirs] == [data for _, data in ours]
    assert [time for time, _ in theirs] == pytest.approx([time for time, _ in ours], abs=0.002)


@pytest.mark.parametrize("name", ["both of two pieces", "sound from its middle"])
def test_converted_sound(tmp_path: Path, name: str) -> None:
    source = edited(make_clip(tmp_path / "in.mp4", frames=50, audio="aac"), CASES[name])
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(source, out, preset="ultrafast", audio_codec="flac")
    ours, theirs = played(source), played(out)
    assert theirs[0][0] == pytest.approx(0, abs=0.002)
    assert theirs[-1][0] == pytest.approx(ours[-1][0], abs=0.1)
    assert paragon_stream.verify(source, out, plan=report).ok
