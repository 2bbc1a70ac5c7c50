"""Every container and codec that users bring: all frames, right pixels, right times."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import frame_planes, make_clip

import paragon_stream
from paragon_stream.media.facts.info import Damage
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.prepare import SourceOptions, prepare

FRAMES = 11
TIMELESS = ("h264", "h265", "hevc")
"""Raw streams in which FFmpeg finds no times."""
FROM_ZERO = ("ts", "mts", "m2ts", "vob", "mpg", "flv", "wmv")
"""Containers whose clock may stand anywhere: the output begins at 0."""


@dataclass(frozen=True)
class Source:
    suffix: str
    codec: str
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.codec}.{self.suffix}"


def source(suffix: str, codec: str, **options: Any) -> Source:
    return Source(suffix, codec, tuple(options.items()))


CIF = {"width": 352, "height": 288}
AC3 = {"audio": "ac3"}
SOURCES = [
    source("mkv", "libx264", audio="aac"),
    source("mp4", "libx264", audio="aac"),
    source("m4v", "libx264", audio="aac"),
    source("mov", "libx264", audio="pcm_s16le"),
    source("ts", "libx264", **AC3),
    source("mts", "libx264", **AC3),
    source("m2ts", "libx264", **AC3, container_options={"mpegts_m2ts_mode": "1"}),
    source("3gp", "libx264", audio="aac"),
    source("flv", "libx264", audio="aac"),
    source("avi", "libx264", options={"bf": "0"}, audio="mp2"),
    source("mxf", "libx264", audio="pcm_s16le", options={"bf": "0"}),
    source("h264", "libx264"),
    source("mp4", "libx265", audio="aac"),
    source("ts", "libx265"),
    source("hevc", "libx265"),
    source("h265", "libx265"),
    source("webm", "libvpx", audio="libopus"),
    source("webm", "libvpx-vp9", audio="libopus"),
    source("ivf", "libvpx-vp9"),
    source("ivf", "libvpx"),
    source("mkv", "libvpx-vp9", pix_fmt="yuv444p"),
    source("mp4", "libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"}, audio="aac"),
    source("ivf", "libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"}),
    source("webm", "libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"}, pix_fmt="yuv420p10le"),
    source("obu", "libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"}),
    source("mpg", "mpeg1video", audio="mp2"),
    source("m1v", "mpeg1video"),
    source("vob", "mpeg2video", **AC3),
    source("m2v", "mpeg2video"),
    source("ts", "mpeg2video", audio="mp2", pix_fmt="yuv422p"),
    source("mxf", "mpeg2video", audio="pcm_s16le"),
    source("mp4", "mpeg4", audio="aac"),
    source("avi", "mpeg4", audio="libmp3lame"),
    source("avi", "msmpeg4v3", audio="mp2"),
    source("wmv", "wmv2"),
    source("mov", "prores_ks", audio="pcm_s24le", pix_fmt="yuv422p10le"),
    source("mov", "prores", pix_fmt="yuv422p10le"),
    source("mov", "prores_ks", pix_fmt="yuv444p10le"),
    source("mov", "dnxhd", pix_fmt="yuv422p10le", options={"profile": "dnxhr_hqx"}, **CIF),
    source("mxf", "dnxhd", pix_fmt="yuv422p", options={"profile": "dnxhr_hq"}, **CIF),
    source("mkv", "ffv1", audio="flac"),
    source("avi", "ffv1", pix_fmt="yuv422p"),
    source("mkv", "ffv1", pix_fmt="gray16le"),
    source("avi", "mjpeg", pix_fmt="yuvj420p", audio="pcm_s16le"),
    source("mov", "mjpeg", pix_fmt="yuvj422p"),
    source("mjpeg", "mjpeg", pix_fmt="yuvj420p"),
    source("3gp", "h263", **CIF),
    source("flv", "flv", audio="libmp3lame"),
    source("dv", "dvvideo", width=720, height=576),
    source("avi", "dvvideo", width=720, height=576),
    source("y4m", "wrapped_avframe"),
    source("avi", "huffyuv", pix_fmt="yuv422p"),
    source("avi", "utvideo"),
    source("mov", "v210", pix_fmt="yuv422p10le"),
    source("mov", "png", pix_fmt="rgb24"),
    source("mov", "qtrle", pix_fmt="rgb24"),
    source("avi", "cinepak", pix_fmt="rgb24"),
    source("mkv", "snow"),
    source("nut", "rawvideo", pix_fmt="yuv410p"),
]


def plain(path: Path) -> list[tuple[Fraction | None, list[Any]]]:
    """Time in seconds and planes of every frame, by a plain loop.

    AVI stores decode times only: no times of presentation are made up, and the last frame follows the others.
    """
    found: list[tuple[Fraction | None, list[Any]]] = []
    with av.open(str(path), options={"fflags": "-genpts"}) as container:
        stream = container.streams.video[0]
        unit = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        for frame in container.decode(stream):
            stamp = frame.dts if frame.pts is None else frame.pts
            time = None if stamp is None else stamp * unit
            if time is None and found and found[-1][0] is not None:
                time = found[-1][0] + Fraction(1, 25)
            found.append((time, list(frame_planes(frame))))
    return found


@pytest.mark.parametrize("case", SOURCES, ids=str)
def test_a_source(tmp_path: Path, case: Source) -> None:
    clip = make_clip(tmp_path / f"in.{case.suffix}", codec=case.codec, frames=FRAMES, **dict(case.options))
    expected = plain(clip)
    assert len(expected) == FRAMES
    info = prepare(clip, SourceOptions())
    dtype = np.uint8 if info.video.format.pixel_format.depth <= 8 else np.uint16
    planes = [np.empty(shape, dtype) for shape in info.video.format.plane_shapes]
    with VideoReader(info) as reader:
        for _, wanted in expected:
            assert reader.read_into(planes) is not None
            if info.video.decoded == info.video.format.pixel_format.name and not info.video.interlaced:
                assert all(np.array_equal(a, b) for a, b in zip(planes, wanted, strict=True))
        assert reader.read_into(planes) is None

    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(clip, out, engine="null", codec="ffv1")
    assert (report.frames_in, report.frames_out) == (FRAMES, FRAMES)
    assert report.damage == Damage()
    got = [time for time, _ in plain(out)]
    assert (case.suffix in TIMELESS) == any("no timestamp" in warning for warning in report.warnings)
    with av.open(str(clip)) as container:
        begin = Fraction(container.start_time or 0, 1_000_000) if case.suffix in FROM_ZERO else Fraction(0)
    for index, (shown, (time, _)) in enumerate(zip(got, expected, strict=True)):
        wanted_time = Fraction(index, 25) if time is None else time - begin
        assert shown is not None and abs(shown - wanted_time) <= Fraction(1, 1000)
    with av.open(str(out)) as result, av.open(str(clip)) as container:
        assert [s.type for s in result.streams] == [s.type for s in container.streams]
