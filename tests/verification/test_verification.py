"""Planted faults are found and named; renders without faults pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import BT709, make_clip, make_frame
from numpy.typing import NDArray

import paragon_stream
from paragon_stream.cli.main import run
from paragon_stream.errors import UsageError
from paragon_stream.frame import (
    ChromaLocation,
    ColorRange,
    ColorSpec,
    FrameFormat,
    Matrix,
    pixel_format,
)
from paragon_stream.geometry import enlarged
from paragon_stream.media.facts.probe import probe
from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest
from paragon_stream.verification.findings import Check, Finding
from paragon_stream.verification.matching import Frame, Match
from paragon_stream.verification.pictures import PictureCheck
from paragon_stream.verification.streams import compare_tags
from paragon_stream.verification.timing import TimeCheck
from paragon_stream.verification.verifier import time_offset

WIDTH, HEIGHT, FRAMES = 160, 96, 30

type Planes = list[NDArray[Any]]


@dataclass(frozen=True)
class Render:
    """A source, and a render of it without faults."""

    source: Path
    output: Path
    report: Path


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    folder = tmp_path_factory.mktemp("verify")
    source = make_clip(
        folder / "film.mkv",
        width=WIDTH,
        height=HEIGHT,
        frames=FRAMES,
        tags=BT709,
        audio="flac",
        subtitles="ass",
        attachments=[("font.ttf", "font/ttf", bytes(range(50)))],
        chapters=2,
        metadata={"title": "A film"},
        languages=["und", "eng", "ger"],
        options={"crf": "8", "bf": "2"},
    )
    report = paragon_stream.upscale(source, folder / "large.mkv", preset="veryfast", crf=10)
    (folder / "large.json").write_text(report.to_json())
    return Render(source, folder / "large.mkv", folder / "large.json")


def verify(render: Render, output: Path) -> paragon_stream.Verification:
    return paragon_stream.verify(render.source, output, plan=render.report)


def assert_only(result: paragon_stream.Verification, *expected: tuple[Check, str]) -> None:
    """Each of `expected` is found, and nothing of another kind."""
    said = [str(finding) for finding in result.findings]
    for check, words in expected:
        assert any(f.check is check and words in f.message for f in result.findings), said
    assert {finding.check for finding in result.findings} <= {check for check, _ in expected}, said


def test_a_faultless_render_passes(render: Render) -> None:
    result = verify(render, render.output)
    assert result.findings == ()
    assert (result.frames, result.skipped) == (FRAMES, {})
    assert all(plane.offset is None or max(map(abs, plane.offset)) < 0.06 for plane in result.planes)
    assert result.quality is not None and result.quality[0] > result.quality[1]


# --------------------------------------------------------------------------- faults beside the picture


def remuxed(
    render: Render,
    target: Path,
    *,
    without: int | None = None,
    packet: Callable[[Any, int], Any] = lambda packet, number: packet,
    attachments: bool = True,
    chapters: bool = True,
    tags: dict[int, dict[str, str]] | None = None,
) -> Path:
    """The output with its packets copied; `packet` may change or drop one, given its number in its stream."""
    with av.open(str(render.output)) as ours, av.open(str(target), "w") as out:
        streams: dict[int, Any] = {}
        counts: dict[int, int] = {}
        for stream in ours.streams:
            if stream.type == "attachment":
                if attachments:
                    out.add_attachment(stream.name, stream.mimetype, stream.data)  # type: ignore[attr-defined]
            elif stream.index != without:
                made = out.add_stream_from_template(stream, opaque=True)
                made.metadata.update({**stream.metadata, **(tags or {}).get(stream.index, {})})
                made.disposition = stream.disposition
                streams[stream.index] = made
        out.metadata.update(ours.metadata)
        if chapters:
            out.set_chapters(ours.chapters())
        for each in ours.demux():
            if each.size == 0 or each.stream.index not in streams:
                continue
            index = each.stream.index
            counts[index] = counts.get(index, -1) + 1
            changed = packet(each, counts[index])
            if changed is not None:
                changed.stream = streams[index]
                out.mux(changed)
    return target


def index_of(render: Render, kind: str) -> int:
    with av.open(str(render.output)) as file:
        return next(stream.index for stream in file.streams if stream.type == kind)


def test_copying_alone_changes_nothing(render: Render, tmp_path: Path) -> None:
    assert_only(verify(render, remuxed(render, tmp_path / "copy.mkv")))


def test_a_lost_subtitle(render: Render, tmp_path: Path) -> None:
    output = remuxed(render, tmp_path / "out.mkv", without=index_of(render, "subtitle"))
    assert_only(verify(render, output), (Check.STREAMS, "subtitle stream 2 (ger, ass) is missing"))


def test_lost_fonts_and_chapters(render: Render, tmp_path: Path) -> None:
    output = remuxed(render, tmp_path / "out.mkv", attachments=False, chapters=False)
    assert_only(
        verify(render, output), (Check.ATTACHMENTS, "font.ttf"), (Check.CHAPTERS, "0 chapters, not 2")
    )


def test_half_a_second_between_sound_and_picture(render: Render, tmp_path: Path) -> None:
    audio = index_of(render, "audio")

    def later(packet: Any, number: int) -> Any:
        if packet.stream.index == audio:
            packet.pts += 500
            packet.dts += 500
        return packet

    output = remuxed(render, tmp_path / "out.mkv", packet=later)
    assert_only(verify(render, output), (Check.SYNC, "is +500 ms off against the picture"))


def test_a_flipped_bit_in_copied_sound(render: Render, tmp_path: Path) -> None:
    audio = index_of(render, "audio")

    def flipped(packet: Any, number: int) -> Any:
        if (packet.stream.index, number) != (audio, 7):
            return packet
        data = bytearray(bytes(packet))
        data[len(data) // 2] ^= 4
        made = av.Packet(bytes(data))
        made.pts, made.dts, made.duration, made.time_base = (
            packet.pts,
            packet.dts,
            packet.duration,
            packet.time_base,
        )
        made.is_keyframe = True
        return made

    output = remuxed(render, tmp_path / "out.mkv", packet=flipped)
    assert_only(verify(render, output), (Check.PACKETS, "1 of "))


def test_a_truncated_tail(render: Render, tmp_path: Path) -> None:
    def cut(packet: Any, number: int) -> Any:
        return packet if packet.pts * packet.time_base < Fraction(4, 5) else None

    result = verify(render, remuxed(render, tmp_path / "out.mkv", packet=cut))
    assert any("of the source missing at the end" in str(finding) for finding in result.findings)
    assert any(finding.check is Check.PACKETS for finding in result.findings)


def test_stale_statistics(render: Render, tmp_path: Path) -> None:
    output = remuxed(render, tmp_path / "out.mkv", tags={0: {"NUMBER_OF_FRAMES": "100"}})
    assert_only(
        verify(render, output), (Check.TAGS, "NUMBER_OF_FRAMES of stream 0 says 100; the file has 30")
    )


def test_a_file_that_is_cut_off_in_its_middle(render: Render, tmp_path: Path) -> None:
    data = render.output.read_bytes()
    output = tmp_path / "out.mkv"
    output.write_bytes(data[: len(data) * 2 // 3])
    assert not verify(render, output).ok


# ------------------------------------------------------------------------------ faults of the picture


def reencoded(
    render: Render,
    target: Path,
    change: Callable[[list[Planes]], list[Planes]],
    *,
    matrix: int = 1,
) -> Path:
    """The output with its pictures changed, encoded again; other streams are copied."""
    with av.open(str(render.output)) as ours:
        frames = [
            [
                np.frombuffer(plane, np.uint8)
                .reshape(-1, plane.line_size)[: plane.height, : plane.width]
                .copy()
                for plane in frame.planes
            ]
            for frame in ours.decode(video=0)
        ]
    bare = remuxed(render, target.with_name("bare.mkv"), without=0)
    with av.open(str(bare)) as others, av.open(str(target), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "8", "preset": "veryfast", "bf": "0"})
        video.width, video.height, video.pix_fmt = 2 * WIDTH, 2 * HEIGHT, "yuv420p"
        context: Any = video.codec_context
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = matrix, 1, 1, 1
        streams: dict[int, Any] = {}
        for stream in others.streams:
            if stream.type == "attachment":
                out.add_attachment(stream.name, stream.mimetype, stream.data)  # type: ignore[attr-defined]
            else:
                streams[stream.index] = out.add_stream_from_template(stream, opaque=True)
                streams[stream.index].metadata.update(stream.metadata)
                streams[stream.index].disposition = stream.disposition
        out.metadata.update(others.metadata)
        out.set_chapters(others.chapters())
        for number, planes in enumerate(change(frames)):
            frame = make_frame(tuple(planes), "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for packet in others.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return target


def with_frame(number: int, change: Callable[[Planes], Planes]) -> Callable[[list[Planes]], list[Planes]]:
    return lambda frames: [change(each) if n == number else each for n, each in enumerate(frames)]


def with_all(change: Callable[[Planes], Planes]) -> Callable[[list[Planes]], list[Planes]]:
    return lambda frames: [change(each) for each in frames]


def codes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def wrong_matrix(planes: Planes) -> Planes:
    """BT.601 treated as BT.709: chroma is mixed."""
    y, u, v = (plane.astype(float) - offset for plane, offset in zip(planes, (16, 128, 128), strict=True))
    u2, v2 = 1.019 * u + 0.1146 * v + 128, 0.075 * u + 1.025 * v + 128
    large = [np.kron(plane, np.ones((2, 2))) for plane in (u, v)]
    return [codes(y - 0.1156 * large[0] - 0.2075 * large[1] + 16), codes(u2), codes(v2)]


def full_range(planes: Planes) -> Planes:
    y, u, v = (plane.astype(float) for plane in planes)
    return [
        codes((y - 16) * 255 / 219),
        codes((u - 128) * 255 / 224 + 128),
        codes((v - 128) * 255 / 224 + 128),
    ]


def half_a_sample_right(planes: Planes) -> Planes:
    def moved(plane: NDArray[Any]) -> NDArray[np.uint8]:
        wide = np.pad(plane.astype(float), ((0, 0), (1, 0)), mode="edge")
        return codes((wide[:, 1:] + wide[:, :-1]) / 2)

    return [planes[0], moved(planes[1]), moved(planes[2])]


PICTURE_FAULTS: dict[str, tuple[Callable[[list[Planes]], list[Planes]], str]] = {
    "wrong matrix": (with_all(wrong_matrix), "wrong"),
    "wrong range": (with_all(full_range), "contrast of Y is 1.1"),
    "shifted chroma": (with_all(half_a_sample_right), "is shifted by +0.2"),
    "exchanged planes": (with_all(lambda p: [p[0], p[2], p[1]]), "the planes U and V are exchanged"),
    "a frame early": (lambda frames: [*frames[1:], frames[-1]], "all pictures are those of one frame later"),
    "a frame late": (lambda frames: [frames[0], *frames[:-1]], "all pictures are those of one frame earlier"),
    "doubled and lost": (
        lambda frames: [*frames[:10], *frames[9:19], *frames[20:]],
        "1 frame: frozen pictures, while the source moves",
    ),
    "frozen": (
        lambda frames: [*frames[:11], *[frames[10]] * 9, *frames[20:]],
        "9 frames: frozen pictures, while the source moves",
    ),
    "exchanged frames": (
        lambda frames: [*frames[:10], frames[11], frames[10], *frames[12:]],
        "1 frame: pictures of the frame before",
    ),
    "green frame": (
        with_frame(12, lambda p: [np.zeros_like(each) for each in p]),
        "1 frame: green pictures that the source does not have",
    ),
    "black frame": (
        with_frame(12, lambda p: [np.full_like(e, 16 if n == 0 else 128) for n, e in enumerate(p)]),
        "1 frame: black pictures that the source does not have",
    ),
    "blurred": (
        with_all(lambda p: [codes(np.kron(each[2::8, 2::8], np.ones((8, 8)))) for each in p]),
        "a Lanczos enlargement has",
    ),
}


@pytest.mark.parametrize("name", PICTURE_FAULTS)
def test_faults_of_the_picture(render: Render, tmp_path: Path, name: str) -> None:
    change, words = PICTURE_FAULTS[name]
    result = verify(render, reencoded(render, tmp_path / "out.mkv", change))
    said = [str(finding) for finding in result.findings]
    assert any(words in each for each in said), said
    assert {finding.check for finding in result.findings} <= {Check.PICTURE, Check.QUALITY}, said


def test_encoding_again_alone_changes_nothing(render: Render, tmp_path: Path) -> None:
    assert_only(verify(render, reencoded(render, tmp_path / "out.mkv", lambda frames: frames)))


def test_a_wrong_tag(render: Render, tmp_path: Path) -> None:
    output = reencoded(render, tmp_path / "out.mkv", lambda frames: frames, matrix=5)
    assert_only(verify(render, output), (Check.COLOUR_TAGS, "the matrix is tagged bt470bg, not bt709"))


def test_a_missing_frame(render: Render, tmp_path: Path) -> None:
    output = reencoded(render, tmp_path / "out.mkv", lambda frames: frames[:-1])
    assert_only(verify(render, output), (Check.FRAMES, "1 frame of the source missing at the end"))


# ------------------------------------------------------------------------------------- what is planned


@pytest.mark.parametrize(
    "options",
    [
        {"to": "400x400", "fit": "pad"},
        {"to": "1.5", "pix_fmt": "yuv420p10le"},
        {"start": 0.2, "duration": 0.6},
        {"audio": [], "attachments": False},
        {"scale": 3},
    ],
    ids=str,
)
def test_what_the_plan_announces_is_no_fault(render: Render, tmp_path: Path, options: dict[str, Any]) -> None:
    output = tmp_path / "out.mkv"
    report = paragon_stream.upscale(render.source, output, preset="ultrafast", crf=10, **options)
    assert_only(paragon_stream.verify(render.source, output, plan=report))


def test_without_a_plan_the_size_and_the_depth_are_the_outputs(render: Render, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    paragon_stream.upscale(render.source, output, preset="ultrafast", crf=16, to=1.5, pix_fmt="yuv420p10le")
    result = paragon_stream.verify(render.source, output)
    assert_only(result)
    assert list(result.skipped) == ["quality"]


@pytest.mark.parametrize("options", [{"to": "600x200", "fit": "stretch"}, {"duration": 0.3}], ids=str)
def test_without_a_plan_another_shape_and_missing_frames_are_faults(
    render: Render, tmp_path: Path, options: dict[str, Any]
) -> None:
    output = tmp_path / "out.mkv"
    paragon_stream.upscale(render.source, output, preset="ultrafast", **options)
    assert not paragon_stream.verify(render.source, output).ok


@pytest.mark.parametrize("suffix", ["mp4", "mov", "ts", "webm"])
def test_conversions_are_no_fault(render: Render, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out.{suffix}"
    options = {"preset": "ultrafast" if suffix != "webm" else "10"}
    report = paragon_stream.upscale(render.source, output, **options)
    assert_only(paragon_stream.verify(render.source, output, plan=report))


@pytest.mark.parametrize(
    ("pixels", "stored"),
    [("gray", None), ("gbrp10le", None), ("gray", "yuv420p"), ("gray10le", "yuv444p10le")],
)
def test_gray_and_rgb_are_no_fault(tmp_path: Path, pixels: str, stored: str | None) -> None:
    """FFmpeg decodes gray H.264 as 4:2:0, without a matrix; RGB is clipped beside saturated edges. Gray as
    YUV has no colour."""
    source = make_clip(tmp_path / "in.mkv", width=160, height=96, frames=5, codec="ffv1", pix_fmt=pixels)
    output = tmp_path / "out.mkv"
    options = {"variant": "realtime", "preset": "ultrafast", "pix_fmt": stored, "strict": True}
    report = paragon_stream.upscale(source, output, **options)
    assert_only(paragon_stream.verify(source, output, plan=report))


@pytest.mark.parametrize(
    ("pixels", "size"), [("yuv410p", 96), ("yuv411p", 48), ("gbrp10le", 8), ("gbrp10le", 32), ("yuv420p", 10)]
)
def test_coarse_chroma_and_tiny_pictures_are_no_fault(tmp_path: Path, pixels: str, size: int) -> None:
    """Chroma of 4:1:0 sits between its four rows; clipped edges weigh more in small pictures."""
    source = make_clip(tmp_path / "in.mkv", width=size, height=size, frames=5, codec="ffv1", pix_fmt=pixels)
    report = paragon_stream.upscale(source, tmp_path / "out.mkv", codec="ffv1")
    assert_only(paragon_stream.verify(source, tmp_path / "out.mkv", plan=report))


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("webm", "libvpx-vp9", "yuva420p"), ("mov", "prores_ks", "yuva444p10le")],
)
def test_transparency_is_no_fault(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    """FFmpeg's ProRes has 10 bits, of which its decoder makes 12."""
    source = make_clip(tmp_path / f"in.{name}", frames=5, codec=codec, pix_fmt=pixels)
    report = paragon_stream.upscale(source, tmp_path / f"out.{name}", codec=codec)
    assert_only(paragon_stream.verify(source, tmp_path / f"out.{name}", plan=report))


