"""Interlaced sources become progressive frames: the right field first, in place, at the right time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.filter import Graph
from clips import frame_planes, make_frame
from numpy.typing import NDArray

import paragon_stream
from paragon_stream.errors import FormatError, UsageError
from paragon_stream.frame import Timing
from paragon_stream.media.facts.fields import Deinterlace, Parity, parse_method
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.frames import field_choice
from paragon_stream.media.frames.interlace_detection import FieldStatistics, measure_fields
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.prepare import SourceOptions, prepare

WIDTH, HEIGHT = 96, 64
NTSC = Fraction(30000, 1001)
LOSSLESS = {
    "mpeg2video": {"q:v": "1", "qmin": "1"},
    "mpeg4": {"q:v": "1", "qmin": "1"},
    "libx264": {"preset": "ultrafast", "crf": "4"},
}

type Picture = tuple[NDArray[Any], ...]


def picture(time: float, dtype: type = np.uint8) -> Picture:
    """A scene at `time` (in fields): a soft blob that moves fast to the right over a standing gradient."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    luma = 60 + 60 * y / HEIGHT + 100 * np.exp(-(((x - 12 - 3 * time) / 9) ** 2))
    deep = 1 if dtype is np.uint8 else 4
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 90 * deep, dtype)
    chroma[: HEIGHT // 4] = 150 * deep
    return (np.round(luma * deep).astype(dtype), chroma, chroma.copy())


def woven(first: Picture, second: Picture, top_first: bool) -> Picture:
    """A frame of two fields: the even rows are those of the top field."""
    top, bottom = (first, second) if top_first else (second, first)
    planes = [plane.copy() for plane in top]
    for plane, other in zip(planes, bottom, strict=True):
        plane[1::2] = other[1::2]
    return tuple(planes)


def interlaced(count: int, top_first: bool, dtype: type = np.uint8) -> list[Picture]:
    return [woven(picture(2 * i, dtype), picture(2 * i + 1, dtype), top_first) for i in range(count)]


def write(
    path: Path,
    pictures: Iterable[Picture],
    *,
    codec: str = "libx264",
    order: Parity | None = None,
    header: int = 0,
    rate: Fraction = Fraction(25),
    pts: Sequence[int] | None = None,
    pix_fmt: str = "yuv420p",
) -> Path:
    """A clip of `pictures`, its frames flagged with `order`; `header` is FFmpeg's field order, for ffv1."""
    options = dict(LOSSLESS.get(codec, {}))
    if order is not None:
        options["flags"] = "+ildct+ilme"
        if codec == "libx264":
            options["x264-params"] = "tff=1" if order is Parity.TOP else "bff=1"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        stream.codec_context.time_base = 1 / rate
        stream.codec_context.field_order = header
        graph = Graph()
        buffer = graph.add_buffer(width=WIDTH, height=HEIGHT, format=pix_fmt, time_base=1 / rate)
        flag = graph.add("setfield", mode=order.value if order else "auto")
        graph.link_nodes(buffer, flag, graph.add("buffersink")).configure()
        for index, planes in enumerate(pictures):
            frame = make_frame(planes, pix_fmt)
            frame.pts, frame.time_base = pts[index] if pts else index, 1 / rate
            graph.vpush(frame)
            out.mux(stream.encode(graph.vpull()))
        out.mux(stream.encode(None))
    return path


def read(path: Path, **options: Any) -> tuple[list[tuple[Timing, Picture]], list[str]]:
    info = prepare(path, SourceOptions(**options))
    dtype = np.uint8 if info.video.format.pixel_format.depth <= 8 else np.uint16
    planes = [np.empty(shape, dtype) for shape in info.video.format.plane_shapes]
    frames = []
    with VideoReader(info) as reader:
        while (timing := reader.read_into(planes)) is not None:
            frames.append((timing, tuple(plane.copy() for plane in planes)))
        return frames, [*info.hints, *reader.warnings]


def times(frames: list[tuple[Timing, Picture]]) -> list[Fraction]:
    return [timing.pts * timing.time_base for timing, _ in frames]


def error(a: Picture, b: Picture) -> float:
    return max(float(np.sqrt(((x.astype(float) - y) ** 2).mean())) for x, y in zip(a, b, strict=True))


def combing(planes: Picture) -> float:
    """The difference of rows from the mean of their neighbours."""
    luma = planes[0].astype(float)
    return float(np.abs(luma[1:-1] - (luma[:-2] + luma[2:]) / 2).mean())


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize("order", [Parity.TOP, Parity.BOTTOM])
def test_flagged_frames_become_the_first_field(tmp_path: Path, order: Parity, codec: str) -> None:
    sources = interlaced(10, order is Parity.TOP)
    clip = write(tmp_path / "in.ts", sources, codec=codec, order=order)
    frames, warnings = read(clip)
    assert (len(frames), warnings) == (10, [])
    for index, (_, planes) in list(enumerate(frames))[1:-1]:
        right, wrong = error(planes, picture(2 * index)), error(planes, picture(2 * index + 1))
        assert right < 3 and right < wrong / 3
        assert combing(planes) < combing(sources[index]) / 4
    steps = [b - a for a, b in pairwise(times(frames))]
    assert steps == [Fraction(1, 25)] * 9


@pytest.mark.parametrize("order", [Parity.TOP, Parity.BOTTOM])
def test_every_field_a_frame(tmp_path: Path, order: Parity) -> None:
    pts = [0, 1, 2, 3, 4, 9, 10, 11, 12, 13]  # with a gap
    clip = write(tmp_path / "in.mkv", interlaced(10, order is Parity.TOP), order=order, pts=pts)
    options = SourceOptions(deinterlace=Deinterlace.BWDIF_2X)
    video = prepare(clip, options).video
    assert (video.shown_rate, video.shown_time_base) == (50, Fraction(1, 2000))
    frames, _ = read(clip, deinterlace=Deinterlace.BWDIF_2X)
    assert len(frames) == 20
    for index, (_, planes) in list(enumerate(frames))[2:-2]:
        assert error(planes, picture(index)) < 4
    assert times(frames)[::2] == [Fraction(p, 25) for p in pts]
    assert times(frames)[1:-1:2] == [Fraction(2 * p + 1, 50) for p in pts[:-1]]
    assert times(frames)[-1] == Fraction(27, 50)


def test_off_and_yadif_and_progressive(tmp_path: Path) -> None:
    sources = interlaced(8, True)
    clip = write(tmp_path / "in.mkv", sources, order=Parity.TOP)
    woven_frames, warnings = read(clip, deinterlace=Deinterlace.OFF)
    assert "processed as if they were progressive" in warnings[0]
    assert combing(woven_frames[4][1]) > combing(sources[4]) * 0.9
    smooth, warnings = read(clip, deinterlace=Deinterlace.YADIF)
    assert warnings == [] and error(smooth[4][1], picture(8)) < 5
    progressive = write(tmp_path / "p.mkv", [picture(2 * i) for i in range(8)])
    with av.open(str(progressive)) as source:
        plain = [frame_planes(frame) for frame in source.decode(video=0)]
    found, warnings = read(progressive)
    assert warnings == []
    for (_, planes), expected in zip(found, plain, strict=True):
        assert error(planes, expected) == 0


def test_progressive_frames_among_interlaced_ones_stay(tmp_path: Path) -> None:
    """A broadcast that switches: two recordings in one transport stream."""
    a = write(tmp_path / "a.ts", [picture(2 * i) for i in range(6)], pts=range(6))
    b = write(tmp_path / "b.ts", interlaced(6, True), order=Parity.TOP, pts=range(50, 56))
    both = tmp_path / "both.ts"
    both.write_bytes(a.read_bytes() + b.read_bytes())
    with av.open(str(both)) as source:
        plain = [frame_planes(frame) for frame in source.decode(video=0)]
    frames, _ = read(both)
    assert len(frames) == 12
    for (_, planes), expected in list(zip(frames, plain, strict=True))[:6]:
        assert error(planes, expected) == 0
    for _, planes in frames[7:-1]:
        assert combing(planes) < 1.5


@pytest.mark.parametrize(("header", "order"), [(2, Parity.TOP), (3, Parity.BOTTOM)])
def test_frames_without_flags_follow_the_header(tmp_path: Path, header: int, order: Parity) -> None:
    pictures = interlaced(8, order is Parity.TOP)
    clip = write(tmp_path / "in.mkv", pictures, codec="mpeg4", header=header)
    frames, warnings = read(clip)
    assert warnings == []
    for index, (_, planes) in list(enumerate(frames))[1:-1]:
        assert error(planes, picture(2 * index)) < 4  # MPEG-4 itself costs 3


@pytest.mark.parametrize("order", [Parity.TOP, Parity.BOTTOM])
def test_looking_at_fields_where_flags_are_missing(tmp_path: Path, order: Parity) -> None:
    pictures = interlaced(12, order is Parity.TOP)
    clip = write(tmp_path / "in.mkv", pictures)
    untouched, _ = read(clip)
    assert combing(untouched[5][1]) > combing(pictures[5]) * 0.9
    frames, _ = read(clip, idet=True)
    for index, (_, planes) in list(enumerate(frames))[1:-1]:
        assert error(planes, picture(2 * index)) < 3
    flagged = write(tmp_path / "wrong.mkv", [picture(2 * i) for i in range(12)], order=Parity.TOP)
    with av.open(str(flagged)) as source:
        plain = [frame_planes(frame) for frame in source.decode(video=0)]
    found, warnings = read(flagged, idet=True)
    assert warnings == [] and all(error(a[1], b) == 0 for a, b in zip(found, plain, strict=True))


def test_ten_bits_stay_ten_bits(tmp_path: Path) -> None:
    pictures = interlaced(8, True, np.uint16)
    clip = write(
        tmp_path / "in.mkv", pictures, codec="ffv1", order=Parity.TOP, header=2, pix_fmt="yuv420p10le"
    )
    frames, _ = read(clip)
    values = frames[4][1][0]
    assert error(frames[4][1], picture(8, np.uint16)) < 12
    assert np.count_nonzero(values % 4) > values.size / 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_clips(tmp_path: Path, count: int) -> None:
    clip = write(tmp_path / "in.mkv", interlaced(count, True), order=Parity.TOP)
    assert len(read(clip)[0]) == count
    assert len(read(clip, deinterlace=Deinterlace.BWDIF_2X)[0]) == 2 * count


@pytest.mark.parametrize(
    ("name", "codec", "flags"),
    [("in.ts", "libx264", {"order": Parity.TOP}), ("in.mkv", "ffv1", {"header": 2})],
)
def test_a_range_of_fields(tmp_path: Path, name: str, codec: str, flags: dict[str, Any]) -> None:
    """The frames of a range are those of the whole: the filter has seen what came before.

    Also where every frame is a key frame, so that decoding could begin with the range itself.
    """
    clip = write(tmp_path / name, interlaced(30, True), codec=codec, **flags)
    for method in (Deinterlace.AUTO, Deinterlace.BWDIF_2X):
        whole, _ = read(clip, deinterlace=method)
        start = times(whole)[0]
        part, _ = read(clip, deinterlace=method, start="0.5", duration="0.4")
        wanted = [
            f for f in whole if Fraction(499, 1000) <= f[0].pts * f[0].time_base - start < Fraction(899, 1000)
        ]
        assert times(part) == times(wanted)
        for (_, planes), (_, expected) in zip(part[:-1], wanted, strict=False):
            assert error(planes, expected) == 0


def telecined(count: int, pix_fmt: str = "yuv420p") -> list[Picture]:
    """`count` film pictures as interlaced frames, by FFmpeg's own 3:2 pulldown, top field first."""
    dtype = np.uint8 if pix_fmt == "yuv420p" else np.uint16
    graph = Graph()
    rate = Fraction(24000, 1001)
    buffer = graph.add(
        "buffer", f"video_size={WIDTH}x{HEIGHT}:pix_fmt={pix_fmt}:time_base={1 / rate}:frame_rate={rate}"
    )
    graph.link_nodes(buffer, graph.add("telecine", first_field="top", pattern="32"), graph.add("buffersink"))
    graph.configure()
    made = []
    for index in range(count + 1):
        frame = make_frame(picture(2 * index % 24, dtype), pix_fmt) if index < count else None
        if frame is not None:
            frame.pts, frame.time_base = index, 1 / rate
        graph.vpush(frame)
        while True:
            try:
                made.append(frame_planes(graph.vpull()))
            except (BlockingIOError, EOFError):
                break
    return made


def test_telecine_is_noticed_and_undone(tmp_path: Path) -> None:
    frames = telecined(48)
    assert len(frames) == 60
    clip = write(tmp_path / "in.mp4", frames, order=Parity.TOP, rate=NTSC)
    _, warnings = read(clip)
    assert any("3:2 cadence" in warning for warning in warnings)
    film, warnings = read(clip, ivtc=True)
    assert not warnings
    for index, (_, planes) in enumerate(film):
        assert error(planes, picture(2 * index % 24)) < 1
    assert times(film) == [index * Fraction(1001, 24000) for index in range(48)]
    assert prepare(clip, SourceOptions(ivtc=True)).video.shown_rate == Fraction(24000, 1001)


def test_deep_film(tmp_path: Path) -> None:
    """Ten bits: every film picture comes back as it was, to the last bit."""
    frames = telecined(24, "yuv420p10le")
    options: dict[str, Any] = {"codec": "ffv1", "header": 2, "pix_fmt": "yuv420p10le"}
    clip = write(tmp_path / "in.mkv", frames, order=Parity.TOP, rate=NTSC, **options)
    film, warnings = read(clip, ivtc=True)
    assert warnings == [] and len(film) == 24
    for index, (_, planes) in enumerate(film):
        assert error(planes, picture(2 * index % 24, np.uint16)) == 0
    assert np.count_nonzero(film[5][1][0] % 4) > film[5][1][0].size / 4
    green = tuple(np.full((HEIGHT, WIDTH), code, np.uint16) for code in (800, 240, 240))
    rgb = write(tmp_path / "rgb.mkv", [green] * 3, codec="ffv1", rate=NTSC, pix_fmt="gbrp10le")
    with pytest.raises(FormatError, match="--ivtc does not work on gbrp10le video: it takes YUV"):
        prepare(rgb, SourceOptions(ivtc=True))


def test_packed_film_is_refused_by_the_plan(tmp_path: Path) -> None:
    packed = [make_frame(picture(i), "yuv420p").reformat(format="uyvy422") for i in range(3)]
    clip = tmp_path / "in.mov"
    with av.open(str(clip), "w") as out:
        stream = out.add_stream("rawvideo", rate=NTSC)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "uyvy422"
        for index, frame in enumerate(packed):
            frame.pts = index
            out.mux(stream.encode(frame))
    with pytest.raises(FormatError, match="--ivtc does not work on uyvy422 video: it takes YUV"):
        prepare(clip, SourceOptions(ivtc=True))


def test_fields_are_examined_once_and_only_where_film_is_likely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examined = []

    def count(info: MediaInfo, frames: int = 250) -> FieldStatistics:
        examined.append(frames)
        return measure_fields(info, frames)

    monkeypatch.setattr(field_choice, "measure_fields", count)
    clip = write(tmp_path / "in.mp4", telecined(8), order=Parity.TOP, rate=NTSC)
    prepare(clip, SourceOptions(idet=True))
    prepare(clip, SourceOptions())
    assert examined == [250, 60]
    unseekable = replace(prepare(clip, SourceOptions()), seekable=False)
    examined.clear()
    assert field_choice.treat_fields(unseekable, Deinterlace.AUTO, False, False)[1] == ()
    assert examined == []


def test_deep_film_with_video_in_it(tmp_path: Path) -> None:
    """Combed frames between two films are deinterlaced, as in eight bits."""
    film = telecined(48)
    frames = [*film[:18], *interlaced(9, True), *film[33:]]
    deep = [tuple(plane.astype(np.uint16) * 4 for plane in frame) for frame in frames]
    results = []
    for name, pictures, pix_fmt in (("a", frames, "yuv420p"), ("b", deep, "yuv420p10le")):
        options: dict[str, Any] = {"codec": "ffv1", "header": 2, "pix_fmt": pix_fmt}
        clip = write(tmp_path / f"{name}.mkv", pictures, order=Parity.TOP, rate=NTSC, **options)
        results.append(read(clip, ivtc=True)[0])
    assert times(results[0]) == times(results[1]) and len(results[0]) > 40
    for (_, eight), (_, ten) in zip(*results, strict=True):
        assert error(tuple(plane / 4 for plane in ten), eight) < 0.5
        assert combing(eight) < 1.5


def test_parts_of_film_have_the_pictures_of_the_whole(tmp_path: Path) -> None:
    """Every frame can be decoded alone; groups of five count from the first one nevertheless."""
    clip = write(tmp_path / "in.mkv", telecined(64), codec="ffv1", header=2, order=Parity.TOP, rate=NTSC)
    whole = read(clip, ivtc=True)[0]
    for begin in range(40, 46):
        part, _ = read(clip, ivtc=True, start=begin * 1001 / 30000)
        wanted = whole[len(whole) - len(part) :]
        assert len(part) > 20 and times(part) == times(wanted)
        assert all(error(a, b) == 0 for (_, a), (_, b) in zip(part, wanted, strict=True))


def test_a_gap_in_film_stays_a_gap(tmp_path: Path) -> None:
    pts = [i if i < 30 else i + 60 for i in range(60)]
    clip = write(tmp_path / "in.mkv", telecined(48), order=Parity.TOP, rate=NTSC, pts=pts)
    film, _ = read(clip, ivtc=True)
    assert abs(times(film)[28] - Fraction(1001 * 95, 30000)) < Fraction(1, 10)
    assert all(b > a for a, b in pairwise(times(film)))


def test_film_with_pulldown_flags_is_left_whole(tmp_path: Path) -> None:
    fields = [0]
    for index in range(39):
        fields.append(fields[-1] + (3 if index % 2 == 0 else 2))
    clip = tmp_path / "in.mkv"
    write(clip, [picture(2 * i % 24) for i in range(40)], rate=Fraction(60000, 1001), pts=fields)
    film, warnings = read(clip, ivtc=True)
    assert "not needed" in warnings[0]
    assert len(film) == 40
    assert [round(t * 60000 / 1001) for t in times(film)] == fields
    _, warnings = read(clip)
    assert warnings == [
        "this is film whose 23.976 pictures a second are whole and only shown unevenly (soft telecine):"
        " nothing needs to be undone"
    ]


def test_video_behind_film_with_pulldown_flags_is_deinterlaced(tmp_path: Path) -> None:
    fields = [0]
    for index in range(79):
        fields.append(fields[-1] + (3 if index % 2 == 0 else 2))
    fields += [fields[-1] + 3 + 2 * index for index in range(20)]
    film = [picture(2 * i % 24) for i in range(80)]
    clip = tmp_path / "in.mkv"
    write(clip, [*film, *interlaced(20, True)], order=Parity.TOP, rate=Fraction(60000, 1001), pts=fields)
    frames, warnings = read(clip, ivtc=True)
    assert len(frames) == 100 and "not needed" in warnings[0]
    assert all(combing(planes) < 1.5 for _, planes in frames[82:98])


def test_telecine_in_frames_flagged_as_progressive_is_noticed(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mp4", telecined(48), rate=NTSC)
    frames, warnings = read(clip)
    assert len(frames) == 60 and any("3:2 cadence" in warning for warning in warnings)
    film, warnings = read(clip, ivtc=True)
    assert not warnings and len(film) == 48
    assert all(error(planes, picture(2 * n % 24)) < 1 for n, (_, planes) in enumerate(film))
    plain = write(tmp_path / "plain.mp4", [picture(2 * i % 24) for i in range(60)], rate=NTSC)
    assert read(plain)[1] == []


def test_wishes_that_contradict_each_other(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mkv", interlaced(2, True), order=Parity.TOP)
    with pytest.raises(UsageError, match="leave --deinterlace out"):
        prepare(clip, SourceOptions(ivtc=True, deinterlace=Deinterlace.BWDIF))
    with pytest.raises(UsageError, match="leave out --deinterlace off"):
        prepare(clip, SourceOptions(idet=True, deinterlace=Deinterlace.OFF))
    with pytest.raises(UsageError, match="choose one of auto, off, bwdif, bwdif-2x, yadif"):
        parse_method("weave")
    assert math.isclose(float(prepare(clip, SourceOptions()).video.shown_rate or 0), 25)


def test_the_output_says_that_it_is_progressive(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.ts", interlaced(6, True), order=Parity.TOP)
    for name, options, order in (("a.mkv", {}, 1), ("b.mov", {"deinterlace": "bwdif-2x"}, 1)):
        out = tmp_path / name
        report = paragon_stream.upscale(clip, out, engine="null", preset="ultrafast", **options)
        assert report.warnings == ()
        with av.open(str(out)) as result:
            assert result.streams.video[0].codec_context.field_order == order
            frames = list(result.decode(video=0))
        assert not any(frame.interlaced_frame for frame in frames)
        assert len(frames) == (12 if options else 6)
