"""Real image files for tests, made by Pillow and FFmpeg, and read back by Pillow."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pattern(width: int = 90, height: int = 70) -> NDArray[np.uint8]:
    """An RGB picture that looks different whichever way it is turned: a ramp, a bright corner, a dark bar."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([40 + 150 * x / width, 60 + 120 * y / height, 110 + 30 * np.sin(x / 6)], axis=-1)
    rgb[: height // 4, : width // 3] = (250, 240, 40)
    rgb[height // 2 : height // 2 + 6, width // 2 :] = (20, 20, 60)
    return rgb.round().astype(np.uint8)


def exif(orientation: int = 1, width: int = 90, height: int = 70) -> Image.Exif:
    """Exif with a maker, an exposure time in the sub-directory, a GPS tag and the picture's size."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0132] = "Maker", "2024:05:06 07:08:09"
    tags[0x0112] = orientation
    detail = tags.get_ifd(0x8769)
    detail[0x829A], detail[0xA002], detail[0xA003] = IFDRational(1, 250), width, height
    tags.get_ifd(0x8825)[1] = "N"
    return tags


def save(
    path: Path, image: Image.Image, *, orientation: int | None = None, icc: bool = False, **more: object
) -> Path:
    """Save `image` with Exif (if an orientation is given) and a profile."""
    if orientation is not None:
        tags = exif(orientation, *image.size)
        if path.suffix == ".tif":  # where Pillow leaves directories below the first one out
            more["tiffinfo"] = directory = ImageFileDirectory_v2()
            for tag, value in tags.items():
                directory[tag] = value
            for tag in (0x8769, 0x8825):
                directory[tag] = dict(tags.get_ifd(tag))
        else:
            more["exif"] = tags
    if icc:
        more["icc_profile"] = ICC
    image.save(path, **more)
    return path


def read(path: Path) -> NDArray[np.generic]:
    """The pixels as Pillow sees them, in the file's own mode."""
    with Image.open(path) as image:
        image.load()
        return np.asarray(image)


def write_png16(path: Path, samples: NDArray[np.uint16]) -> Path:
    """A 16-bit PNG of H×W×C samples: gray, gray and alpha, RGB or RGBA."""
    height, width, count = samples.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[count]
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    )
    return path


def read_png16(path: Path) -> NDArray[np.uint16]:
    """The samples of a 16-bit PNG as H×W×C, undoing the filters by hand: Pillow gives 8 bits of RGB."""
    data = path.read_bytes()
    at, body = 8, b""
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        if name == b"IHDR":
            width, height, depth, color = struct.unpack_from(">IIBB", data, at + 8)
        if name == b"IDAT":
            body += data[at + 8 : at + 8 + length]
        at += 12 + length
    assert depth == 16
    count = {0: 1, 4: 2, 2: 3, 6: 4}[color]
    step = 2 * count
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, 1 + step * width)
    out = np.zeros((height, step * width), np.uint8)
    above = np.zeros(step * width, np.uint8)
    for row, line in enumerate(lines):
        above = _unfilter(int(line[0]), line[1:], above, step)
        out[row] = above
    return out.view(">u2").astype(np.uint16).reshape(height, width, count)


def _unfilter(kind: int, line: NDArray[np.uint8], above: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    result = [0] * len(line)
    for i, value in enumerate(line.tolist()):
        left = result[i - step] if i >= step else 0
        up, corner = int(above[i]), int(above[i - step]) if i >= step else 0
        guess = left + up - corner
        nearest = min(
            (abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner)
        )
        result[i] = (value + (0, left, up, (left + up) // 2, nearest[2])[kind]) & 255
    return np.array(result, np.uint8)
