"""Numbered images as a video, in and out."""

from __future__ import annotations

import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import BT709, Tags, make_clip, packets, read_frames
from image_files import pattern, read, read_png16, save, write_png16
from numpy.typing import NDArray
from PIL import Image

from paragon_stream import ColorSpec, Upscaler, upscale
from paragon_stream.errors import InputError, LossError, OutputError, ParagonError, UsageError
from paragon_stream.frame import ChromaLocation, ColorRange, Matrix
from paragon_stream.framejob import allocate_planes
from paragon_stream.media.facts.image_kinds import SRGB
from paragon_stream.media.images import sequence_writer
from paragon_stream.media.images.canvas import Canvas
from paragon_stream.media.images.sequence_writer import SequenceWriter
from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest
from paragon_stream.upscaler import UpscalerOptions

BT709_SPEC = ColorSpec(
    matrix=Matrix.BT709,
    range=ColorRange.LIMITED,
    transfer=1,
    primaries=1,
    chroma_location=ChromaLocation.LEFT,
)


def moving(index: int) -> NDArray[np.uint8]:
    return np.roll(pattern(64, 48), 2 * index, axis=1)


def make_images(folder: Path, numbers: list[int], name: str = "in_{:04}.png") -> Path:
    for number in numbers:
        save(folder / name.format(number), Image.fromarray(moving(number)))
    return folder / "in_%04d.png"


def expected(source: tuple, pixels: str, target: str, color: ColorSpec, to: ColorSpec) -> tuple:
    """One frame through an `Upscaler` that changes the colours."""
    from dataclasses import replace

    from paragon_stream.frame import PIXEL_FORMATS, FrameFormat

    height, width = source[0].shape[:2]
    format = FrameFormat(width=width, height=height, pixel_format=PIXEL_FORMATS[pixels], color=color)
    with Upscaler.for_format(
        format, UpscalerOptions(precision="fp32"), pixel_format=PIXEL_FORMATS[target], color=to
    ) as up:
        assert up.target.color == replace(to)
        outputs = allocate_planes(up.target)
        up.run(source, outputs).wait()
        return outputs


def same(a: NDArray, b: NDArray, most: int = 1) -> bool:
    return a.shape == b.shape and np.abs(a.astype(int) - b.astype(int)).max() <= most


def test_images_to_video_and_the_colours_of_players(tmp_path: Path) -> None:
    source = make_images(tmp_path, list(range(7, 13)))
    out = tmp_path / "out.mkv"
    report = upscale(source, out, codec="ffv1", pix_fmt="yuv420p", fps="30000/1001", precision="fp32")
    assert (report.frames_in, report.frames_out, report.warnings) == (6, 6, ())
    frames = read_frames(out)
    assert [pts for pts, _ in frames] == [0, 33, 67, 100, 133, 167]
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (6, 1)  # standard definition: BT.601
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
    bt601 = ColorSpec(
        matrix=Matrix.SMPTE170M,
        range=ColorRange.LIMITED,
        transfer=6,
        primaries=6,
        chroma_location=ChromaLocation.LEFT,
    )
    for index, (_, planes) in enumerate(frames):
        wanted = expected((moving(7 + index),), "rgb24", "yuv420p", SRGB, bt601)
        assert all(same(a, b) for a, b in zip(planes, wanted, strict=True))
    assert not [t.name for t in threading.enumerate() if t.name.startswith("paragon")]


def test_default_is_what_players_play(tmp_path: Path) -> None:
    source = make_images(tmp_path, [0, 1, 2])
    report = upscale(source, tmp_path / "out.mp4", preset="ultrafast")
    assert (report.codec, report.target_format) == ("libx264", "128x96 yuv420p")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].average_rate == 24
    deep = [write_png16(tmp_path / f"deep{n}.png", moving(n).astype(np.uint16) * 257) for n in range(2)]
    assert len(deep) == 2
    report = upscale(tmp_path / "deep%d.png", tmp_path / "deep.mkv", preset="ultrafast")
    assert (report.codec, report.target_format) == ("libx265", "128x96 yuv420p10le")