def test_a_wrong_range_of_a_tiny_picture_is_found() -> None:
    color = ColorSpec(matrix=Matrix.BT709, range=ColorRange.LIMITED, chroma_location=ChromaLocation.LEFT)
    source = FrameFormat(width=24, height=24, pixel_format=pixel_format("yuv420p"), color=color)
    placement = enlarged(source, 2)
    check = PictureCheck(source, placement.target(source), placement, FRAMES)
    planes = [np.tile(np.linspace(16, 235, size).astype(np.uint8), (size, 1)) for size in (24, 12, 12)]
    large = full_range([np.kron(plane, np.ones((2, 2))) for plane in planes])
    check.add(0.0, planes, large)
    assert any("the contrast of Y is 1.16" in finding.message for finding in check.findings())


@pytest.mark.parametrize(("error", "faults"), [(2.0, 0), (5.0, 2)])
def test_saturated_charts_have_larger_errors(error: float, faults: int) -> None:
    """Of chroma from 30 to 220, in all directions: compression that weights remove."""
    color = ColorSpec(matrix=Matrix.BT709, range=ColorRange.LIMITED, chroma_location=ChromaLocation.CENTER)
    source = FrameFormat(width=256, height=256, pixel_format=pixel_format("yuv420p"), color=color)
    placement = enlarged(source, 2)
    check = PictureCheck(source, placement.target(source), placement, FRAMES)
    chance = np.random.default_rng(1)
    blocks = [np.full((16, 16), 128.0), *(chance.choice([30.0, 220.0], (16, 16)) for _ in "UV")]
    errors = [0.0, *(chance.choice([-error, error], (16, 16)) for _ in "UV")]
    sizes = [np.ones((size, size)) for size in (16, 8, 8)]
    planes = [np.kron(block, size).astype(np.uint8) for block, size in zip(blocks, sizes, strict=True)]
    changed = [block + wrong for block, wrong in zip(blocks, errors, strict=True)]
    large = [
        np.kron(block, np.kron(size, np.ones((2, 2)))).astype(np.uint8)
        for block, size in zip(changed, sizes, strict=True)
    ]
    check.add(0.0, planes, large)
    found = [finding.message for finding in check.findings()]
    assert sum("root mean square of cells" in message for message in found) == faults, found


