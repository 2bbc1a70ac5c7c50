"""Reads one picture, upscales it tile by tile, and writes it. `upscale_images` and queues use it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from paragon_stream.checkpoint import Weights
from paragon_stream.errors import LossError
from paragon_stream.frame import PixelFormat, requested_pixel_format
from paragon_stream.geometry import Fit, parse_fit, parse_size
from paragon_stream.media.encode.workdir import check_destination
from paragon_stream.media.facts.image_kinds import (
    ImageKind,
    Storage,
    check_size,
    kind_for,
    storage,
    transposed_format,
)
from paragon_stream.media.images.canvas import Canvas, write_file
from paragon_stream.media.images.metadata import Metadata, not_embedded
from paragon_stream.media.images.orientation import as_stored, swaps_sides
from paragon_stream.media.images.picture import Picture, read_picture
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.output import StorageOptions
from paragon_stream.pictures.tiles import PictureUpscaler
from paragon_stream.report import ImageResult
from paragon_stream.upscaler import choose_network, parse_strength

_PAD_GRAIN = 4
"""Padded pictures begin and end at whole chroma samples for every subsampling of image formats."""


@dataclass(frozen=True, kw_only=True)
class PictureOutput:
    """The storage of results. Bars are a multiple of `grain` samples."""

    pixel_format: PixelFormat | None
    encoder_options: Mapping[str, str]
    overwrite: bool
    strict: bool
    grain: int

    @classmethod
    def of(cls, network: UpscalerOptions, storage: StorageOptions, *, overwrite: bool, strict: bool) -> Self:
        """The storage that the options request. Raises UsageError."""
        size = parse_size(network.to)
        return cls(
            pixel_format=requested_pixel_format(storage.pix_fmt),
            encoder_options=dict(storage.encoder_options or {}),
            overwrite=overwrite,
            strict=strict,
            grain=_PAD_GRAIN if parse_fit(network.fit, size) is Fit.PAD else 1,
        )


def upscale_picture(
    upscaler: PictureUpscaler,
    options: UpscalerOptions,
    path: Path,
    target: Path,
    output: PictureOutput,
    on_tile: Callable[[int, int], None],
) -> tuple[ImageResult, Weights]:
    """Upscale one image; also returns the weights. Raises ParagonError; then there is no file `target`."""
    begin = time.perf_counter()
    kind = kind_for(target)
    with _created(target.parent):
        check_destination(target.absolute(), path, overwrite=output.overwrite)
        picture = read_picture(path)
        turn = picture.metadata.orientation
        asked = parse_strength(options.strength)
        strength = picture.strength if asked is None else asked
        network = choose_network(picture.format, options, grain=output.grain, sideways=swaps_sides(turn))
        height, width = network[1].rows.total, network[1].columns.total
        if swaps_sides(turn):
            height, width = width, height
        check_size(kind, width, height)
        settings = dict(output.encoder_options)
        if kind is ImageKind.WEBP and picture.kind is kind and picture.metadata.lossless:
            settings = {"lossless": "1", **settings}
        storage = _storage(kind, picture, output, lossless=settings.get("lossless", "0") != "0")
        metadata = _with_fitting_profile(picture.metadata, storage)
        if metadata.density is not None and swaps_sides(turn):
            metadata = replace(metadata, density=metadata.density[::-1])
        uncarried = not_embedded(kind, metadata)
        losses = [*storage.losses, *(f"{what} cannot be carried over" for what in uncarried)]
        losses = [f"{path.name}: {loss}" for loss in losses]
        if output.strict and losses:
            raise LossError("--strict: " + "; ".join(losses))
        canvas = Canvas(storage, width, height)
        pixels = transposed_format(storage.pixels) if swaps_sides(turn) else storage.pixels
        assert pixels is not None, "see _storage"
        upscaler.run(
            network,
            picture.format,
            picture.planes,
            pixels,
            storage.color,
            [as_stored(array, turn) for array in canvas.planes],
            on_tile,
            strength=strength,
        )
        pieces = canvas.encode(settings, metadata, f"cannot write {target}")
        size = write_file(target, pieces, overwrite=output.overwrite)
    result = ImageResult(
        source=str(path),
        destination=str(target),
        source_format=str(picture.format),
        target_format=f"{width}x{height} {storage.stored}",
        strength=strength if network[0].spec.conditioned else None,
        seconds=time.perf_counter() - begin,
        bytes_out=size,
        warnings=tuple(losses),
    )
    return result, network[0]


def _storage(kind: ImageKind, picture: Picture, output: PictureOutput, *, lossless: bool) -> Storage:
    """`storage`, with chroma subsampled only where the orientation allows it.

    Mirroring an axis of odd length would move chroma by a luma sample, and there is no rotated 4:1:1 format.
    """
    turn = picture.metadata.orientation
    odd = picture.format.width % 2 or picture.format.height % 2
    like = picture.format.pixel_format
    across = transposed_format(output.pixel_format or like) if swaps_sides(turn) else like
    if swaps_sides(turn) and output.pixel_format is None and across is not None:
        picture = replace(picture, format=replace(picture.format, pixel_format=across))
    return storage(
        kind,
        picture.format,
        wanted=output.pixel_format,
        lossless=lossless,
        subsampled=across is not None and not (turn != 1 and odd),
    )


def _with_fitting_profile(metadata: Metadata, storage: Storage) -> Metadata:
    """`metadata` without an ICC profile of gray for a coloured result, or of RGB for a gray one.

    Such a profile is invalid in image files, and readers disregard it. Its header has the colour space at
    byte 16 (ICC.1, 7.2.8).
    """
    is_gray = storage.stored.startswith(("gray", "ya"))
    wrong = b"RGB " if is_gray else b"GRAY"
    if metadata.icc is None or metadata.icc[16:20] != wrong:
        return metadata
    what = "ICC profile (for RGB)" if is_gray else "ICC profile (for gray)"
    return replace(metadata, icc=None, uncarried=(*metadata.uncarried, what))


@contextmanager
def _created(folder: Path) -> Iterator[None]:
    """Create `folder` and its missing parents. If the block fails, the created folders are removed again."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    with suppress(OSError):  # check_destination raises the error
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for each in missing:
            with suppress(OSError):  # it is not empty, or was not created
                each.rmdir()
        raise