def test_what_a_video_of_images_loses_is_announced(tmp_path: Path) -> None:
    plain = make_images(tmp_path, [0, 1, 2])
    deep = tmp_path / "deep%d.png"
    for number in range(3):
        write_png16(tmp_path / f"deep{number}.png", moving(number).astype(np.uint16) * 257)
    halved = "stores RGB as {}, which reduces the resolution of colours; --pix-fmt {} keeps it"
    cases = [
        (plain, "out.mp4", ("libx264 " + halved.format("yuv420p", "gbrp"),)),
        (plain, "out.y4m", ("y4m " + halved.format("yuv420p", "yuv444p"),)),
        (
            deep,
            "out.mkv",
            (
                "libx265 stores 10 bits of the video's 16",
                "libx265 " + halved.format("yuv420p10le", "gbrp10le"),
            ),
        ),
        (
            deep,
            "out.y4m",
            ("y4m stores 10 bits of the video's 16", "y4m " + halved.format("yuv420p10le", "yuv444p10le")),
        ),
    ]
    for source, name, losses in cases:
        assert plan_render(RenderRequest(source=source, destination=tmp_path / name)).losses == losses
        with pytest.raises(LossError, match="reduces the resolution"):
            plan_render(RenderRequest(source=source, destination=tmp_path / name, strict=True))
        advised = losses[-1].partition("--pix-fmt ")[2].split()[0]
        plan_render(RenderRequest(source=source, destination=tmp_path / name, pix_fmt=advised, strict=True))


def test_a_missing_image_is_a_pause(tmp_path: Path) -> None:
    source = make_images(tmp_path, [1, 2, 5, 6])
    report = upscale(source, tmp_path / "out.mkv", preset="ultrafast", fps=10)
    assert report.warnings[1:] == ("2 images are missing between others, which are shown longer",)
    assert [pts for pts, _ in read_frames(tmp_path / "out.mkv")] == [0, 100, 400, 500]


def test_one_missing_image(tmp_path: Path) -> None:
    source = make_images(tmp_path, [1, 3])
    report = upscale(source, tmp_path / "out.mkv", preset="ultrafast")
    assert report.warnings[1:] == ("1 image is missing between others, which are shown longer",)


def test_images_to_images_keep_their_numbers(tmp_path: Path) -> None:
    source = make_images(tmp_path, [998, 1000])
    report = upscale(source, tmp_path / "new" / "out-%d.png", precision="fp32")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["out-1000.png", "out-998.png"]
    assert report.codec == "PNG"
    wanted = expected((moving(998),), "rgb24", "rgb24", SRGB, SRGB)
    assert same(read(tmp_path / "new" / "out-998.png"), wanted[0])


def test_video_to_images_is_rgb_by_the_videos_own_matrix(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", tags=BT709, frames=5, audio="aac")
    warnings: list[str] = []
    report = upscale(
        clip, tmp_path / "f_%03d.png", precision="fp32", strength=0.0, on_warning=warnings.append
    )
    assert report.frames_out == 5
    assert len(warnings) == 1 and "audio" in warnings[0]
    rgb = ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL, transfer=1, primaries=1)
    for number, (_, planes) in enumerate(read_frames(clip), 1):
        wanted = expected(planes, "yuv420p", "rgb24", BT709_SPEC, rgb)
        assert same(read(tmp_path / f"f_{number:03}.png"), wanted[0])
    assert not list(tmp_path.glob(".*"))


def test_deep_video_gives_sixteen_bits(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", codec="libx265", pix_fmt="yuv420p10le", tags=BT709, frames=2)
    upscale(clip, tmp_path / "f%d.png", precision="fp32", strength=0.0)
    rgb = ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL, transfer=1, primaries=1)
    _, planes = read_frames(clip)[0]
    wanted = expected(planes, "yuv420p10le", "rgb48le", BT709_SPEC, rgb)
    found = read_png16(tmp_path / "f1.png")
    assert same(found, wanted[0], most=4)
    assert len(np.unique(found & 255)) > 200
    report = upscale(clip, tmp_path / "j%d.jpg")
    assert any("8 bits" in warning for warning in report.warnings)
    with Image.open(tmp_path / "j2.jpg") as image:
        assert image.layer[0][1:3] == (2, 2)