def test_framing_that_containers_add_is_no_fault(tmp_path: Path) -> None:
    """Start codes and parameter sets of a further video, ADTS headers of sound."""
    names = [tmp_path / name for name in ("a.mkv", "b.ts", "c.mkv")]
    make_clip(names[0], frames=5, second_video=True, audio="aac")
    for source, output in pairwise(names):
        report = paragon_stream.upscale(source, output, preset="ultrafast")
        assert report.warnings == ()
        assert_only(paragon_stream.verify(source, output, plan=report))


@pytest.mark.parametrize(
    ("begins", "earliest", "cut", "clock"),
    [
        (20, 0.0, False, Fraction(-20, 1000)),  # sound began 20 ms before zero
        (20, 0.02, False, Fraction(0)),  # nothing begins earlier: the picture is late
        (500, 0.0, False, Fraction(0)),  # no sound begins so early
        (20, 0.0, True, Fraction(1)),
    ],
)
def test_matroska_moves_everything_if_sound_begins_before_zero(
    render: Render, begins: int, earliest: float, cut: bool, clock: Fraction
) -> None:
    """Sound as in Ogg, whose beginning FFmpeg reports as 0."""
    options = {"start": 1.0} if cut else {}
    plan = plan_render(RenderRequest(source=render.source, destination=Path("new.mkv"), **options))
    found = probe(render.output)
    video = replace(found.video, start_pts=begins, time_base=Fraction(1, 1000))
    assert time_offset(plan, replace(found, video=video, start_time=earliest)) == clock


