"""Encoders for editing, and encoders of FFmpeg without an entry of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
from clips import Tags, make_clip

import paragon_stream
from paragon_stream.errors import LossError, UsageError
from paragon_stream.frame import ColorRange, Matrix
from paragon_stream.media.facts.probe import probe

HD = Tags(range=2, matrix=1, transfer=1, primaries=1)


def faults(clip: Path, out: Path, **options: Any) -> list[str]:
    report = paragon_stream.upscale(clip, out, strict=True, **options)
    return [str(finding) for finding in paragon_stream.verify(clip, out, plan=report).findings]


@pytest.mark.parametrize(
    ("codec", "pixels"), [("prores", "yuv422p10le"), ("v210", "yuv422p10le"), ("dnxhr", "yuv422p")]
)
def test_full_range_keeps_its_look_where_it_cannot_be_stored(tmp_path: Path, codec: str, pixels: str) -> None:
    """ProRes and v210 have limited range only; DNxHR has both."""
    clip = make_clip(tmp_path / "in.mkv", width=160, height=96, frames=5, tags=HD)
    out = tmp_path / "out.mov"
    assert not faults(clip, out, codec=codec)
    stored = probe(out).video.format
    limited = codec != "dnxhr"
    assert stored.color.range is (ColorRange.LIMITED if limited else ColorRange.FULL)
    assert stored.pixel_format.name == pixels and stored.color.matrix is Matrix.BT709


def test_a_matrix_that_cannot_be_stored_is_a_loss(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "in.mkv",
        width=160,
        height=96,
        frames=3,
        tags=Tags(range=1, matrix=5, transfer=6, primaries=5),
    )
    with pytest.raises(
        LossError, match="dnxhd in mov cannot store the matrix bt470bg: players take it as bt709"
    ):
        paragon_stream.upscale(clip, tmp_path / "out.mov", codec="dnxhr", strict=True)
    report = paragon_stream.upscale(clip, tmp_path / "out.mov", codec="dnxhr")
    assert len(report.warnings) == 1
    assert not paragon_stream.verify(clip, tmp_path / "out.mov", plan=report).findings


@pytest.mark.parametrize(
    ("pixels", "wanted", "profile"),
    [
        ("yuv420p", None, "HQ"),
        ("yuv422p10le", None, "HQX"),
        ("yuv444p10le", None, "444"),
        ("yuv420p", "dnxhr_sq", "SQ"),
    ],
)
def test_the_profile_of_dnxhr(tmp_path: Path, pixels: str, wanted: str | None, profile: str) -> None:
    codec = "libx264" if pixels == "yuv420p" else "ffv1"
    clip = make_clip(tmp_path / "in.mkv", width=160, height=96, frames=2, pix_fmt=pixels, codec=codec)
    paragon_stream.upscale(clip, tmp_path / "out.mov", codec="dnxhr", preset=wanted)
    with av.open(str(tmp_path / "out.mov")) as file:
        assert file.streams.video[0].codec_context.profile == f"DNXHR {profile}"


def test_the_bit_rate_follows_the_size(tmp_path: Path) -> None:
    """FFmpeg's default for encoders without a quality scale is 200 kbit/s."""
    clip = make_clip(tmp_path / "in.mkv", frames=25, rate=25)
    request = paragon_stream.RenderRequest(clip, tmp_path / "out.mkv", codec="mpeg4")
    job = paragon_stream.plan_render(request).output.job
    assert job is not None and job.settings == {"b": str(192 * 128 * 25 // 5)}
    given = paragon_stream.RenderRequest(
        clip, tmp_path / "out.mkv", codec="mpeg4", encoder_options={"b": "1M"}
    )
    assert paragon_stream.plan_render(given).output.job.settings == {"b": "1M"}  # type: ignore[union-attr]
    assert not faults(clip, tmp_path / "out.mkv", codec="mpeg4")


@pytest.mark.parametrize(
    ("codec", "suffix", "words"),
    [
        ("mpeg2video", "mkv", "cannot count times in 1/1000 s"),
        ("mpeg4", "ts", r"1/90000 s.*ffmpeg -i - -c:v mpeg4 OUT"),
        ("mjpeg", "mov", "-x strict=unofficial"),
        ("vp9", "ts", "vp9 video cannot be written to ts: choose libx264 or libx265"),
        ("ffv1", "m2ts", "ffv1 video cannot be written to ts: choose libx264 or libx265"),
    ],
)
def test_what_to_do_instead(tmp_path: Path, codec: str, suffix: str, words: str) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    with pytest.raises(UsageError, match=words):
        paragon_stream.upscale(clip, tmp_path / f"out.{suffix}", codec=codec)
