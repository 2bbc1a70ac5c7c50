"""The good pictures for training and validation crops."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paragon_stream.errors import InputError, reason
from paragon_stream.train.data.drawings import draw_picture

SUFFIXES = {".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
GRID = 24
"""Sides are cut to multiples of this: every scale (2, 3, 4, 8) divides them, and ×2…×4 give even sizes."""
SMALLEST = 96
DRAWING_SIDE = 384


@dataclass(frozen=True, kw_only=True)
class Source:
    """One picture: its name in the set, and its file, or the number of its drawing
    (`train.data.drawings`)."""

    name: str
    path: Path = Path()
    drawing: int | None = None

    def read(self) -> NDArray[np.uint8]:
        """H×W×3 8-bit RGB of sides that are multiples of GRID. Raises InputError as `read_picture` does."""
        return read_picture(self.path) if self.drawing is None else draw_picture(self.drawing, DRAWING_SIDE)

    def digest(self) -> str:
        """A hash of the name and of the file's content. Raises InputError if it is no readable picture.

        The mode of gray pictures above 8 bits counts too: they were read as white or black once.
        """
        found = hashlib.sha256(self.name.encode())
        if self.drawing is None:
            try:
                with self.path.open("rb") as file:
                    found.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:
                raise InputError(f"{self.path} cannot be read: {reason(error)}") from error
            if (mode := _read(self.path, lambda image: image.mode)).startswith(("I", "F")):
                found.update(mode.encode())
        return found.hexdigest()


def drawings(count: int, split: str) -> list[Source]:
    """`count` drawings to train on, or a sixteenth as many (at least one, of a positive count) held out."""
    first = {"train": 0, "val": 1_000_000}[split]
    number = count if split == "train" else -(-count // 16)
    return [Source(name=f"drawing {n}", drawing=n) for n in range(first, first + number)]


def list_sources(folder: Path, split: str, *, held_out: float = 0.05) -> list[Source]:
    """The pictures of a split ("train" or "val"), sorted by name.

    A `manifest.tsv` with columns `file` and `split` decides; without one every picture below the folder
    counts, and about `held_out` of them, chosen by their names' hash, are "val".

    Raises InputError if the folder or manifest cannot be read, or there is no picture of the split.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of pictures")
    manifest = folder / "manifest.tsv"
    if manifest.is_file():
        names = [row["file"] for row in _rows(manifest) if (row.get("split") or "train") == split]
    else:
        found = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES]
        found.sort(key=_share)
        # One of a few pictures is always held out, unless it is the only one.
        count = sum(_share(name) < held_out for name in found)
        if not count and held_out and len(found) > 1:
            count = 1
        names = found[:count] if split == "val" else found[count:]
    if not names:
        raise InputError(f"{folder} contains no pictures for the split {split}")
    return [Source(name=name, path=folder / name) for name in sorted(names)]


def _rows(manifest: Path) -> list[dict[str, str]]:
    try:
        with manifest.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{manifest} cannot be read: {reason(error)}") from error
    if any(not row.get("file") for row in rows):
        raise InputError(f"{manifest} has rows without a name in the column `file`")
    return rows


def _share(name: str) -> float:
    """A number in [0, 1) that depends only on the name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def read_picture(path: Path) -> NDArray[np.uint8]:
    """H×W×3 8-bit RGB, cut to multiples of GRID. Raises InputError if it is unreadable or too small."""
    picture = read_rgb(path)
    height, width = (side // GRID * GRID for side in picture.shape[:2])
    if min(height, width) < SMALLEST:
        size = f"{picture.shape[1]}x{picture.shape[0]}"
        raise InputError(f"{path} is {size}; at least {SMALLEST} pixels are needed")
    return np.ascontiguousarray(picture[:height, :width])


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """H×W×3 8-bit RGB; gray of 16 bits is divided by 257. Raises InputError for files that cannot be read,
    and for gray of 32 bits and floating point, whose black and white the file does not state."""
    return _read(path, lambda image: _rgb(image, path))


def _rgb(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    if image.mode in ("I", "F"):
        raise InputError(
            f"{path} has gray of 32 bits, whose black and white are unknown: convert it to 8 bits"
        )
    if image.mode.startswith("I;16"):  # Pillow's `convert` clips these at 255
        gray = np.rint(np.asarray(image) / 257).astype(np.uint8)
        return np.repeat(gray[..., None], 3, 2)
    return np.asarray(image.convert("RGB"))


def _read[T](path: Path, look: Callable[[Image.Image], T]) -> T:
    """What `look` finds in the opened picture. Raises InputError."""
    try:
        with Image.open(path) as image:
            return look(image)
    except InputError:
        raise
    except Exception as error:  # Pillow raises many types for damaged files, SyntaxError among them
        raise InputError(f"{path} cannot be read as a picture: {reason(error)}") from error
