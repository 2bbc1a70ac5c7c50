"""Closed captions of the source's pictures are in the result's pictures, at the same times."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from captioned import captioned_clip, captions_of, text
from chunk_material import in_chunks
from clips import make_clip

import paragon_stream
from paragon_stream.cli.main import run
from paragon_stream.errors import LossError, OutputError
from paragon_stream.media.encode import messages as module
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.verification.verifier import verify

FRAMES = 30
QUICK = {"libx264": "ultrafast", "libx265": "ultrafast", "libsvtav1": "12"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame 3 has none, and frame 4 as much as a picture can have."""
    texts = [text(number) for number in range(FRAMES)]
    texts[3], texts[4] = b"", b"".join(text(number) for number in range(15)) + b"\xfc\x20\x20"
    return captioned_clip(tmp_path_factory.mktemp("captions") / "in.mkv", texts, options={"g": "10"})


def upscale(source: Path, out: Path, **options: Any) -> paragon_stream.Report:
    return paragon_stream.upscale(source, out, precision="fp32", threads=1, **options)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("libx264", ".mkv"),
        ("libx264", ".mp4"),
        ("libx264", ".ts"),
        ("libx265", ".mp4"),
        ("libsvtav1", ".mkv"),
    ],
)
def test_every_picture_keeps_its_captions(clip: Path, tmp_path: Path, codec: str, suffix: str) -> None:
    source = captions_of(clip)
    assert [data for _, data in source[2:6]] == [text(2), b"", source[4][1], text(5)]
    assert len(source[4][1]) == 31 * 3
    out = tmp_path / f"out{suffix}"
    report = upscale(clip, out, codec=codec, preset=QUICK[codec], strict=suffix != ".ts")
    assert not any("caption" in warning for warning in report.warnings)
    found = captions_of(out)
    assert [data for _, data in found] == [data for _, data in source]
    begin = found[0][0] - source[0][0]  # transport streams do not begin at 0
    assert all(abs(a - b - begin) < 1 / 500 for (a, _), (b, _) in zip(found, source, strict=True))


def test_a_part_has_the_captions_of_its_frames(clip: Path, tmp_path: Path) -> None:
    upscale(clip, tmp_path / "out.mkv", start=0.52, duration=0.4)
    assert [data for _, data in captions_of(tmp_path / "out.mkv")] == [text(n) for n in range(13, 23)]


def test_chunks_have_the_captions_of_one_render(clip: Path, tmp_path: Path) -> None:
    in_chunks(clip, tmp_path / "out.mkv", 0.4)
    assert [data for _, data in captions_of(tmp_path / "out.mkv")] == [data for _, data in captions_of(clip)]


def test_a_resumed_render_has_all_captions(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write, frames = tmp_path / "out.mkv", VideoWriter.write, count()

    def failing(self: VideoWriter, planes: Any, timing: Any) -> None:
        if next(frames) == 17:
            raise OutputError("the power is gone")
        write(self, planes, timing)

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "write", failing)
        with pytest.raises(OutputError, match="power"):
            upscale(clip, out, encoder_options={"g": "5", "bf": "2"})
    report = upscale(clip, out, encoder_options={"g": "5", "bf": "2"}, resume=True)
    assert report.resumed_at > 0
    assert [data for _, data in captions_of(out)] == [data for _, data in captions_of(clip)]


@pytest.mark.parametrize("method", ["bwdif", "bwdif-2x"])
def test_deinterlacing_keeps_all_captions(tmp_path: Path, method: str) -> None:
    texts = [text(number) for number in range(10)]
    clip = captioned_clip(
        tmp_path / "in.mkv", texts, options={"flags": "+ildct+ilme", "x264-params": "tff=1"}
    )
    report = upscale(clip, tmp_path / "out.mkv", deinterlace=method)
    found = [data for _, data in captions_of(tmp_path / "out.mkv")]
    assert report.frames_out == len(found) == (20 if method == "bwdif-2x" else 10)
    assert [data for data in found if data] == texts


def test_captions_that_the_output_cannot_hold_are_a_loss(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(LossError, match="closed captions in the video cannot be carried over"):
        upscale(clip, tmp_path / "out.mkv", codec="ffv1", strict=True)
    assert any("captions" in warning for warning in upscale(clip, tmp_path / "out.y4m").warnings)


def test_packets_of_an_unknown_form_are_announced(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_first_slice", lambda packet, codec: None)
    report = upscale(clip, tmp_path / "out.mkv")
    assert (
        "the closed captions of 29 pictures are lost: libx264 writes packets of an unknown form"
        in report.warnings
    )


def test_no_captions_no_change(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mkv", frames=5)
    upscale(tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert not any(data for _, data in captions_of(tmp_path / "out.mkv"))


def test_pictures_left_out_by_inverse_telecine_leave_their_captions(tmp_path: Path) -> None:
    texts = [text(number) for number in range(20)]
    clip = captioned_clip(tmp_path / "in.mkv", texts)
    report = upscale(clip, tmp_path / "out.mkv", ivtc=True)
    found = [data for _, data in captions_of(tmp_path / "out.mkv")]
    assert report.frames_out == len(found) == 16
    # The last frame is left out, and no other follows it.
    assert b"".join(found) in (b"".join(texts), b"".join(texts[:-1]))


def test_verify_compares_captions(clip: Path, tmp_path: Path) -> None:
    other = captioned_clip(tmp_path / "other.mkv", [text(number) for number in range(FRAMES)])
    report = upscale(clip, tmp_path / "out.mkv")
    assert verify(clip, tmp_path / "out.mkv", plan=report).ok
    found = verify(other, tmp_path / "out.mkv")
    assert [str(each) for each in found.findings] == [
        "closed captions: 2 frames without the source's closed captions (first at 0.120 s)"
    ]


def test_live_output_has_the_captions(clip: Path, tmp_path: Path) -> None:
    report = paragon_stream.live(clip, tmp_path / "out.mkv", engine="null")
    assert not any("caption" in warning for warning in report.warnings)
    found = b"".join(data for _, data in captions_of(tmp_path / "out.mkv"))
    assert report.frames_out and found.startswith(text(0)) and text(5) in found


def test_probe_shows_captions_and_no_loss(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", str(clip)]) == 0
    said = capsys.readouterr().out
    assert "  with closed captions\n" in said and "warning" not in said
