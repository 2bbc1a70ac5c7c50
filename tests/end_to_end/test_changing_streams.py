"""Recordings whose picture changes on the way: one output, each part as if it had been rendered alone."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import BT709, Planes, Tags, in_one_stream, make_clip, read_frames

import paragon_stream
from paragon_stream.cli.main import run
from paragon_stream.errors import EngineError
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.prepare import SourceOptions, prepare
from paragon_stream.upscaler import Upscaler

LOSSLESS = {"codec": "ffv1", "weights": "fidelity", "precision": "fp32"}
BT601_FULL = Tags(matrix=6, range=2, transfer=1, primaries=1, chroma_location=1)


def part(path: Path, begin: int, **options: Any) -> Path:
    """Six frames from number `begin` on, 64x48."""
    chosen = {"width": 64, "height": 48, "tags": BT709, "options": {"preset": "ultrafast", "bf": "2"}}
    return make_clip(path, frames=6, pts=list(range(begin, begin + 6)), **(chosen | options))


def recording(folder: Path, middle: dict[str, Any], **others: Any) -> tuple[Path, list[Path]]:
    """A transport stream whose second third is made otherwise, and the thirds."""
    wishes = (others, others | middle, others)
    parts = [part(folder / f"{n}.ts", 10 * n, **wish) for n, wish in enumerate(wishes)]
    return in_one_stream(folder / "in.ts", parts), parts


def same(a: list[tuple[Any, Planes]], b: list[tuple[Any, Planes]]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x, y) for (_, p), (_, q) in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)
    )


def seconds(path: Path) -> list[float]:
    with av.open(str(path)) as source:
        return [frame.time for frame in source.decode(video=0)]


@pytest.mark.parametrize(
    ("middle", "said"),
    [
        ({"width": 96, "height": 64}, "from 64x48 yuv420p to 96x64 yuv420p, from 1.33:1 to 1.50:1"),
        ({"sar": Fraction(4, 3)}, "from 1.33:1 to 1.78:1"),
        ({"pix_fmt": "yuv420p10le"}, "from 64x48 yuv420p to 64x48 yuv420p10le"),
        ({"pix_fmt": "yuv422p"}, "from 64x48 yuv420p to 64x48 yuv422p"),
    ],
)
def test_every_part_is_what_it_is_alone(tmp_path: Path, middle: dict[str, Any], said: str) -> None:
    source, parts = recording(tmp_path, middle, sar=Fraction(1))
    out, alone = tmp_path / "out.mkv", tmp_path / "alone.mkv"
    report = paragon_stream.upscale(source, out, **LOSSLESS)
    frames = read_frames(out)
    begin = seconds(source)[0]
    assert seconds(out) == pytest.approx([time - begin for time in seconds(source)], abs=1e-3)
    assert report.warnings == (
        f"the picture changes {said} at 0.40 s: 6 frames fitted into the size of the beginning",
    )
    assert [(each.frames, each.converted) for each in report.formats] == [(12, 0), (6, 0)]
    assert (report.frames_in, report.frames_out) == (18, 18)
    for index, path in enumerate(parts):
        wish = {"to": "128x96", "fit": "pad", "pix_fmt": "yuv420p"} if index == 1 else {}
        paragon_stream.upscale(path, alone, scale=2, overwrite=True, **wish, **LOSSLESS)
        assert same(frames[6 * index : 6 * index + 6], read_frames(alone))


def test_colours_are_kept_where_matrix_and_range_change(tmp_path: Path) -> None:
    """Gray, red and blue areas; the middle part has other codes for them."""

    def flat(path: Path, begin: int, codes: tuple[int, int, int], tags: Tags) -> Path:
        from clips import make_frame

        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "1"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            context = stream.codec_context
            context.colorspace, context.color_range = tags.matrix, tags.range
            for number in range(begin, begin + 4):
                shapes = ((48, 64), (24, 32), (24, 32))
                planes = tuple(np.full(s, code, np.uint8) for s, code in zip(shapes, codes, strict=True))
                frame = make_frame(planes, "yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return path

    # R'G'B' of (0.8, 0.3, 0.2) by either matrix
    first = flat(tmp_path / "a.ts", 0, (103, 104, 185), BT709)
    second = flat(tmp_path / "b.ts", 10, (112, 94, 194), BT601_FULL)
    source = in_one_stream(tmp_path / "in.ts", [first, second])
    report = paragon_stream.upscale(source, tmp_path / "out.mkv", **LOSSLESS)
    assert "from BT709 to SMPTE170M colours, from limited to full range" in report.warnings[0]
    frames = read_frames(tmp_path / "out.mkv")
    for planes in zip(frames[1][1], frames[-1][1], strict=True):
        before, after = (int(plane[plane.shape[0] // 2, plane.shape[1] // 2]) for plane in planes)
        assert abs(before - after) <= 2


def test_a_range_begins_with_its_own_format(tmp_path: Path) -> None:
    source, parts = recording(tmp_path, {"width": 96, "height": 64})
    info = prepare(source, SourceOptions())
    out, alone = tmp_path / "out.mkv", tmp_path / "alone.mkv"
    report = paragon_stream.upscale(source, out, start=0.3, **LOSSLESS)
    assert (report.target_format, report.frames_out) == ("192x128 yuv420p", 12)
    assert "from 96x64 yuv420p to 64x48 yuv420p" in report.warnings[0]
    paragon_stream.upscale(parts[1], alone, **LOSSLESS)
    assert same(read_frames(out)[:6], read_frames(alone))
    report = paragon_stream.upscale(source, out, start=0.16, duration=0.4, overwrite=True, **LOSSLESS)
    assert [(each.format, each.frames) for each in report.formats] == [
        ("64x48 yuv420p", 2),
        ("96x64 yuv420p", 6),
    ]
    assert info.video.format.width == 64


def test_fit_and_numbers_of_frames_and_progress(tmp_path: Path) -> None:
    source, _ = recording(tmp_path, {"width": 48, "height": 64})
    out, trace = tmp_path / "out.mkv", tmp_path / "trace.json"
    seen: list[paragon_stream.RenderProgress] = []
    paragon_stream.upscale(
        source, out, to="128x96", fit="crop", trace=trace, on_progress=seen.append, **LOSSLESS
    )
    middle = read_frames(out)[8][1][0]
    assert middle.shape == (96, 128) and middle[:, 0].std() > 5 and middle[0].std() > 5
    spans = json.loads(trace.read_text())["traceEvents"]
    names = [each["name"] for each in spans if each.get("cat") == "encode"]
    assert [name for name in names if name.startswith("frame")] == [f"frame {n}" for n in range(18)]
    assert names.count("finish") == 3
    assert seen[-1].frames == 18 and [each.frames for each in seen] == sorted(each.frames for each in seen)


def test_an_engine_that_refuses_the_second_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = recording(tmp_path, {"width": 96, "height": 64})
    real = Upscaler.for_format.__func__  # type: ignore[attr-defined]

    def only_small(cls: type[Upscaler], format: Any, *rest: Any, **options: Any) -> Upscaler:
        if format.width > 64:
            raise EngineError("no memory")
        return real(cls, format, *rest, **options)  # type: ignore[no-any-return]

    monkeypatch.setattr(Upscaler, "for_format", classmethod(only_small))
    report = paragon_stream.upscale(source, tmp_path / "out.mkv", **LOSSLESS)
    assert report.frames_out == 18
    assert report.formats[1].converted == 6
    assert report.warnings[0].endswith("6 frames converted to the first frame's format (no memory)")


def test_a_failure_behind_a_change_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _ = recording(tmp_path, {"width": 96, "height": 64})
    real = VideoReader.read_into

    def broken(self: VideoReader, planes: Any) -> Any:
        if self.frames == 14:
            raise EngineError("the machine is on fire")
        return real(self, planes)

    monkeypatch.setattr(VideoReader, "read_into", broken)
    assert run([str(source), str(tmp_path / "out.mkv"), "--quiet"]) == 1
    assert "the machine is on fire" in capsys.readouterr().err
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize("method", ["auto", "bwdif-2x"])
def test_interlaced_recordings_change_their_shape(tmp_path: Path, method: str) -> None:
    """A stream like a broadcast's: 4:3 and 16:9 in pictures of one size."""
    interlaced = {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme", "g": "6"}, "tags": None}
    source, _ = recording(tmp_path, {"sar": Fraction(4, 3)}, sar=Fraction(1), **interlaced)
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(source, out, deinterlace=method, **LOSSLESS)
    times = 2 if method == "bwdif-2x" else 1
    assert [each.frames for each in report.formats] == [12 * times, 6 * times]
    assert "from 1.33:1 to 1.78:1" in report.warnings[0]
    for index, (_, (luma, *_)) in enumerate(read_frames(out)):
        has_bars = 6 * times <= index < 12 * times
        assert ((luma[:10] == 16).all() and (luma[-10:] == 16).all()) == has_bars
        assert luma[24:-24].std() > 10
