"""`upscale_images()`: still images to still images, one or many."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paragon_stream import resource_usage
from paragon_stream.callbacks import callback_errors, passing
from paragon_stream.checkpoint import Weights
from paragon_stream.errors import ParagonError, UsageError, explanation
from paragon_stream.framejob.temporal import Temporal
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import called_with, described, option, part
from paragon_stream.options.output import CautionOptions, StorageOptions
from paragon_stream.pictures.files import passed_over, plan_images
from paragon_stream.pictures.job import PictureOutput, upscale_picture
from paragon_stream.pictures.tiles import PictureUpscaler
from paragon_stream.report import ImageResult, ImagesReport, ModelReport
from paragon_stream.upscaler import check_network, doubts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ImageProgress:
    """The progress of a batch: image `number` of `count`, and tile `tile` of `tiles` of that image."""

    source: Path
    number: int
    count: int
    tile: int
    tiles: int


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
    file is raised, as are KeyboardInterrupt, UsageError, an unknown network, and what a callback raises. With
    `strict`, losses are failures.
    """
    with callback_errors():
        return _upscaled(call)


def _upscaled(call: ImagesCall) -> ImagesReport:
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
    sentences = [*doubts(call), *passed_over(call.source)]
    for sentence in sentences:
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
            warnings=tuple(sentences),
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
            progress = ImageProgress(source=path, number=number, count=count, tile=tile, tiles=tiles)
            passing(call.on_progress)(progress)

    return upscale_picture(upscaler, part(call, UpscalerOptions), path, target, output, report_tile)


def _failed(path: Path, target: Path, error: Exception) -> ImageResult:
    """The result of an image of a batch that cannot be upscaled."""
    if not isinstance(error, ParagonError):
        logger.info("where it happened", exc_info=error)
    return ImageResult(source=str(path), destination=str(target), error=explanation(error, path))
