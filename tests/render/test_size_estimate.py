"""The estimate of the output's size before a render."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clips import make_clip
from places import SAMPLE

from paragon_stream import RenderRequest, plan_render, upscale
from paragon_stream.cli.main import run


def estimate(source: Path, destination: Path, **options: Any) -> int | None:
    return plan_render(RenderRequest(source, destination, **options)).estimated_bytes


def test_raw_video_and_bit_rates(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=10, audio="aac")
    raw = tmp_path / "out.y4m"
    about = estimate(clip, raw)
    size = upscale(clip, raw, engine="null").bytes_out
    assert about is not None and 0 < size - about < 200  # the stream header
    seconds = 10 / 25
    at_rate = estimate(clip, tmp_path / "out.mkv", encoder_options={"b": "4M"}, audio=[])
    assert at_rate == pytest.approx(4e6 * seconds / 8, rel=0.05)
    by_default = estimate(clip, tmp_path / "out.mkv", codec="mpeg4", audio=[])
    assert by_default == pytest.approx(0.2 * 192 * 128 * 10 / 8, rel=0.05)  # bits per pixel


@pytest.mark.parametrize("options", [{}, {"crf": 24}, {"codec": "ffv1"}])
def test_a_real_film_is_near(tmp_path: Path, options: dict[str, Any]) -> None:
    out, part = tmp_path / "out.mkv", {"start": 1, "duration": 0.6}
    about = estimate(SAMPLE, out, **options, **part)
    size = upscale(SAMPLE, out, attachments=False, **options, **part).bytes_out
    assert about is not None and size / 2.5 < about < 2.5 * size


def test_where_nothing_is_known(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    assert estimate(clip, tmp_path / "%03d.png") is None
    assert estimate(clip, tmp_path / "out.mkv", crf=0) is None  # lossless


def test_probe_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", str(SAMPLE)]) == 0
    assert "would become (.mkv, about " in capsys.readouterr().out
