"""The estimate of the output's size before a render."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
from clips import make_clip
from places import SAMPLE

from paragon_stream import RenderRequest, plan_render, upscale
from paragon_stream.cli.main import run
from paragon_stream.media.facts.probe import probe


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


def test_settings_of_the_library_count(tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"

    def with_list(text: str, codec: str = "libx264", **options: Any) -> int | None:
        settings = {**options, f"{codec[3:]}-params": text}
        return estimate(SAMPLE, out, codec=codec, encoder_options=settings, attachments=False, audio=[])

    expected = estimate(SAMPLE, out, crf=24, attachments=False, audio=[])
    assert expected is not None and expected != estimate(SAMPLE, out, attachments=False, audio=[])
    assert with_list("me=dia:crf=24") == with_list("crf=24", b="9M") == expected
    assert with_list("qp=20") is None is with_list("lossless=1", "libx265")
    eight, four = with_list("bitrate=8000", "libx265"), estimate(SAMPLE, out, encoder_options={"b": "4M"})
    assert eight is not None and four is not None and eight / four == pytest.approx(2, rel=0.05)
    old = estimate(SAMPLE, out, encoder_options={"x264opts": "crf=24"}, attachments=False, audio=[])
    assert old == expected


def test_rates_in_tags_with_a_language(tmp_path: Path) -> None:
    """mkvmerge wrote them so before version 34."""
    clip = make_clip(tmp_path / "in.mkv", frames=10)
    with av.open(str(clip)) as source, av.open(str(tmp_path / "old.mkv"), "w") as out:
        stream = out.add_stream_from_template(source.streams[0], opaque=True)
        stream.metadata["BPS-eng"] = "123456"
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    assert probe(tmp_path / "old.mkv").streams[0].bit_rate == 123456


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