def test_facts_that_images_do_not_record_are_announced(tmp_path: Path) -> None:
    pq = Tags(matrix=9, range=1, transfer=16, primaries=9)
    clip = make_clip(
        tmp_path / "in.mkv", codec="libx265", pix_fmt="yuv420p10le", tags=pq, frames=1, sar=Fraction(16, 15)
    )
    losses = plan_render(RenderRequest(clip, tmp_path / "f%d.png")).output.losses
    assert [next(word for word in ("16:15", "16 and 9") if word in loss) for loss in losses] == [
        "16:15",
        "16 and 9",
    ]
    square = plan_render(RenderRequest(clip, tmp_path / "f%d.png", to="200x140")).output.losses
    assert len(square) == 1 and "transfer" in square[0]


def test_gray_and_colour_mix(tmp_path: Path) -> None:
    """Optimised black frames are gray files: the sequence is colour all the same."""
    save(tmp_path / "m0.png", Image.new("L", (32, 32), 0))
    save(tmp_path / "m1.png", Image.fromarray(pattern(32, 32)))
    save(tmp_path / "m2.png", Image.fromarray(pattern(32, 32)))
    report = upscale(tmp_path / "m%d.png", tmp_path / "o%d.png")
    assert report.source_format == "32x32 rgb24"
    assert (read(tmp_path / "o0.png") == 0).all()


def test_images_of_other_sizes_are_fitted_in(tmp_path: Path) -> None:
    """Up to four sizes as they are, further ones and other kinds of pixels too: nothing is lost."""
    sizes = [(64, 48), (64, 48), (96, 48), (32, 64), (64, 48), (80, 80), (40, 20)]
    for number, (width, height) in enumerate(sizes):
        save(tmp_path / f"in{number}.png", Image.new("RGB", (width, height), (200, 90, 30)))
    save(tmp_path / "in7.png", Image.new("RGBA", (64, 48), (200, 90, 30, 255)))
    write_png16(tmp_path / "in8.png", np.full((48, 64, 3), (51400, 23130, 7710), np.uint16))
    save(tmp_path / "in9.png", Image.new("RGB", (64, 48), (200, 90, 30)))
    report = upscale(tmp_path / "in%d.png", tmp_path / "out%d.png")
    assert [(each.format, each.frames, each.converted) for each in report.formats] == [
        ("64x48 rgb24", 5, 0),
        ("96x48 rgb24", 1, 0),
        ("32x64 rgb24", 1, 0),
        ("80x80 rgb24", 1, 0),
        ("40x20 rgb24", 1, 1),
        ("64x48 rgb48le", 1, 1),
    ]
    bars = {2: (64, 128), 3: (96, 48), 5: (96, 96), 6: (64, 128)}
    for number in range(10):
        height, width = bars.get(number, (96, 128))
        top, left = (96 - height) // 2, (128 - width) // 2
        picture = read(tmp_path / f"out{number}.png").astype(int)
        inside = picture[top : top + height, left : left + width]
        assert picture.shape == (96, 128, 3)
        if number == 6:  # converted, so that the network saw the edges of the bars
            assert np.abs(inside.mean((0, 1)) - (200, 90, 30)).max() < 10
            continue
        assert np.abs(inside[4:-4, 4:-4] - (200, 90, 30)).max() <= 1, number
        picture[top : top + height, left : left + width] = 0
        assert picture.max() == 0


def test_what_cannot_be_a_sequence(tmp_path: Path) -> None:
    source = make_images(tmp_path, [1, 2])
    with pytest.raises(InputError, match="no file"):
        upscale(tmp_path / "none_%04d.png", tmp_path / "out.mkv")
    with pytest.raises(UsageError, match="rate"):
        upscale(source, tmp_path / "out.mkv", fps="fast")
    with pytest.raises(UsageError, match="one"):
        upscale(tmp_path / "%d_%d.png", tmp_path / "out.mkv")
    with pytest.raises(UsageError, match="codec"):
        upscale(source, tmp_path / "out%d.png", codec="ffv1")
    with pytest.raises(UsageError, match="--fps"):
        upscale(make_clip(tmp_path / "in.mkv", frames=1), tmp_path / "out.mkv", fps=24)
    with pytest.raises(UsageError, match="replace"):
        upscale(source, source, overwrite=True)
    save(tmp_path / "out1.png", Image.new("L", (2, 2)))
    with pytest.raises(OutputError, match="overwrite"):
        upscale(source, tmp_path / "out%d.png")
    (tmp_path / "in_0003.png").write_bytes((tmp_path / "in_0002.png").read_bytes()[:300])
    with pytest.raises(ParagonError, match="in_0003"):
        upscale(source, tmp_path / "half_%d.png")
    for path in tmp_path.glob("half_*"):
        assert read(path).shape == (96, 128, 3)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("paragon")]


