"""Image files with more than one picture, and folders with pictures of other kinds: nothing goes unsaid."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from image_files import pattern, read
from PIL import Image

import paragon_stream
from paragon_stream.errors import InputError, UsageError

FAST = {"engine": "null", "preset": "ultrafast"}


def pictures(count: int = 3) -> list[Image.Image]:
    return [Image.fromarray(pattern(32, 24)).rotate(90 * number) for number in range(count)]


def save(path: Path, format: str | None = None, **options: object) -> Path:
    first, *others = pictures()
    first.save(path, format=format, save_all=True, append_images=others, **options)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.apng", "a.png", "a.webp"])
def test_animations_are_videos(tmp_path: Path, name: str) -> None:
    source = save(tmp_path / name, "PNG" if name.endswith("png") else None, duration=100)
    report = paragon_stream.upscale(source, tmp_path / "out.mkv", **FAST)
    assert (report.frames_out, report.warnings) == (3, ())
    with av.open(str(tmp_path / "out.mkv")) as out:
        unit = out.streams.video[0].time_base
        assert [frame.pts * unit for frame in out.decode(video=0)] == [Fraction(n, 10) for n in range(3)]
    paragon_stream.upscale(source, tmp_path / "n_%d.png", engine="null")
    assert [read(tmp_path / f"n_{number}.png").shape[:2] for number in (1, 2, 3)] == [(48, 64)] * 3


def test_one_image_is_no_place_for_a_video(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is an animation.*out\.mkv.*out_%04d\.png"):
        paragon_stream.upscale_images(save(tmp_path / "a.webp"), tmp_path / "out.png")
    with pytest.raises(UsageError, match=r"out\.png is one image.*frame_%06d\.png"):
        paragon_stream.upscale(save(tmp_path / "a.gif"), tmp_path / "out.png")


def test_further_pages_and_pictures_are_said(tmp_path: Path) -> None:
    tiff, jpeg = save(tmp_path / "a1.tif"), save(tmp_path / "a.jpg", "MPO")
    for source, word in ((tiff, "the other 2 pages"), (jpeg, "the further pictures behind the first")):
        (image,) = paragon_stream.upscale_images(source, tmp_path / "out.png", overwrite=True).images
        assert f"{word} cannot be carried over" in image.warnings[0]
        report = paragon_stream.upscale(source, tmp_path / "out.mkv", overwrite=True, **FAST)
        assert report.warnings == (f"{source.name}: only the first picture is read, not {word}",)
    report = paragon_stream.upscale(tmp_path / "a%d.tif", tmp_path / "out.mkv", overwrite=True, **FAST)
    assert "the other 2 pages of the images are not carried over" in report.warnings


def test_pictures_that_a_folder_holds_beside(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pictures()[0].save(folder / "a.png")
    (folder / "notes.txt").write_text("no picture")
    for name in ("b.gif", "c.HEIC", "d.exr"):
        (folder / name).touch()
    said: list[str] = []
    report = paragon_stream.upscale_images(folder, tmp_path / "out", on_warning=said.append)
    assert len(report.images) == 1 and list(report.warnings) == said
    assert said == [
        f"not read in {folder}, where only PNG, JPEG, WebP, TIFF and BMP are: b.gif, c.HEIC, d.exr"
    ]
