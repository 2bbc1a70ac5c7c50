"""NVIDIA's encoders by name: their options and formats, and a clear word where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import make_clip
from places import SAMPLE

from paragon_stream.cli.main import run
from paragon_stream.errors import UsageError
from paragon_stream.frame import FrameFormat, pixel_format
from paragon_stream.media.encode.abilities import encodes
from paragon_stream.media.encode.encoder_job import encoder_settings
from paragon_stream.media.encode.encoders import find_encoder

NAMES = ("h264_nvenc", "hevc_nvenc", "av1_nvenc")


def settings(name: str, **options: object) -> dict[str, str]:
    wanted = {"crf": None, "preset": None, "extra": {}, "hdr": None, **options}
    format = FrameFormat(width=64, height=64, pixel_format=pixel_format("yuv420p"))
    return encoder_settings(find_encoder(name), format=format, **wanted)


@pytest.mark.parametrize("name", NAMES)
def test_constant_quality_is_theirs(name: str) -> None:
    assert settings(name)["rc"] == "vbr" and float(settings(name)["cq"]) > 0
    asked = settings(name, crf=23, preset="p7")
    assert (asked["cq"], asked["preset"]) == ("23", "p7") and "crf" not in asked
    assert "cq" not in settings(name, extra={"qp": "20"})
    for wrong in ({"crf": 60}, {"preset": "medium"}):
        with pytest.raises(UsageError):
            settings(name, **wrong)


@pytest.mark.parametrize("name", NAMES)
def test_chroma_goes_interleaved(name: str) -> None:
    encoder = find_encoder(name)
    assert encoder.closest(pixel_format("yuv420p")).name == "nv12"
    assert encoder.closest(pixel_format("yuv420p10le")).name == "p010le"


@pytest.mark.parametrize(
    ("suffix", "pix_fmt", "chosen"),
    [
        ("mkv", "yuv420p", "h264_nvenc"),
        ("mp4", "yuv420p10le", "hevc_nvenc"),
        ("mkv", "yuv444p", "h264_nvenc"),
        ("webm", "yuv420p", "av1_nvenc"),
    ],
)
def test_nvenc_is_the_codec_of_the_default(
    suffix: str, pix_fmt: str, chosen: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never another family, which players may not know; and never unless asked for."""
    if encodes(chosen):
        pytest.skip("this machine has NVENC")
    clip = make_clip(tmp_path / "clip.mkv", frames=2, pix_fmt=pix_fmt)
    out = tmp_path / f"out.{suffix}"
    assert run([str(clip), str(out), "--engine", "null", "--codec", "nvenc"]) == 2
    assert f"{chosen} cannot encode" in capsys.readouterr().err


def test_nvenc_makes_no_codec_with_transparency(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(tmp_path / "clip.mkv", codec="ffv1", frames=2, pix_fmt="yuva420p")
    assert run([str(clip), str(tmp_path / "out.mkv"), "--engine", "null", "--codec", "nvenc"]) == 2
    assert "no encoder for ffv1" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_without_a_gpu_it_says_so_before_the_render(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if encodes(name):
        pytest.skip("this machine has NVENC")
    out = tmp_path / "out.mkv"
    assert run([str(SAMPLE), str(out), "--engine", "null", "--codec", name]) == 2
    assert f"{name} cannot encode" in capsys.readouterr().err
    assert not out.exists()


def test_semiplanar_slots_reach_the_encoder(tmp_path: Path) -> None:
    """NV12 out of the frame job, which only NVIDIA's encoders ask for; libx264 takes it too."""
    out = tmp_path / "out.mkv"
    code = run(
        [str(SAMPLE), str(out), "--engine", "null", "--pix-fmt", "nv12", "--duration", "0.2", "--quiet"]
    )
    assert code == 0 and out.stat().st_size > 1000
