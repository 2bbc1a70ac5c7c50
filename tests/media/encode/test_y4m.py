"""y4m: to a pipe, to a file, read back byte by byte and by FFmpeg."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip, read_frames, read_y4m
from places import IMPORTS
from rendering import render

from paragon_stream.errors import LossError, OutputError, UsageError
from paragon_stream.frame import ChromaLocation, ColorRange, ColorSpec, FrameFormat, Timing, pixel_format
from paragon_stream.media.encode.outpipe import OutPipe
from paragon_stream.media.encode.y4m import Y4mWriter, header
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.output.plan import OutputOptions, plan_output
from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest

MS = Fraction(1, 1000)


@pytest.mark.parametrize(
    ("pix_fmt", "tag"),
    [
        ("yuv420p", "420mpeg2"),
        ("yuv422p", "422"),
        ("yuv444p", "444"),
        ("yuv411p", "411"),
        ("gray", "mono"),
        ("yuv420p10le", "420p10"),
        ("yuv422p12le", "422p12"),
        ("yuv444p16le", "444p16"),
        ("gray10le", "mono10"),
    ],
)
def test_file_is_read_back_as_it_was(tmp_path: Path, pix_fmt: str, tag: str) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, width=50, height=34, codec="ffv1", pix_fmt=pix_fmt)
    out = tmp_path / "out.y4m"
    render(source, out)
    words = out.read_bytes().partition(b"\n")[0].decode().split(" ")
    assert words[:5] == ["YUV4MPEG2", "W50", "H34", "F25:1", "Ip"] and f"C{tag}" in words
    for (_, planes), (_, had) in zip(read_frames(out), read_frames(source), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(planes, had, strict=True))
    with av.open(str(out), format="yuv4mpegpipe") as file:
        assert file.streams.video[0].codec_context.pix_fmt in (pix_fmt, pix_fmt.removesuffix("le"))
    assert not (tmp_path / "out.y4m.paragon").exists()


def test_header_says_range_siting_rate_and_aspect() -> None:
    format = FrameFormat(
        width=720,
        height=576,
        pixel_format=pixel_format("yuv420p"),
        color=ColorSpec(range=ColorRange.FULL, chroma_location=ChromaLocation.CENTER),
        sample_aspect_ratio=Fraction(64, 45),
    )
    text = header(format, Fraction(24000, 1001))
    assert text == b"YUV4MPEG2 W720 H576 F24000:1001 Ip A64:45 C420jpeg XCOLORRANGE=FULL\n"
    sited = replace(format, color=ColorSpec(chroma_location=ChromaLocation.TOPLEFT))
    assert b"C420paldv XCOLORRANGE=LIMITED" in header(sited, Fraction(25))


def test_ffmpeg_reads_the_tags(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=2, sar=Fraction(4, 3), rate=Fraction(30000, 1001))
    render(source, tmp_path / "out.y4m")
    with av.open(str(tmp_path / "out.y4m")) as file:
        stream = file.streams.video[0]
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        assert stream.average_rate == Fraction(30000, 1001)
        assert stream.codec_context.color_range == 1 and stream.codec_context.chroma_sample_location == 1


@pytest.mark.parametrize("pix_fmt", ["gbrp", "rgb24", "yuv440p"])
def test_what_y4m_cannot_hold(tmp_path: Path, pix_fmt: str) -> None:
    info = probe(make_clip(tmp_path / "in.mkv", frames=2))
    other = replace(info.video, format=replace(info.video.format, pixel_format=pixel_format(pix_fmt)))
    with pytest.raises(UsageError, match=pix_fmt):
        plan_output(replace(info, video=other), "-", 2)


@pytest.mark.parametrize("name", ["out.y4m", "out_%03d.png"])
def test_tags_are_announced(tmp_path: Path, name: str) -> None:
    tags = {"title": "A Film", "artist": "Somebody"}
    clip = make_clip(tmp_path / "in.mp4", frames=2, metadata=tags, titles=["Take 3"])
    request = RenderRequest(source=str(clip), destination=str(tmp_path / name), strict=True)
    with pytest.raises(
        LossError, match=r"the title of video stream 0 .*Take 3.*; .* the tags artist, title$"
    ):
        plan_render(request)
    untagged = make_clip(tmp_path / "untagged.mp4", frames=2)
    plan_render(replace(request, source=str(untagged)))


def test_plan_names_what_is_left_behind(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "in.mkv", frames=2, audio="aac", chapters=2))
    plan = plan_output(info, "-", 2)
    assert plan.destination is None and any("audio stream 1" in w for w in plan.losses)
    assert any("chapters" in w for w in plan.losses)
    assert any("stores no colour tags" in w for w in plan.warnings)
    with pytest.raises(LossError):
        plan_output(info, "-", 2, OutputOptions(strict=True))
    nv12 = replace(info.video, format=replace(info.video.format, pixel_format=pixel_format("p010le")))
    assert plan_output(replace(info, video=nv12), "-", 2).target.pixel_format.name == "yuv420p10le"


def written(stamps: list[int], rate: Fraction) -> tuple[list[int], list[str]]:
    """The frame at each position after writing frames at `stamps` (ms), and the warnings."""
    format = FrameFormat(width=2, height=2, pixel_format=pixel_format("gray"))
    pipe = io.BytesIO()
    writer = Y4mWriter(format, rate, pipe=pipe)
    for number, pts in enumerate(stamps):
        plane = np.full((2, 2), number, np.uint8)
        writer.write([plane], Timing(pts=pts, duration=0, time_base=MS))
        plane[:] = 255  # the caller's buffer is free again
    writer.finish()
    _, frames = read_y4m(pipe.getvalue())
    assert writer.bytes_written == len(pipe.getvalue())
    return [int(planes[0][0, 0]) for planes in frames], writer.warnings


def test_constant_rate_rule() -> None:
    steady, silent = written([80, 122, 163, 205, 247, 289], Fraction(24000, 1001))
    assert steady == [0, 1, 2, 3, 4, 5] and silent == []  # milliseconds are no variable rate
    gaps, said = written([0, 40, 200, 240], Fraction(25))
    assert gaps == [0, 1, 1, 1, 1, 2, 3] and "3 frames repeated" in said[0]
    burst, said = written([0, 10, 20, 30, 200, 240], Fraction(25))
    assert burst == [0, 1, 2, 3, 3, 4, 5] and "varies" in said[0]  # nothing dropped, back in step at 200 ms


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_standard_output_and_a_reader_that_leaves(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=20, width=320, height=240)
    script = f"""
        import os, sys
        sys.path[:0] = {IMPORTS!r}
        from pathlib import Path
        from rendering import render
        from paragon_stream.errors import OutputError
        try:
            render(Path({str(source)!r}), "-")
        except OutputError as error:
            print(error, file=sys.stderr)
            os._exit(7)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    whole = subprocess.run(command, capture_output=True, timeout=60)
    assert whole.returncode == 0 and len(read_y4m(whole.stdout)[1]) == 20
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as left:
        assert left.stdout is not None and left.stderr is not None
        left.stdout.read(1000)
        left.stdout.close()
        said = left.stderr.read().decode()
        assert left.wait(60) == 7
    assert said.strip() == "the program that reads the y4m stream has closed it"


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
@pytest.mark.parametrize("blocking", [True, False])
def test_a_slow_reader_gets_everything_whatever_mode_the_pipe_has(blocking: bool) -> None:
    """The program that made the pipe may have set O_NONBLOCK, as event loops do."""
    reading, writing = os.pipe()
    os.set_blocking(writing, blocking)
    data = bytes(range(256)) * 4096
    got: list[bytes] = []

    def read() -> None:
        time.sleep(0.3)
        while piece := os.read(reading, 1 << 16):
            got.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(writing, "wb") as file:
        pipe = OutPipe(file)
        assert pipe.write(data) == len(data)
        pipe.close()
        assert os.get_blocking(writing) is blocking
    reader.join()
    os.close(reading)
    assert b"".join(got) == data


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_device() -> None:
    format = FrameFormat(width=640, height=480, pixel_format=pixel_format("gray"))
    with (
        Path("/dev/full").open("wb", buffering=0) as device,
        pytest.raises(OutputError, match="disk is full"),
    ):
        Y4mWriter(format, Fraction(25), pipe=device)  # type: ignore[arg-type]