def test_one_code_for_all_mpeg_audio_is_no_fault(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.ts", frames=12, audio="mp2")
    output = tmp_path / "out.mp4"
    report = paragon_stream.upscale(source, output, preset="ultrafast", strict=True)
    assert_only(paragon_stream.verify(source, output, plan=report))


def test_frames_that_share_a_tick_are_not_late() -> None:
    """The source has three frames in one tick; each of the output's is one tick later."""

    def at(ticks: float) -> Frame:
        return Frame(Fraction(ticks) / 1000, [], None)  # type: ignore[arg-type]

    def findings(*output: float) -> list[Finding]:
        check = TimeCheck(Fraction(1, 1000))
        for ours, theirs in zip((0, 40, 40.01, 40.02, 40.03, 80), output, strict=True):
            check.add(Match(at(ours), at(theirs)))
        return list(check.findings())

    assert findings(0, 40, 41, 42, 43, 80) == []
    assert len(findings(0, 40, 41, 42, 43, 82)) == 1
    assert len(findings(0, 44, 45, 46, 47, 80)) == 1


def test_mov_keeps_languages_of_either_standard(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, tags=BT709, audio="aac", languages=["und", "deu"])
    output = tmp_path / "out.mov"
    report = paragon_stream.upscale(source, output, preset="ultrafast")
    assert_only(paragon_stream.verify(source, output, plan=report))
    assert probe(output).streams[1].language == "ger"


def test_covers_and_titles_are_in_parts_of_mp4(tmp_path: Path) -> None:
    titled = {"audio": "aac", "titles": ["The picture", "The sound"], "cover": True}
    source = make_clip(tmp_path / "in.mp4", frames=30, tags=BT709, **titled)  # type: ignore[arg-type]
    output = tmp_path / "out.mp4"
    report = paragon_stream.upscale(source, output, start=0.4, preset="ultrafast")
    assert_only(paragon_stream.verify(source, output, plan=report))
    audio, cover = probe(output).streams[1:]
    assert (audio.title, cover.kind.value) == ("The sound", "cover")


def test_the_command(render: Render, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    arguments = ["verify", str(render.source), str(render.output), "--plan", str(render.report)]
    assert run([*arguments, "--report", str(page)]) == 0
    assert "nothing is wrong, 30 frames compared" in capsys.readouterr().out
    assert "Nothing is wrong" in page.read_text()
    wrong = remuxed(render, tmp_path / "out.mkv", without=index_of(render, "subtitle"))
    arguments[2] = str(wrong)
    assert run([*arguments, "--report", str(tmp_path / "page.json"), "--quiet"]) == 1
    said = capsys.readouterr()
    assert "is missing" in said.out and "1 finding, see above" in said.err
    assert json.loads((tmp_path / "page.json").read_text())["ok"] is False


def test_verify_behind_a_render(render: Render, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--duration", "0.2", "--preset", "ultrafast", "--quiet"]
    assert run([str(render.source), str(tmp_path / "out.mkv"), "--verify", *short]) == 0
    assert run([str(render.source), "-", "--verify"]) == 2
    assert "--verify compares video files" in capsys.readouterr().err
    sequence, out = str(tmp_path / "f_%03d.png"), tmp_path / "out.mkv"
    assert run([sequence, str(out), "--verify"]) == 2
    assert "--verify compares video files" in capsys.readouterr().err


def test_names_of_tags_differ_between_containers() -> None:
    assert not list(compare_tags({"my key": "a"}, {"MY_KEY": "a"}))
    assert not list(compare_tags({"location": "+40.680-074.5/"}, {"LOCATION": "+40.6800-074.5000/"}))
    assert list(compare_tags({"location": "+40.680-074.5/"}, {"LOCATION": "+40.6800+074.5000/"}))
    assert len(list(compare_tags({"my key": "a", "other": "b"}, {"MY_KEY": "c"}))) == 2


def test_what_is_no_plan(render: Render, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    shutil.copy(render.source, other)
    with pytest.raises(UsageError, match="cannot be read"):
        paragon_stream.verify(render.source, render.output, plan=other)
    other.write_text("{}")
    with pytest.raises(UsageError, match="is not the report of a render"):
        paragon_stream.verify(render.source, render.output, plan=other)
