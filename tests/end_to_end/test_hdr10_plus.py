"""The HDR10+ of the source's frames is in the result's frames, at the same times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from captioned import text
from chunk_material import in_chunks
from hdr10plus import hdr10plus_clip, hdr10plus_of, message

import paragon_stream
from paragon_stream.cli.main import run
from paragon_stream.errors import LossError
from paragon_stream.frame import FrameData
from paragon_stream.media.encode.messages import with_messages
from paragon_stream.media.facts.hdr10_plus import hdr10_plus_message
from paragon_stream.verification.verifier import verify

FRAMES = 30
MESSAGES = [message(number, peaks=number == 5) for number in range(FRAMES)]
MESSAGES[0] = b""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame 5's has more than 255 bytes. The first frame has none: FFmpeg gives later ones that of the frame
    before."""
    return hdr10plus_clip(tmp_path_factory.mktemp("hdr10plus") / "in.mkv", MESSAGES)


def upscale(source: Path, out: Path, **options: Any) -> paragon_stream.Report:
    return paragon_stream.upscale(source, out, precision="fp32", threads=1, **options)


def test_ffmpegs_structure_becomes_the_message_again(clip: Path) -> None:
    found = hdr10plus_of(clip)
    assert [bool(data) for data in found] == [bool(each) for each in MESSAGES]
    assert len(MESSAGES[5]) > 255
    assert [hdr10_plus_message(data) if data else b"" for data in found] == MESSAGES
    assert hdr10_plus_message(found[1][:5000]) == b""


@pytest.mark.parametrize(
    ("codec", "suffix", "preset"),
    [
        ("libx265", ".mkv", "ultrafast"),
        ("libx265", ".mp4", "ultrafast"),
        ("libx265", ".ts", "ultrafast"),
        ("libsvtav1", ".mkv", "12"),
        ("libsvtav1", ".mp4", "12"),
    ],
)
def test_every_frame_keeps_its_metadata(
    clip: Path, tmp_path: Path, codec: str, suffix: str, preset: str
) -> None:
    out = tmp_path / f"out{suffix}"
    upscale(clip, out, codec=codec, preset=preset, strict=suffix != ".ts")
    assert hdr10plus_of(out) == hdr10plus_of(clip)


def test_a_part_and_chunks_have_the_metadata_of_their_frames(clip: Path, tmp_path: Path) -> None:
    upscale(clip, tmp_path / "part.mkv", start=0.24, duration=0.2)
    assert hdr10plus_of(tmp_path / "part.mkv") == hdr10plus_of(clip)[6:11]
    in_chunks(clip, tmp_path / "chunks.mkv", 0.4)
    assert hdr10plus_of(tmp_path / "chunks.mkv") == hdr10plus_of(clip)


def test_a_codec_without_a_place_and_several_windows_are_losses(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(LossError, match=r"HDR10\+ in the video cannot be carried over"):
        upscale(clip, tmp_path / "out.mkv", codec="ffv1", strict=True)
    local = hdr10plus_clip(tmp_path / "local.mkv", [message(n, windows=2) for n in range(4)])
    with pytest.raises(LossError, match=r"HDR10\+ with several windows in the video cannot be carried over"):
        upscale(local, tmp_path / "out.mkv", strict=True)
    upscale(local, tmp_path / "out.mkv")
    assert hdr10plus_of(tmp_path / "out.mkv") == [b""] * 4


def test_verify_compares_the_metadata(clip: Path, tmp_path: Path) -> None:
    other = hdr10plus_clip(tmp_path / "other.mkv", [message(n) for n in range(FRAMES)])
    report = upscale(clip, tmp_path / "out.mkv")
    found = verify(clip, tmp_path / "out.mkv", plan=report)
    assert found.ok and "HDR10+" in found.checks
    assert [str(each) for each in verify(other, tmp_path / "out.mkv").findings] == [
        "HDR10+: 2 frames without the source's HDR10+ (first at 0.000 s)"
    ]


def test_probe_shows_it_and_no_loss(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", str(clip)]) == 0
    printed = capsys.readouterr().out
    assert "  with HDR10+\n" in printed and "warning" not in printed


def test_captions_and_metadata_stand_in_one_picture() -> None:
    picture = b"\0\0\0\1\x26\1\x88\1"  # an IDR slice of HEVC
    both = with_messages(picture, "hevc", FrameData(captions=text(0), hdr10_plus=MESSAGES[1]))
    captions, metadata = (
        with_messages(picture, "hevc", data)
        for data in (FrameData(captions=text(0)), FrameData(hdr10_plus=MESSAGES[1]))
    )
    assert captions is not None and metadata is not None
    assert both == captions.removesuffix(picture) + metadata.removesuffix(picture) + picture
