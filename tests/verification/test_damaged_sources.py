"""Renders of damaged broadcasts: what is damaged in the source is no fault of the output."""

from __future__ import annotations

import random
from pathlib import Path

import av
import pytest
from clips import make_clip

import paragon_stream

_PACKET = 188


def lossy(path: Path, target: Path, *, every: float, seed: int) -> Path:
    """A copy of a transport stream in which a part of the packets is lost."""
    chance = random.Random(seed)
    data = path.read_bytes()
    packets = [data[at : at + _PACKET] for at in range(0, len(data), _PACKET)]
    target.write_bytes(b"".join(p for n, p in enumerate(packets) if n < 3 or chance.random() > every))
    return target


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_lost_packets(tmp_path: Path, suffix: str) -> None:
    """Times of sound run backwards, and pictures are concealed."""
    whole = make_clip(
        tmp_path / "whole.ts", frames=75, codec="mpeg2video", audio="mp2", options={"b": "2M", "bf": "2"}
    )
    clip = lossy(whole, tmp_path / "in.ts", every=0.03, seed=0)
    report = paragon_stream.upscale(clip, tmp_path / f"out.{suffix}", preset="ultrafast")
    assert any("run backwards; repaired" in warning for warning in report.warnings)
    assert report.damage.corrupt_frames
    found = paragon_stream.verify(clip, tmp_path / f"out.{suffix}", plan=report)
    assert not [str(finding) for finding in found.findings]
    assert any(part.startswith("picture of ") for part in found.skipped)


def test_damage_that_only_checksums_show(tmp_path: Path) -> None:
    """FFmpeg's decoder of FFV1 logs a wrong checksum and delivers the picture as if it were whole."""
    clip = make_clip(
        tmp_path / "in.mkv", codec="ffv1", options={"level": "3", "slicecrc": "1", "g": "1"}, frames=12
    )
    with av.open(str(clip)) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        places = [(packet.pos, packet.size) for packet in packets]
    upscaled = paragon_stream.upscale(clip, tmp_path / "whole.mkv", engine="null")
    assert not upscaled.damage.corrupt_frames
    data = bytearray(clip.read_bytes())
    position, size = places[7]
    data[position + size // 2 : position + size // 2 + 30] = bytes(30)
    clip.write_bytes(data)
    report = paragon_stream.upscale(clip, tmp_path / "out.mkv", precision="fp32")
    assert report.damage.corrupt_frames == 1 and any("with errors" in text for text in report.warnings)


def test_damaged_headers_of_aac(tmp_path: Path) -> None:
    """Packets without a usable ADTS header cannot be stored in Matroska, which the render announces."""
    whole = make_clip(tmp_path / "whole.ts", frames=50, audio="aac")
    data = bytearray(whole.read_bytes())
    places = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xf1"][4::9]
    for place in places:
        data[place + 1] ^= 0x10  # the sync word
    clip = tmp_path / "in.ts"
    clip.write_bytes(data)
    report = paragon_stream.upscale(clip, tmp_path / "out.mkv", engine="null", preset="ultrafast")
    assert any("could not be written" in warning for warning in report.warnings)
    found = paragon_stream.verify(clip, tmp_path / "out.mkv", plan=report).findings
    assert not [str(finding) for finding in found if finding.check in ("packets", "audio/video sync")]


def test_pictures_behind_damage_are_not_compared(tmp_path: Path) -> None:
    """H.264 decoders conceal differently from one time to the next."""
    whole = make_clip(tmp_path / "whole.ts", frames=75, width=192, height=128, options={"g": "15"})
    clip = lossy(whole, tmp_path / "in.ts", every=0.02, seed=3)
    report = paragon_stream.upscale(clip, tmp_path / "out.mkv", preset="ultrafast")
    assert report.damage.corrupt_frames
    found = paragon_stream.verify(clip, tmp_path / "out.mkv", plan=report)
    assert not [str(finding) for finding in found.findings]
    assert 0 < found.frames < report.frames_out
    assert f"picture of {report.frames_out - found.frames} frames" in found.skipped
