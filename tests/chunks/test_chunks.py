"""A render in chunks is one machine's render: the same frames, times and streams, in one seamless file."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from chunk_material import LOSSLESS, SURE, assert_same, in_chunks, planned, rendered
from clip_damage import corrupted
from clips import in_one_stream, make_clip, read_frames

import paragon_stream
from paragon_stream.chunks.folder import ChunkFolder
from paragon_stream.chunks.join import join_chunks
from paragon_stream.chunks.plan import ChunkPlan, load_plan, plan_chunks
from paragon_stream.cli.main import run
from paragon_stream.errors import OutputError, UsageError
from paragon_stream.media.frame_times import frame_times
from paragon_stream.media.prepare import SourceOptions, prepare
from paragon_stream.render.request import RenderRequest

FRAMES = 100


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """B frames and open groups of 25; quantisers that go up and down, so that strengths do."""
    options = {"g": "25", "preset": "fast", "bf": "3", "x264-params": "open-gop=1:crf=35"}
    path = tmp_path_factory.mktemp("chunks") / "in.mkv"
    return make_clip(path, frames=FRAMES, audio="aac", subtitles="subrip", chapters=2, options=options)


def one(source: Path, out: Path, **options: Any) -> paragon_stream.Report:
    return paragon_stream.upscale(source, out, **options)


@pytest.mark.parametrize(
    ("seconds", "more"),
    [(1, {}), (0.7, {"start": 0.5, "duration": 3})],
    ids=["at key frames", "anywhere in a part"],
)
def test_lossless_frames_are_those_of_one_render(
    clip: Path, tmp_path: Path, seconds: float, more: dict[str, Any]
) -> None:
    whole = one(clip, tmp_path / "one.mkv", **LOSSLESS, **more)
    joined = in_chunks(clip, tmp_path / "out.mkv", seconds, **LOSSLESS, **more)
    assert_same(tmp_path / "out.mkv", tmp_path / "one.mkv")
    assert (joined.frames_out, joined.warnings, joined.formats) == (
        whole.frames_out,
        whole.warnings,
        whole.formats,
    )
    assert joined.strength is not None and whole.strength is not None and joined.strength.max > 0
    assert joined.strength.min == whole.strength.min and joined.strength.max == whole.strength.max
    assert joined.strength.mean == pytest.approx(whole.strength.mean)
    assert not any(chunk.from_start for chunk in joined.chunks)
    assert [path.name for path in tmp_path.iterdir() if ".paragon" in path.name] == []


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.mkv", {"preset": "veryfast"}),
        ("out.mp4", {"codec": "libx265", "preset": "ultrafast"}),
        ("out.ts", {"preset": "ultrafast"}),
        ("out.webm", {"codec": "libsvtav1", "preset": "12"}),
        ("out.mov", {"codec": "prores_ks"}),
    ],
)
def test_every_codec_and_container_is_seamless(
    clip: Path, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    """Every frame decodes, at the times of one render, and packets are in order of decoding."""
    out, whole = tmp_path / name, tmp_path / f"one-{name}"
    report = in_chunks(clip, out, 1, weights="video", **SURE, **options)
    one(clip, whole, weights="video", **SURE, **options)
    assert [pts for pts, _ in read_frames(out)] == [pts for pts, _ in read_frames(whole)]
    with av.open(str(out)) as file:
        coded = [p for p in file.demux(file.streams.video[0]) if p.size and p.dts is not None]
    assert all(a.dts < b.dts for a, b in pairwise(coded))
    assert all(p.dts <= p.pts for p in coded)
    assert not paragon_stream.verify(clip, out, plan=report).findings


def test_interlaced_video_with_progressive_parts(tmp_path: Path) -> None:
    """Each chunk begins with fields, and the frame before them is in another chunk."""
    parts = []
    for number, field in enumerate(("interlaced=1", "interlaced=0:pic-struct=1", "interlaced=1")):
        pts = list(range(40 * number, 40 * number + 40))
        options = {"g": "20", "bf": "0", "preset": "ultrafast", "x264-params": f"{field}:tff=1"}
        parts.append(make_clip(tmp_path / f"{number}.ts", frames=40, pts=pts, options=options))
    source = in_one_stream(tmp_path / "in.ts", parts)
    for method, frames in (("auto", 120), ("bwdif-2x", 240)):
        request = RenderRequest(source, tmp_path / "x.mkv", deinterlace=method, **LOSSLESS)
        plan, _ = plan_chunks(request, seconds=0.8)
        assert plan.frames == frames
        one(source, tmp_path / f"{method}-one.mkv", deinterlace=method, **LOSSLESS)
        in_chunks(source, tmp_path / f"{method}.mkv", 0.8, deinterlace=method, **LOSSLESS)
        assert_same(tmp_path / f"{method}.mkv", tmp_path / f"{method}-one.mkv")


def test_uneven_times(tmp_path: Path) -> None:
    chance = random.Random(5)
    pts, time = [], 1000
    for _ in range(80):
        pts.append(time)
        time += chance.choice([17, 33, 34, 80, 400])
    source = make_clip(tmp_path / "in.mp4", pts=pts, time_base=Fraction(1, 1000), options={"g": "10"})
    one(source, tmp_path / "one.mp4", **SURE)
    in_chunks(source, tmp_path / "out.mp4", 2, **SURE)
    assert [pts for pts, _ in read_frames(tmp_path / "out.mp4")] == [
        pts for pts, _ in read_frames(tmp_path / "one.mp4")
    ]


def test_damage_is_read_from_the_beginning(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mkv", frames=80, options={"g": "40", "preset": "fast"})
    source = corrupted(whole, tmp_path / "in.mkv", bytes_hit=4, start=0.6, seed=3)
    before = one(source, tmp_path / "one.mkv", **LOSSLESS)
    assert before.damage.undecodable_packets + before.damage.corrupt_frames, "the clip must be damaged"
    joined = in_chunks(source, tmp_path / "out.mkv", 0.8, **LOSSLESS)
    assert_same(tmp_path / "out.mkv", tmp_path / "one.mkv")
    assert any(chunk.from_start for chunk in joined.chunks)
    assert joined.damage == before.damage and set(joined.warnings) == set(before.warnings)


def test_a_change_of_format_is_read_from_the_beginning(tmp_path: Path) -> None:
    parts = [
        make_clip(tmp_path / f"{n}.ts", frames=30, pts=list(range(40 * n, 40 * n + 30)), **size)
        for n, size in enumerate(({}, {"width": 64, "height": 64}, {}))
    ]
    source = in_one_stream(tmp_path / "in.ts", parts)
    whole = one(source, tmp_path / "one.mkv", **LOSSLESS)
    joined = in_chunks(source, tmp_path / "out.mkv", 0.8, **LOSSLESS)
    assert_same(tmp_path / "out.mkv", tmp_path / "one.mkv")
    assert [(f.format, f.frames) for f in joined.formats] == [(f.format, f.frames) for f in whole.formats]


def test_a_file_without_times_is_planned_by_decoding_it(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.avi", frames=60, codec="mpeg4", options={"g": "15", "bf": "2"})
    assert frame_times(prepare(source, SourceOptions())).from_start
    one(source, tmp_path / "one.mkv", **LOSSLESS)
    joined = in_chunks(source, tmp_path / "out.mkv", 0.8, **LOSSLESS)
    assert_same(tmp_path / "out.mkv", tmp_path / "one.mkv")
    assert all(chunk.from_start for chunk in joined.chunks)


def test_images(tmp_path: Path) -> None:
    from PIL import Image

    for number in [*range(10, 30), *range(35, 50)]:
        color = (number * 5, 90, 200 - number)
        Image.new("RGB", (48, 32), color).save(tmp_path / f"f_{number:03}.png")
    source = tmp_path / "f_%03d.png"
    one(source, tmp_path / "one.mkv", **LOSSLESS)
    in_chunks(source, tmp_path / "out.mkv", 0.5, **LOSSLESS)
    assert_same(tmp_path / "out.mkv", tmp_path / "one.mkv")


def test_a_plan_is_the_same_after_a_round_trip(clip: Path, tmp_path: Path) -> None:
    request = RenderRequest(
        source=clip, destination=tmp_path / "out.mkv", crf=20, encoder_options={"bf": "1"}
    )
    plan, _ = plan_chunks(request, seconds=1)
    assert ChunkPlan.from_json(plan.to_json()) == plan
    with pytest.raises(OutputError, match="not a plan"):
        ChunkPlan.from_json("[1]")


def test_missing_and_damaged_chunks_are_named(clip: Path, tmp_path: Path) -> None:
    plan, folder = planned(clip, tmp_path / "out.mkv", 1, **LOSSLESS)
    rendered(plan, folder, [0, 2, 3])
    with pytest.raises(OutputError, match="chunk 1 is not rendered yet, of 4"):
        join_chunks(plan, folder)
    record = rendered(plan, folder, [1])[0]
    data = bytearray((folder.path / record.file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder.path / record.file).write_bytes(data)
    with pytest.raises(OutputError, match="chunk 1 is damaged"):
        join_chunks(plan, folder)
    assert folder.record(1) is None and folder.record(0) is not None
    (folder.path / "00001.json").write_bytes(b"\xff\xfe half a record")
    assert folder.record(1) is None
    rendered(plan, folder, [1])
    join_chunks(plan, folder)
    assert (tmp_path / "out.mkv").exists()


def test_another_version_or_source_is_refused(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, folder = planned(clip, tmp_path / "out.mkv", 1, **LOSSLESS)
    with monkeypatch.context() as patch:
        patch.setattr("paragon_stream.chunks.plan.versions", lambda: {"PyAV": "1.2.3"})
        with pytest.raises(UsageError, match=rf"PyAV 1\.2\.3 instead of {av.__version__}"):
            rendered(plan, folder, [0])
    other = make_clip(tmp_path / "other.mkv", frames=FRAMES)
    clip_then = plan.request.source
    clip_copy = tmp_path / "copy.mkv"
    clip_copy.write_bytes(Path(clip_then).read_bytes())
    plan, folder = planned(clip_copy, tmp_path / "out2.mkv", 1, **LOSSLESS)
    clip_copy.write_bytes(other.read_bytes())
    with pytest.raises(UsageError, match="other source data"):
        rendered(plan, folder, [0])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_chunks_are_closed_before_they_are_removed(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    still_open: list[str] = []

    def clear(folder: ChunkFolder) -> None:
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                still_open.append(str(link.readlink()))

    plan, folder = planned(clip, tmp_path / "out.mkv", 2, **LOSSLESS)
    rendered(plan, folder, range(2))
    monkeypatch.setattr(ChunkFolder, "clear", clear)
    join_chunks(plan, folder)
    assert still_open and not [name for name in still_open if name.startswith(str(folder.path))]


def test_finished_chunks_are_not_replaced_unasked(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    planned(clip, out, 2, preset="ultrafast", **SURE)
    plan, folder = planned(clip, out, 2, **LOSSLESS)  # nothing was lost
    rendered(plan, folder, [0])
    with pytest.raises(OutputError, match="has 1 finished chunk of a render with different encoder"):
        planned(clip, out, 2, preset="ultrafast", **SURE)
    assert folder.record(0) is not None
    planned(clip, out, 2, preset="ultrafast", overwrite=True, **SURE)
    assert folder.record(0) is None


def test_a_plan_in_use_is_not_replaced_unasked(clip: Path, tmp_path: Path) -> None:
    """A machine that renders its first chunk has no record yet."""
    out = tmp_path / "out.mkv"
    _, folder = planned(clip, out, 2, **LOSSLESS)
    with folder.scratch() as scratch:
        for options, what in (
            ({"preset": "ultrafast", **SURE}, "a render with different"),
            (LOSSLESS, "this"),
        ):
            with pytest.raises(OutputError, match=f"chunks of {what}"):
                planned(clip, out, 2, **options)
        assert scratch.exists()
        assert len(planned(clip, out, 2, resume=True, **LOSSLESS)[0].chunks) == 2
    plan, _ = planned(clip, out, 1, **LOSSLESS)
    assert len(plan.chunks) == 4, "nothing was lost: it is cut anew"


def test_chunks_that_a_plain_render_leaves_are_announced(clip: Path, tmp_path: Path) -> None:
    _, folder = planned(clip, tmp_path / "out.mkv", 2, **LOSSLESS)
    report = paragon_stream.upscale(clip, tmp_path / "out.mkv", engine="null", preset="ultrafast")
    assert f"files that are not of this render stay in {folder.path.parent}" in report.warnings


def test_a_chunk_of_another_plan_does_not_count(clip: Path, tmp_path: Path) -> None:
    """It may come late, from a machine that has read the plan before."""
    before, folder = planned(clip, tmp_path / "out.mkv", 2, preset="ultrafast", **SURE)
    plan, _ = planned(clip, tmp_path / "out.mkv", 2, **LOSSLESS)
    rendered(before, folder, [0, 1])
    assert folder.record(0, before.digest) and folder.record(0, plan.digest) is None
    with pytest.raises(OutputError, match="chunks 0, 1 are not rendered yet"):
        join_chunks(plan, folder)
    rendered(plan, folder, [0])
    path = folder.path / "00000.json"
    record = json.loads(path.read_text())
    assert record.pop("plan") == plan.digest
    path.write_text(json.dumps(record))  # as earlier versions wrote it
    assert folder.record(0, plan.digest)


def test_a_plan_is_continued_with_the_options_of_the_call(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    plan, folder = planned(clip, out, 2, **LOSSLESS)
    rendered(plan, folder, [0, 1])
    out.write_bytes(b"in the way")
    with pytest.raises(OutputError, match="exists already"):
        join_chunks(*load_plan(out))
    planned(clip, out, 2, resume=True, overwrite=True, device="cpu", **LOSSLESS)
    kept, folder = load_plan(out)
    assert kept.request.device == "cpu" and kept.digest == plan.digest
    join_chunks(kept, folder)
    assert len(read_frames(out)) == FRAMES


@pytest.mark.parametrize(
    ("source", "destination", "said"),
    [
        ("https://h/x.mkv", "out.mkv", "an address"),
        ("{clip}", "-", "y4m and sequences"),
        ("{clip}", "", "empty"),
        ("", "out.mkv", "empty"),
    ],
)
def test_names_that_no_chunks_can_have(clip: Path, source: str, destination: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan_chunks(RenderRequest(source.format(clip=clip), destination))


def test_chunks_of_other_headers_are_not_joined(clip: Path, tmp_path: Path) -> None:
    plan, folder = planned(clip, tmp_path / "out.mkv", 2, preset="ultrafast", **SURE)
    rendered(plan, folder, [0, 1])
    record = folder.path / "00001.json"
    record.write_text(record.read_text().replace('"headers": "', '"headers": "f'))
    with pytest.raises(OutputError, match="chunk 1 is encoded with different headers"):
        join_chunks(plan, folder)
    assert not (tmp_path / "out.mkv").exists() and folder.record(0) is not None


def test_the_command_line(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, report = tmp_path / "out.mkv", tmp_path / "report.json"
    options = ["--codec", "ffv1", "--precision", "fp32", "--chunk-seconds", "2"]
    plan = ["chunks", "plan", str(clip), str(out), *options]
    assert run(plan) == 0 and capsys.readouterr().out == "2\n"
    assert run(plan) == 0 and capsys.readouterr().out == "2\n", "nothing is rendered yet"
    assert run(["chunks", "render", str(out), "0", "--threads", "1", "--quiet"]) == 0
    assert run(plan) == 1 and "--resume continues" in capsys.readouterr().err
    done = sorted(path.name for path in (tmp_path / "out.mkv.paragon" / "chunks").iterdir())
    assert run(["chunks", "join", str(out)]) == 1 and "chunk 1 is not rendered yet" in capsys.readouterr().err
    assert run([*plan, "--resume"]) == 0 and capsys.readouterr().out == "2\n"
    assert sorted(path.name for path in (tmp_path / "out.mkv.paragon" / "chunks").iterdir()) == done
    assert run([*plan, "--resume", "--crf", "3"]) != 0
    assert run(["chunks", "render", str(out), "7"]) == 2 and "0 to 1" in capsys.readouterr().err
    assert run(["chunks", "render", str(out), "1", "--threads", "1", "--quiet"]) == 0
    assert run(["chunks", "join", str(out), "--quiet", "--report", str(report)]) == 0
    facts = json.loads(report.read_text())
    assert facts["frames_out"] == FRAMES and len(facts["chunks"]) == 2
    assert run(["chunks", "join", str(out)]) == 1 and "no plan of chunks" in capsys.readouterr().err
    for seconds in ("0", "inf", "1e400", "nan"):
        assert run([*plan[:3], str(tmp_path / "b.mkv"), "--chunk-seconds", seconds]) == 2
        assert "--chunk-seconds must be" in capsys.readouterr().err
    assert run([*plan[:3], str(tmp_path / "b.mkv"), "-x", "b=1M"]) == 2
    assert "constant quality" in capsys.readouterr().err


def test_what_a_killed_render_has_left_is_removed(tmp_path: Path) -> None:
    folder = ChunkFolder(tmp_path / "out.mkv")
    folder.write_plan("{}")
    dead = folder.path / ".making-dead"
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "chunk.mkv").write_bytes(b"part")
    with folder.scratch() as first:
        assert not dead.exists() and first.exists()
        with folder.scratch() as second:
            assert first.exists() and second.exists()  # of a process that is alive
    assert [path.name for path in folder.path.iterdir()] == ["plan.json"]
