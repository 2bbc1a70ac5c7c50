"""`upscale()` from file to file, verified by reading the output back with plain PyAV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clip_damage import corrupted, truncated
from clips import BT709, make_clip, packets, read_frames, read_y4m

import paragon_stream
from paragon_stream import ColorSpec, Upscaler
from paragon_stream.cli.main import run
from paragon_stream.frame import ChromaLocation, ColorRange, Matrix

LOSSLESS = {"codec": "ffv1", "weights": "fidelity"}
"""So that the planes that come back are the planes that went in, by weights that do not follow the stream."""


def upscaled(source: Path, color: ColorSpec, pixel_format: str = "yuv420p", **options: str) -> list[tuple]:
    """(pts, planes) of every frame of `source`, upscaled one by one through the Python face."""
    frames = read_frames(source)
    height, width = frames[0][1][0].shape
    with Upscaler(
        width=width, height=height, pixel_format=pixel_format, color=color, weights="fidelity", **options
    ) as up:
        return [(pts, up(planes)) for pts, planes in frames]


def assert_same_frames(path: Path, expected: list[tuple]) -> None:
    found = read_frames(path)
    assert len(found) == len(expected)
    for (_, planes), (_, wanted) in zip(found, expected, strict=True):
        for plane, want in zip(planes, wanted, strict=True):
            assert np.array_equal(plane, want)


def test_everything_arrives(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.mkv",
        tags=BT709,
        audio="aac",
        subtitles="ass",
        attachments=[("font.ttf", "font/ttf", bytes(range(256)))],
        chapters=2,
        metadata={"title": "A clip"},
        languages=["und", "jpn", "eng"],
        titles=["", "Stereo", "Signs"],
    )
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(source, out, **LOSSLESS)
    assert (report.frames_in, report.frames_out, report.warnings) == (12, 12, ())
    color = ColorSpec(
        matrix=Matrix.BT709,
        range=ColorRange.LIMITED,
        transfer=1,
        primaries=1,
        chroma_location=ChromaLocation.LEFT,
    )
    assert_same_frames(out, upscaled(source, color))
    for stream in (1, 2):
        assert packets(out, stream) == packets(source, stream)
    with av.open(str(source)) as a, av.open(str(out)) as b:
        assert [s.type for s in b.streams] == [s.type for s in a.streams]
        assert [s.language for s in b.streams] == [s.language for s in a.streams]
        assert b.metadata["title"] == "A clip"
        assert [c["metadata"]["title"] for c in b.chapters()] == ["Chapter 1", "Chapter 2"]
        attached = [s for s in b.streams if s.type == "attachment"]
        assert bytes(attached[0].data) == bytes(range(256))
        context = b.streams.video[0].codec_context
        assert (context.width, context.height) == (192, 128)
        assert (context.colorspace, context.color_trc, context.color_primaries) == (1, 1, 1)
    assert not (tmp_path / "out.mkv.paragon").exists()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("paragon")]


def test_variable_frame_rate_keeps_every_timestamp(tmp_path: Path) -> None:
    times = [0, 40, 80, 200, 233, 266, 300, 900, 901, 1000]
    source = make_clip(
        tmp_path / "in.mkv", pts=times, time_base=Fraction(1, 1000), audio="aac", audio_delay=0.12
    )
    out = tmp_path / "out.mkv"
    paragon_stream.upscale(source, out, preset="ultrafast")
    assert [pts for pts, _ in read_frames(out)] == times
    with av.open(str(source)) as a, av.open(str(out)) as b:
        assert b.streams.audio[0].start_time == a.streams.audio[0].start_time


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p", "yuv444p10le"])
def test_depth_and_subsampling_are_kept(tmp_path: Path, pix_fmt: str) -> None:
    codec = "libx265" if pix_fmt.endswith("10le") else "libx264"
    source = make_clip(tmp_path / "in.mkv", codec=codec, pix_fmt=pix_fmt, frames=4, tags=BT709)
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(source, out, preset="ultrafast")
    assert report.target_format == f"192x128 {pix_fmt}"
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == pix_fmt


def test_ten_bits_from_eight_on_request(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, tags=BT709)
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(source, out, pix_fmt="yuv420p10le", **LOSSLESS)
    assert report.target_format.endswith("yuv420p10le")
    expected = upscaled(source, BT709_SPEC, output_pixel_format="yuv420p10le")
    assert_same_frames(out, expected)


BT709_SPEC = ColorSpec(
    matrix=Matrix.BT709,
    range=ColorRange.LIMITED,
    transfer=1,
    primaries=1,
    chroma_location=ChromaLocation.LEFT,
)


def test_an_untagged_source_gets_the_tags_it_was_read_with(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", width=720, height=480, frames=2)
    out = tmp_path / "out.mp4"
    report = paragon_stream.upscale(source, out, preset="ultrafast")
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        assert (context.width, context.colorspace, context.color_range) == (1440, 5, 1) or (
            context.colorspace == 6 and context.color_range == 1
        )
    assert report.codec == "libx264"


def test_standard_output_is_y4m(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=5, tags=BT709)
    command = [sys.executable, "-m", "paragon_stream", str(source), "-", "--weights", "fidelity", "--quiet"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    header, frames = read_y4m(done.stdout)
    assert (header["W"], header["H"], header["F"]) == ("192", "128", "25:1")
    for planes, (_, wanted) in zip(frames, upscaled(source, BT709_SPEC), strict=True):
        for plane, want in zip(planes, wanted, strict=True):
            assert np.array_equal(plane, want)


def test_two_runs_give_identical_frames(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=6)
    outs = [tmp_path / f"{n}.mkv" for n in range(2)]
    for out in outs:
        paragon_stream.upscale(source, out, **LOSSLESS)
    for (_, one), (_, two) in zip(*map(read_frames, outs), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_truncated_source_yields_all_frames_up_to_the_cut(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mkv", frames=40, width=192, height=128)
    source = truncated(whole, tmp_path / "in.mkv", 0.6)
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(source, out, preset="ultrafast")
    assert 8 < report.frames_out == len(read_frames(source)) < 40
    assert len(read_frames(out)) == report.frames_out


def test_corrupt_packets_are_counted_and_the_rest_is_rendered(tmp_path: Path) -> None:
    whole = make_clip(
        tmp_path / "whole.ts", frames=60, width=192, height=128, options={"g": "10", "preset": "fast"}
    )
    source = corrupted(whole, tmp_path / "in.ts", bytes_hit=40)
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(source, out, preset="ultrafast")
    damage = report.damage
    assert damage.undecodable_packets + damage.corrupt_packets + damage.corrupt_frames > 0
    assert any("could not be decoded" in w or "wrong" in w or "damaged" in w for w in report.warnings)
    assert report.frames_out > 30


def test_the_report_is_complete_json(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=4)
    path = tmp_path / "report.json"
    assert run([str(source), str(tmp_path / "out.mkv"), "--report", str(path), "--quiet"]) == 0
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["frames_in"] == report["frames_out"] == 4
    assert set(report["stages"]) == {"decode", "engine", "encode"}
    assert len(report["model"]["sha256"]) == 64
    assert report["peak_rss_bytes"] > 10_000_000
    assert report["fps"] > 0


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=9)
    seen: list[paragon_stream.RenderProgress] = []
    paragon_stream.upscale(source, tmp_path / "out.mkv", on_progress=seen.append)
    assert seen[-1].frames == 9
    assert seen[-1].total == 9
    assert seen[-1].bytes_out > 0


def test_a_file_called_like_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "probe", frames=2, format="matroska")
    assert run(["./probe", "out.mkv", "--quiet"]) == 0
    assert len(read_frames(tmp_path / "out.mkv")) == 2
    assert run(["probe", "./probe"]) == 0
    assert "h264" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    "name", ["Movie: The Sequel.mkv", "Show %d.mkv", "[Group] Show - 01 [1080p].mkv", "?.mkv"]
)
def test_any_name_is_a_files_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Not a protocol's, a numbering's or a pattern's."""
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / name, frames=5)
    out = f"upscaled {name}"
    assert paragon_stream.upscale(name, out, engine="null").frames_out == 5
    assert paragon_stream.live(name, f"live {name}", engine="null").frames_out > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, out, f"live {name}"])
