"""`upscale_images()`: still images to still images, one or many."""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paragon_stream import resource_usage
from paragon_stream.checkpoint import Weights
from paragon_stream.errors import InputError, ParagonError, UsageError
from paragon_stream.framejob.temporal import Temporal
from paragon_stream.media.facts.containers import is_video_name
from paragon_stream.media.facts.image_kinds import (
    is_image_name,
    is_other_picture,
    kind_for,
)
from paragon_stream.media.facts.source import check_local, check_name
from paragon_stream.media.images.numbering import numbering
from paragon_stream.number_text import counted
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import called_with, described, option, part
from paragon_stream.options.output import CautionOptions, StorageOptions
from paragon_stream.picture_job import PictureOutput, upscale_picture
from paragon_stream.report import ImageResult, ImagesReport, ModelReport
from paragon_stream.tiles import PictureUpscaler
from paragon_stream.upscaler import check_network, doubts

_NAMED = 8
"""Files that a warning lists."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ImageProgress:
    """The progress of a batch: image `number` of `count`, and tile `tile` of `tiles` of that image."""

    source: Path
    number: int
    count: int
    tile: int
    tiles: int


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


@dataclass(frozen=True, kw_only=True)
class ImagesRequest(CautionOptions, StorageOptions, UpscalerOptions):
    """A request to upscale images."""

    source: str | Path | Sequence[str | Path] = field(
        kw_only=False, metadata=described("A file, a folder, a glob, or a list of them.")
    )
    destination: str | Path = field(kw_only=False, metadata=described("A file, a folder, or FOLDER/*.png."))


@dataclass(frozen=True, kw_only=True)
class ImagesCall(ImagesRequest):
    """The arguments of `upscale_images`."""

    on_progress: Callable[[ImageProgress], None] | None = option(None, "Called after each tile.")
    on_image: Callable[[ImageResult], None] | None = option(
        None, "Called after each image that is done or failed."
    )
    on_warning: Callable[[str], None] | None = option(
        None, "Called with one sentence for each property that is not carried over."
    )


@called_with(ImagesCall)
def upscale_images(call: ImagesCall) -> ImagesReport:
    """Upscale PNG, JPEG, WebP, TIFF and BMP images.

    `source` is a file, a folder (without its subfolders), a glob, or a list of them. `destination` is a file
    for a single file; a folder, which is created if necessary, where images keep their names; or
    "FOLDER/*.png", where images get another suffix. The suffix chooses the file format.

    `to` and `fit` are those of `upscale`. An image that already has the requested size is a failure; the
    others are upscaled. Without `strength`, the strength of a JPEG's compression is computed from its
    quantisation tables; other images count as clean.

    Gray images stay gray, 16-bit images keep 16 bits and JPEG keeps its chroma subsampling if the file format
    of the result can store them. ICC profile and Exif are carried over. The orientation is applied, so the
    result is upright. Alpha is resampled by the base path alone. JPEG and WebP are written with quality 95
    unless `encoder_options` set "quality"; lossless WebP stays lossless (also "lossless": "1").

    An image gets its name when it is complete. With `resume`, existing images are kept and not checked. In a
    batch, an image that fails does not stop the others; its result holds the reason. The failure of a single
    file is raised, as are KeyboardInterrupt, UsageError and an unknown network. With `strict`, losses are
    failures.
    """
    usage = resource_usage.Usage()
    options = part(call, UpscalerOptions)
    output = PictureOutput.of(
        options, part(call, StorageOptions), overwrite=call.overwrite, strict=call.strict
    )
    pairs, batch = plan_images(call.source, call.destination)
    missing = [(path, target) for path, target in pairs if not (call.resume and target.is_file())]
    left, pairs = len(pairs) - len(missing), missing
    if call.temporal != Temporal.OFF:
        raise UsageError("--temporal is for video: pictures have no frame before them")
    passed_over = [*doubts(call), *_passed_over(call.source)]
    for sentence in passed_over:
        (call.on_warning or logger.warning)(sentence)
    network = check_network(options)
    results: list[ImageResult] = []
    with PictureUpscaler(options) as upscaler:
        for number, (path, target) in enumerate(pairs, 1):
            try:
                result, network = _one(upscaler, path, target, output, call, number, len(pairs))
            except UsageError:
                raise
            except Exception as error:
                if not batch:
                    raise
                result = _failed(path, target, error)
            for warning in result.warnings:
                (call.on_warning or logger.warning)(warning)
            results.append(result)
            if call.on_image is not None:
                call.on_image(result)
        session = upscaler.used
        return ImagesReport(
            images=tuple(results),
            left=left,
            wall_seconds=usage.wall_seconds,
            cpu_seconds=usage.cpu_seconds,
            engine=session.engine if session else "",
            precision=session.precision if session else "",
            device=session.device if session else "",
            threads=call.threads,
            model=ModelReport.of(network),
            peak_rss_bytes=resource_usage.peak_rss(),
            warnings=tuple(passed_over),
        )


def _one(
    upscaler: PictureUpscaler,
    path: Path,
    target: Path,
    output: PictureOutput,
    call: ImagesCall,
    number: int,
    count: int,
) -> tuple[ImageResult, Weights]:
    """Image `number` of `count`, and the network that enlarged it."""

    def report_tile(tile: int, tiles: int) -> None:
        if call.on_progress is not None:
            call.on_progress(ImageProgress(source=path, number=number, count=count, tile=tile, tiles=tiles))

    return upscale_picture(upscaler, part(call, UpscalerOptions), path, target, output, report_tile)


def _failed(path: Path, target: Path, error: Exception) -> ImageResult:
    """The result of an image of a batch that cannot be upscaled."""
    what = str(error)
    if not isinstance(error, ParagonError):
        logger.info("where it happened", exc_info=error)
        what = f"{path}: internal error, please report it: {type(error).__name__}: {error}"
    return ImageResult(source=str(path), destination=str(target), error=what)


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


def _passed_over(source: str | Path | Sequence[str | Path]) -> list[str]:
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
