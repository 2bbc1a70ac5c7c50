"""A video written as numbered images, encoded by several threads, each file whole before it has its name."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from paragon_stream.errors import LossError, OutputError, UsageError
from paragon_stream.frame import Timing, requested_pixel_format
from paragon_stream.geometry import Placement
from paragon_stream.media.facts.image_kinds import check_size, kind_for, storage
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.ffmpeg.errors import reason
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.images.canvas import Canvas, write_file
from paragon_stream.media.images.metadata import Metadata
from paragon_stream.media.images.numbering import Numbering, numbering
from paragon_stream.media.images.sequence_reader import CONTAINER
from paragon_stream.media.output.plan import OutputOptions, OutputPlan, picture_only

_ENCODERS = min(8, os.cpu_count() or 1)


def plan_sequence(
    info: MediaInfo, destination: Numbering, placement: Placement, options: OutputOptions | None = None
) -> OutputPlan:
    """Decide how `info`'s video becomes images: RGB by the video's own matrix, or JPEG's and WebP's YCbCr.

    Sources above 8 bits become 16-bit PNG or TIFF. Raises UsageError for options that images do not have,
    OutputError where files of these names exist (without `overwrite`), LossError under `strict`.
    """
    options = options or OutputOptions()
    if options.codec or options.crf is not None or options.preset:
        raise UsageError("images have no --codec, --crf and --preset: the suffix decides, and -x quality=N")
    kind = kind_for(destination.pattern)
    source = info.video.format
    check_size(kind, placement.columns.total, placement.rows.total)
    lossless = (options.encoder_options or {}).get("lossless", "0") != "0"
    how = storage(kind, source, wanted=requested_pixel_format(options.pix_fmt), lossless=lossless)
    if destination.pattern.absolute() == info.path.absolute():
        raise UsageError(f"the output {destination.pattern} would replace the input: choose another name")
    if (there := destination.numbers()) and not options.overwrite:
        raise OutputError(f"{destination.path(there[0])} exists already: use --overwrite to replace it")
    dropped, losses = picture_only(info, options, "a sequence of images", alpha=True)
    losses += how.losses
    if options.strict and losses:
        raise LossError("--strict: " + "; ".join(losses))
    color = replace(how.color, transfer=source.color.transfer, primaries=source.color.primaries)
    target = placement.target(source, pixel_format=how.pixels, color=color)
    return OutputPlan(
        destination=destination.pattern,
        target=target,
        rate=info.video.shown_rate or FALLBACK_RATE,
        options=options,
        image=how,
        streams=dropped,
        losses=tuple(losses),
        warnings=tuple(losses),
    )


class SequenceWriter:
    """The sink for numbered images. See `Sink`.

    Images made of images keep their numbers; the frames of a video are counted from 1.

    After `abort` the images that are complete stay: each is a picture by itself.
    """

    def __init__(self, plan: OutputPlan, info: MediaInfo) -> None:
        found = numbering(plan.destination) if plan.destination else None
        assert found and plan.image, "a plan for a sequence"
        self.warnings: list[str] = []
        self.bytes_written = 0
        self._plan, self._image, self._where = plan, plan.image, found
        source = numbering(info.path) if info.container == CONTAINER else None
        self._first = source.numbers()[0] if source else 1
        self._keep_numbers = source is not None
        self._begin: Fraction | None = None
        self._off_beat = False
        self._count = 0
        self._lock = threading.Lock()
        self._running: deque[Future[None]] = deque()
        try:
            found.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {found.folder}: {reason(error)}") from error
        self._pool = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="paragon-image-writer")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        """Take one frame; waits while all encoders are busy. Raises OutputError, maybe an earlier frame's."""
        while len(self._running) >= _ENCODERS:
            self._running.popleft().result()
        canvas = Canvas(self._image, self._plan.target.width, self._plan.target.height)
        for target, plane in zip(canvas.planes, planes, strict=True):
            np.copyto(target, plane)
        number = self._first + (timing.pts if self._keep_numbers else self._count)
        self._running.append(self._pool.submit(self._save, canvas, self._where.path(number)))
        time = timing.pts * timing.time_base
        self._begin = time if self._begin is None else self._begin
        self._off_beat |= abs((time - self._begin) * self._plan.rate - self._count) > 1
        self._count += 1

    def finish(self) -> None:
        while self._running:
            self._running.popleft().result()
        self._pool.shutdown()
        if self._off_beat and not self._keep_numbers:
            self.warnings.append("the frame rate varies; images hold no times, one stands for every frame")

    def abort(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._running.clear()

    def _save(self, canvas: Canvas, path: Path) -> None:
        pieces = canvas.encode(self._plan.options.encoder_options or {}, Metadata(), f"cannot write {path}")
        size = write_file(path, pieces, overwrite=self._plan.options.overwrite)
        with self._lock:
            self.bytes_written += size
