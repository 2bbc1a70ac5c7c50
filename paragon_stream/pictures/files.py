"""Which pictures a request names, and the names of their results."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from paragon_stream.errors import InputError, UsageError
from paragon_stream.media.facts.containers import is_video_name
from paragon_stream.media.facts.image_kinds import is_image_name, is_other_picture, kind_for
from paragon_stream.media.images.numbering import numbering
from paragon_stream.media.source.opening import check_local, check_name
from paragon_stream.number_text import counted

_NAMED = 8
"""Files that a warning lists."""

_ANIMATIONS = (".gif", ".apng")
"""Suffixes of pictures that are read as videos."""


def is_images(source: str | Path, destination: str | Path) -> bool:
    """Whether a request is for `upscale_images`: a folder or a glob of images, or an image to an image.

    A numbered name such as frame_%06d.png is a video, for `upscale`.
    """
    check_name(source)
    check_name(destination)
    path = Path(source)
    if numbering(source) or numbering(destination):
        return False
    if path.is_dir():
        return True
    if not path.exists() and glob.has_magic(str(source)):
        return True
    refused = is_other_picture(path) and path.suffix.lower() not in _ANIMATIONS  # by the reader, by name
    still = is_image_name(path) or refused
    return still and not is_video_name(Path(destination)) and str(destination) != "-"


def plan_images(
    source: str | Path | Sequence[str | Path], destination: str | Path
) -> tuple[list[tuple[Path, Path]], bool]:
    """(source, destination) of every image, and whether they are a batch: anything except a single file name.

    Raises InputError if nothing is found, UsageError if two images would get the same name.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    files = list(dict.fromkeys(path for each in sources for path in _expanded(each)))
    batch = len(sources) != 1 or files != [Path(sources[0])]
    target = Path(destination)
    check_name(target)
    if "*" in target.name:
        suffix = target.name.removeprefix("*")
        if target.name != f"*{target.suffix}":
            raise UsageError(
                f"the destination {target} is neither a file, nor a folder, nor of the form FOLDER/*.png"
            )
        kind_for(Path("x" + suffix))
        pairs = [(path, target.parent / (path.stem + suffix)) for path in files]
    elif not batch and target.suffix and not target.is_dir():
        kind_for(target)
        return [(files[0], target)], False
    else:
        if is_image_name(target) and not target.is_dir():
            raise UsageError(f"{target} is one image, but there are {len(files)} to write: give a folder")
        if is_video_name(target):
            raise UsageError(
                f"{target} is a video; for a sequence of images, give a pattern such as frame_%06d.png"
            )
        pairs = [
            (path, target / (path.name if is_image_name(path) else path.stem + ".png")) for path in files
        ]
    taken: dict[str, Path] = {}
    for path, out in pairs:
        other = taken.setdefault(str(out).lower(), path)
        if other != path:
            raise UsageError(f"{other} and {path} would both become {out}")
    return pairs, batch


def _expanded(source: str | Path) -> list[Path]:
    check_local(source)
    check_name(source)
    path = Path(source)
    if path.is_dir():
        found = sorted(each for each in path.iterdir() if is_image_name(each) and each.is_file())
        if not found:
            one_by_one = any(map(is_video_name, path.iterdir()))
            hint = (
                "; give its videos one by one, or give the output folder to paragon-stream"
                if one_by_one
                else ""
            )
            raise InputError(f"the folder {path} holds no PNG, JPEG, WebP, TIFF or BMP image{hint}")
        return found
    if not path.exists() and glob.has_magic(str(source)):
        found = sorted(Path(each) for each in glob.glob(str(source)) if Path(each).is_file())  # noqa: PTH207
        if not found:
            raise InputError(f"no file matches {source}")
        if all(map(is_video_name, found)):
            raise UsageError(f"{source} are videos, which upscale_images does not read: use upscale_all")
        return found
    return [path]


def passed_over(source: str | Path | Sequence[str | Path]) -> list[str]:
    """A sentence for each folder with files that are not read: other pictures, videos, folders."""
    sentences = []
    for each in map(Path, [source] if isinstance(source, str | Path) else source):
        names = sorted(p.name for p in each.iterdir() if is_other_picture(p)) if each.is_dir() else []
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            sentences.append(
                f"not read in {each}, where only PNG, JPEG, WebP, TIFF and BMP are: "
                f"{', '.join(names[:_NAMED])}{more}"
            )
        inside = sorted(each.iterdir()) if each.is_dir() else []
        left = {
            "video": sum(path.is_file() and is_video_name(path) for path in inside),
            "folder": sum(path.is_dir() for path in inside),
        }
        if passed := [counted(number, what) for what, number in left.items() if number]:
            sentences.append(f"passed over in {each}, whose pictures are made: {' and '.join(passed)}")
    return sentences
