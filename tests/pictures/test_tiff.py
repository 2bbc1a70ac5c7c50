"""What TIFF files contain beside pixels: print size, XMP, data of other programs, multiplied colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import exif, pattern, read
from PIL import Image, TiffImagePlugin

import paragon_stream
from paragon_stream.media.images.picture import read_picture

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>1</tiff:Orientation></x:xmpmeta>'
XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG, EXTRA_SAMPLES = 700, 0x83BB, 0x8649, 338


def save(path: Path, picture: Image.Image, tags: dict[int, bytes], **options: object) -> Path:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, body in tags.items():
        directory.tagtype[tag] = 1
        directory[tag] = body
    picture.save(path, tiffinfo=directory, **options)
    return path


def test_print_size_and_xmp_are_kept_and_other_data_announced(tmp_path: Path) -> None:
    picture = Image.fromarray(pattern(32, 24))
    tags = {XMP_TAG: XMP, IPTC_TAG: b"\x1c\x02", PHOTOSHOP_TAG: b"8BIM"}
    source = save(tmp_path / "in.tif", picture, tags, dpi=(300, 150))
    for name in ("out.tif", "out.png", "out.jpg"):
        (image,) = paragon_stream.upscale_images(source, tmp_path / name, engine="null").images
        lost = "".join(image.warnings)
        assert "IPTC" in lost and "Photoshop data" in lost, name
        assert "XMP" not in lost and "print size" not in lost, name
        with Image.open(tmp_path / name) as out:
            across, down = out.info["dpi"]
            assert (float(across), float(down)) == pytest.approx((300, 150), abs=0.02), name
        assert b"<tiff:Orientation>1<" in (tmp_path / name).read_bytes(), name
    (image,) = paragon_stream.upscale_images(source, tmp_path / "out.webp", engine="null").images
    assert any("print size" in said for said in image.warnings)


def test_the_print_size_turns_with_the_picture(tmp_path: Path) -> None:
    source = tmp_path / "in.jpg"
    Image.fromarray(pattern(32, 24)).save(source, dpi=(300, 150), exif=exif(orientation=6))
    paragon_stream.upscale_images(source, tmp_path / "out.png", engine="null")
    with Image.open(tmp_path / "out.png") as out:
        assert out.size == (48, 64)
        assert [round(float(each)) for each in out.info["dpi"]] == [150, 300]


def test_a_resolution_without_a_unit_is_no_print_size(tmp_path: Path) -> None:
    source = tmp_path / "in.tif"
    Image.fromarray(pattern(32, 24)).save(source, resolution=0)
    assert read_picture(source).metadata.density is None


def test_colours_multiplied_by_alpha_are_divided_by_it(tmp_path: Path) -> None:
    """Photoshop saves transparency so (TIFF's ExtraSamples is 1)."""
    straight = np.zeros((24, 32, 4), np.uint8)
    straight[..., :3], straight[..., 3] = (200, 100, 50), np.arange(32) * 8
    multiplied = straight.copy()
    multiplied[..., :3] = np.rint(straight[..., :3] * (straight[..., 3:] / 255))
    source = tmp_path / "in.tif"
    Image.fromarray(multiplied, "RGBA").save(source)
    assert (read(source)[..., :3] == multiplied[..., :3]).all(), "Pillow writes what it is given"
    marked = bytearray(source.read_bytes())
    at = marked.index(EXTRA_SAMPLES.to_bytes(2, "little") + b"\x03\x00\x01\x00\x00\x00")
    marked[at + 8 : at + 10] = b"\x01\x00"
    source.write_bytes(marked)
    (planes,) = read_picture(source).planes
    assert (planes[..., 3] == straight[..., 3]).all() and not planes[:, 0].any()
    worst = np.abs(planes[:, 8:, :3].astype(int) - straight[:, 8:, :3]).max()
    assert worst <= 2, "rounding of colours at a quarter of full alpha and more"
