"""Image files with more than one picture, and folders with pictures of other kinds: nothing goes unsaid."""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from image_files import pattern, read
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import paragon_stream
from paragon_stream.cli.main import run
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
    report = paragon_stream.upscale(source, tmp_path / "out.mkv", pix_fmt="yuv420p", **FAST)
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


@pytest.mark.parametrize(
    ("brand", "compatible", "kind"),
    [(b"avif", b"avifmif1miaf", "AVIF"), (b"heic", b"mif1heic", "HEIC"), (b"mif1", b"mif1avif", "AVIF")],
)
def test_heif_is_refused_by_name_whatever_it_becomes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], brand: bytes, compatible: bytes, kind: str
) -> None:
    """FFmpeg would read the first tile as a video, without transparency."""
    head = brand + bytes(4) + compatible
    for name in ("picture.avif", "picture.mp4"):
        path = tmp_path / name
        path.write_bytes((8 + len(head)).to_bytes(4) + b"ftyp" + head + bytes(500))
        for out in ("out.png", "out.mkv", "-"):
            if (name, out) != ("picture.mp4", "out.png"):
                assert run([str(path), str(tmp_path / out) if out != "-" else out]) == 1
                assert f"is a picture in {kind}, which is not supported" in capsys.readouterr().err


def test_a_real_avif_is_refused(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(shared / "media" / "faults" / "grid.avif"), str(tmp_path / "out.png")]) == 1
    assert "is a picture in AVIF, which is not supported" in capsys.readouterr().err


def test_one_interlaced_pixel(tmp_path: Path) -> None:
    """Palettes and bits of PNG's interlaced pictures, which swscale would take for fields."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    for depth, color, palette in ((1, 3, chunk(b"PLTE", bytes([0, 0, 255, 9, 9, 9]))), (1, 0, b"")):
        header = (1).to_bytes(4) * 2 + bytes([depth, color, 0, 0, 1])
        pixels = chunk(b"IDAT", zlib.compress(b"\0\0" if palette else b"\0\x80"))
        parts = chunk(b"IHDR", header), palette, pixels, chunk(b"IEND", b"")
        (tmp_path / "in.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
        assert run([str(tmp_path / "in.png"), str(tmp_path / "out.png"), "--overwrite"]) == 0
        made = read(tmp_path / "out.png")
        assert made.shape == ((2, 2, 3) if palette else (2, 2))
        expected = [0, 0, 255] if palette else 255
        assert np.abs(made.astype(int) - expected).max() <= 6


def test_folders_and_videos_in_a_folder_are_said(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    save(folder / "a.png")
    (folder / "b.mkv").write_bytes(b"")
    said: list[str] = []
    paragon_stream.upscale_images(folder, tmp_path / "out", engine="null", on_warning=said.append)
    assert f"passed over in {folder}, whose pictures are made: 1 video and 1 folder" in said


def test_texts_and_print_size_stay(tmp_path: Path) -> None:
    """Generation parameters, XMP, and 300 dots per inch."""
    texts = PngInfo()
    texts.add_text("parameters", "a cat, Steps: 20")
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    pictures(1)[0].save(tmp_path / "a.png", pnginfo=texts, dpi=(300, 300))
    pictures(1)[0].save(tmp_path / "b.jpg", dpi=(300, 200))
    for name, out in (("a.png", "c.png"), ("b.jpg", "d.jpg"), ("b.jpg", "e.png"), ("a.png", "f.jpg")):
        report = paragon_stream.upscale_images(tmp_path / name, tmp_path / out, engine="null")
        with Image.open(tmp_path / out) as made:
            assert [round(each) for each in made.info["dpi"]] == (
                [300, 300] if name == "a.png" else [300, 200]
            )
        lost = " ".join(report.images[0].warnings)
        assert ("text comments" in lost) == (out == "f.jpg")
        assert "XMP" not in lost
    with Image.open(tmp_path / "c.png") as made:
        made.load()
        assert made.info["parameters"] == "a cat, Steps: 20"
        assert made.info["XML:com.adobe.xmp"] == "<x:xmpmeta/>"
    with Image.open(tmp_path / "f.jpg") as made:
        assert made.info["xmp"] == b"<x:xmpmeta/>"
    report = paragon_stream.upscale_images(tmp_path / "b.jpg", tmp_path / "g.webp", engine="null")
    assert any("print size" in said for said in report.images[0].warnings)


def test_xmp_goes_from_any_kind_to_any(tmp_path: Path) -> None:
    """The XMP of a turned picture states "upright" afterwards, as Exif does."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6" dc:title="a"/></x:xmpmeta>'
    right = xmp.replace(b'"6"', b'"1"')
    pictures(1)[0].save(tmp_path / "a.jpg", xmp=xmp)
    pictures(1)[0].save(tmp_path / "b.webp", xmp=xmp, lossless=True)
    for name in ("a.jpg", "b.webp"):
        for suffix in ("jpg", "webp", "png", "tif"):
            out = tmp_path / f"{name[0]}_out.{suffix}"
            report = paragon_stream.upscale_images(tmp_path / name, out, engine="null")
            assert not any("XMP" in said for said in report.images[0].warnings)
            with Image.open(out) as made:
                made.load()
                found = made.info.get("xmp") or made.info["XML:com.adobe.xmp"].encode()
            assert found == right, out
    report = paragon_stream.upscale_images(tmp_path / "a.jpg", tmp_path / "c.bmp", engine="null")
    assert any("XMP" in said for said in report.images[0].warnings)
