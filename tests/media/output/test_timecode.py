"""Timecodes of parts: drop-frame counting, and what files say."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import make_clip

import paragon_stream
from paragon_stream.media.output.timecode import shifted

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("timecode", "frames", "rate", "expected"),
    [
        ("01:02:03;04", 30, NTSC, "01:02:04;04"),
        ("00:00:59;29", 1, NTSC, "00:01:00;02"),
        ("00:09:59;29", 1, NTSC, "00:10:00;00"),
        ("23:59:59;29", 1, NTSC, "00:00:00;00"),
        ("00:00:00;00", 17_982, NTSC, "00:10:00;00"),
        ("00:00:59;59", 1, 2 * NTSC, "00:01:00;04"),
        ("00:00:59:29", 1, NTSC, "00:01:00:00"),
        ("10:00:00:00", 25 * 61, Fraction(25), "10:01:01:00"),
        ("01:00:00:00", 24, Fraction(24000, 1001), "01:00:01:00"),
        ("no timecode", 5, NTSC, "no timecode"),
    ],
)
def test_shifted(timecode: str, frames: int, rate: Fraction, expected: str) -> None:
    assert shifted(timecode, frames, rate) == expected


def test_every_drop_frame_number_comes_once() -> None:
    timecode, seen = "00:00:00;00", set()
    for number in range(20_000):
        assert timecode == shifted("00:00:00;00", number, NTSC) and timecode not in seen
        seen.add(timecode)
        timecode = shifted(timecode, 1, NTSC)


def timecodes(path: Path) -> set[str]:
    """What a file and its streams say."""
    with av.open(str(path)) as file:
        tags = [file.metadata, *(stream.metadata for stream in file.streams)]
    return {v for each in tags for k, v in each.items() if k.casefold() == "timecode"}


@pytest.mark.parametrize("suffix", ["mov", "mp4", "mkv"])
def test_a_part(tmp_path: Path, suffix: str) -> None:
    plain = make_clip(tmp_path / "plain.mkv", frames=60, rate=NTSC)
    source = tmp_path / "in.mov"
    with av.open(str(plain)) as a, av.open(str(source), "w") as b:
        video = b.add_stream_from_template(a.streams[0], opaque=True)
        video.metadata["timecode"] = "01:02:03;04"
        for packet in a.demux():
            if packet.size:
                packet.stream = video
                b.mux(packet)
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