def test_an_image_with_a_profile_as_video(tmp_path: Path) -> None:
    """Reading the side data of such a PNG through PyAV 19 would end the process."""
    image = save(tmp_path / "one.png", Image.fromarray(pattern(64, 48)), icc=True)
    code = "import sys; from paragon_stream import upscale; upscale(*sys.argv[1:], preset='ultrafast')"
    command = [sys.executable, "-c", code, str(image), str(tmp_path / "out.mkv")]
    assert subprocess.run(command, timeout=120).returncode == 0
    assert len(packets(tmp_path / "out.mkv", 0)) == 1


def test_images_of_eight_bits_among_deeper_ones(tmp_path: Path) -> None:
    """Programs that optimise PNG store a picture that has no more than 8 bits in 8."""
    deep = pattern(32, 32).astype(np.uint16) * 257
    for number in (1, 3):
        write_png16(tmp_path / f"d{number}.png", deep)
    for number in (0, 2):
        save(tmp_path / f"d{number}.png", Image.fromarray(pattern(32, 32)))
    report = upscale(tmp_path / "d%d.png", tmp_path / "o%d.png", reuse_duplicates="off")
    assert report.source_format == "32x32 rgb48le" and not report.warnings
    first = (tmp_path / "o0.png").read_bytes()
    assert all((tmp_path / f"o{number}.png").read_bytes() == first for number in (1, 2, 3))


def test_the_sources_are_not_replaced_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "seq").mkdir()
    source = make_images(tmp_path / "seq", [1, 1000])
    (tmp_path / "link").symlink_to(tmp_path / "seq")
    (tmp_path / "single").mkdir()
    single = save(tmp_path / "single" / "one_0001.png", Image.fromarray(moving(1)))
    before = {path: path.read_bytes() for path in tmp_path.glob("s*/*.png")}
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "in_0001.png").symlink_to(source.parent / "in_0001.png")
    for given, out in (
        (source, tmp_path / "link" / "in_%04d.png"),
        (source, tmp_path / "link" / ".." / "seq" / "in_%04d.png"),
        (source, source.parent / "in_%d.png"),
        (source, tmp_path / "away" / "in_%04d.png"),
        (single, tmp_path / "single" / "one_%04d.png"),
    ):
        with pytest.raises(UsageError, match="would replace the input"):
            upscale(given, out, engine="null", overwrite=True)
    assert before == {path: path.read_bytes() for path in before}


def test_an_image_that_fails_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images after it may be complete, because several are written at a time."""
    (tmp_path / "in").mkdir()
    source, out = make_images(tmp_path / "in", list(range(12))), tmp_path / "out" / "%02d.png"
    save_image, next_is_there = SequenceWriter._save, threading.Event()

    def failing(self: SequenceWriter, canvas: Canvas, path: Path) -> None:
        if path.name == "05.png":
            next_is_there.wait(5)
            raise OutputError("there is no room")
        save_image(self, canvas, path)
        if path.name == "06.png":
            next_is_there.set()

    with monkeypatch.context() as patch:
        patch.setattr(SequenceWriter, "_save", failing)
        patch.setattr(sequence_writer, "_ENCODERS", 4)
        with pytest.raises(OutputError, match="no room"):
            upscale(source, out)
    assert upscale(source, out, resume=True).resumed_at == 5
    assert sorted(path.name for path in out.parent.iterdir()) == [f"{number:02}.png" for number in range(12)]


def test_older_images_that_remain_are_announced(tmp_path: Path) -> None:
    clip, out = make_clip(tmp_path / "in.mkv", frames=8), tmp_path / "f%d.png"
    assert upscale(clip, out, engine="null").warnings == ()
    (warning,) = upscale(clip, out, engine="null", overwrite=True, end=0.2).warnings
    assert warning == "3 other images of this name are left from before: f6.png … f8.png"
    (tmp_path / "f7.png").unlink()
    (tmp_path / "f8.png").unlink()
    (warning,) = upscale(clip, out, engine="null", overwrite=True, end=0.2).warnings
    assert warning == "1 other image of this name is left from before: f6.png"
