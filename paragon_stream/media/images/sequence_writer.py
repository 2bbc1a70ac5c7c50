"""A video written as numbered images by several threads; each file gets its name when it is complete."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from itertools import takewhile
from pathlib import Path

import numpy as np

from paragon_stream.errors import LossError, OutputError, UsageError, reason
from paragon_stream.frame import FrameFormat, Primaries, Timing, Transfer, requested_pixel_format
from paragon_stream.geometry import Placement
from paragon_stream.media.encode.host_sink import HostSink
from paragon_stream.media.encode.workdir import VERSIONS, WorkDir, work_folder
from paragon_stream.media.facts.image_kinds import check_size, kind_for, storage
from paragon_stream.media.facts.info import IMAGE_SEQUENCE, MediaInfo
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.images.canvas import Canvas, write_file
from paragon_stream.media.images.metadata import Metadata
from paragon_stream.media.images.numbering import Numbering, numbering
from paragon_stream.media.output.losses import picture_only
from paragon_stream.media.output.plan import OutputOptions, OutputPlan
from paragon_stream.media.safekeeping.frame_log import FrameRecord
from paragon_stream.media.safekeeping.journal import Journal
from paragon_stream.number_text import counted
from paragon_stream.pipeline.interrupt import HeldInterrupt

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
        raise UsageError(
            "images have no --codec, --crf and --preset:"
            " the suffix selects the kind, and -x quality=N the quality"
        )
    kind = kind_for(destination.pattern)
    source = info.video.format
    check_size(kind, placement.columns.total, placement.rows.total)
    lossless = (options.encoder_options or {}).get("lossless", "0") != "0"
    how = storage(kind, source, wanted=requested_pixel_format(options.pix_fmt), lossless=lossless)
    if _replaces_source(destination, info):
        raise UsageError(f"the output {destination.pattern} would replace the input: choose another name")
    if (existing := destination.numbers()) and not (options.overwrite or options.resume):
        unfinished = work_folder(destination.pattern).exists()
        advice = "--resume continues the sequence, " if unfinished else "use "
        raise OutputError(
            f"{destination.path(existing[0])} exists already: {advice}--overwrite to replace it"
        )
    dropped, losses = picture_only(info, options, "a sequence of images", alpha=True)
    color = replace(how.color, transfer=source.color.transfer, primaries=source.color.primaries)
    target = placement.target(source, pixel_format=how.pixels, color=color)
    losses += [*how.losses, *_unstored(target)]
    if options.strict and losses:
        raise LossError("--strict: " + "; ".join(losses))
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


def _unstored(target: FrameFormat) -> list[str]:
    """Sentences about facts of the frames that the images do not record."""
    losses = []
    if (aspect := target.sample_aspect_ratio) != 1:
        shape = f"{aspect.numerator}:{aspect.denominator}"
        losses.append(
            f"images are shown with square pixels, those of the video have {shape}: --to makes them square"
        )
    color = target.color
    if color.transfer in (Transfer.PQ, Transfer.HLG) or color.primaries == Primaries.BT2020:
        losses.append(
            "images store no transfer characteristics and primaries: readers must be given the video's, "
            f"{int(color.transfer)} and {int(color.primaries)} (H.273)"
        )
    return losses


def _replaces_source(destination: Numbering, info: MediaInfo) -> bool:
    """Whether an existing image of `destination` is the source or an image of it, by whatever path."""
    source = numbering(info.path) if info.container == IMAGE_SEQUENCE else None
    taken = _files(map(destination.path, destination.numbers()))
    return bool(taken and taken & _files(map(source.path, source.numbers()) if source else [info.path]))


def _files(paths: Iterable[Path]) -> set[tuple[int, int]]:
    """The device and the inode of each path that exists: equal for two names of one file."""
    found = set()
    for path in paths:
        with contextlib.suppress(OSError):
            facts = path.stat()
            found.add((facts.st_dev, facts.st_ino))
    return found


class SequenceWriter(HostSink):
    """The sink for numbered images. See `Sink`.

    Images made of images keep their numbers; the frames of a video are counted from 1.

    After `abort` the complete images stay, with the journal of the render, so that it can be resumed.
    """

    def __init__(self, plan: OutputPlan, info: MediaInfo) -> None:
        found = numbering(plan.destination) if plan.destination else None
        assert found and plan.image, "a plan for a sequence"
        self.warnings: list[str] = []
        self.bytes_written = 0
        self._plan, self._image, self._where = plan, plan.image, found
        source = numbering(info.path) if info.container == IMAGE_SEQUENCE else None
        self._first = source.numbers()[0] if source else 1
        self._keep_numbers = source is not None
        self._made: set[int] = set()
        """The numbers of this render's images."""
        self._begin: Fraction | None = None
        self._off_beat = False
        self._lock = threading.Lock()
        self._running: deque[tuple[Future[None], FrameRecord]] = deque()
        self._ended = False
        self._last: Canvas | None = None
        try:
            found.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {found.folder}: {reason(error)}") from error
        self._work = WorkDir(
            found.pattern,
            overwrite=plan.options.overwrite,
            identity=plan.identity,
            resume=plan.options.resume,
            may_differ=VERSIONS if plan.options.accept_upgrade else (),
        )
        try:
            self.journal = Journal(self._work.folder)
            self._begin_journal(plan, found)
        except BaseException:
            self._work.abandon(worth_keeping=True)
            raise
        self._pool = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="paragon-image-writer")

    @property
    def done(self) -> int:
        """See `Sink.done`."""
        return self.journal.done

    def _begin_journal(self, plan: OutputPlan, where: Numbering) -> None:
        existing = set(where.numbers())
        log = self.journal.frames
        numbers = (self._number(log[frame].timing, frame) for frame in range(len(log)))
        self._made.update(takewhile(existing.__contains__, numbers))
        self.journal.done = len(self._made)
        if existing and not self.done and not plan.options.overwrite:
            raise OutputError(f"{where.path(min(existing))} exists already: use --overwrite to replace it")
        self._count = self._written = self.done
        if self.done:
            self._begin = log[0].time
        self.journal.begin(file=None)

    def _number(self, timing: Timing, frame: int) -> int:
        """The image number of the frame `frame`, counted from 0."""
        return self._first + (timing.pts if self._keep_numbers else frame)

    def _settle(self, most: int) -> None:
        """Wait until at most `most` images are being encoded, and record the finished ones.

        Nothing after an image that failed is recorded: records are numbered without gaps.
        """
        while self._running and (len(self._running) > most or self._running[0][0].done()):
            future, record = self._running[0]
            future.result()
            self._running.popleft()
            self.journal.frame(record)
            self._written += 1
            self.journal.written(self._written)

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        """Take one frame; waits while all encoders are busy. Raises OutputError, possibly for an earlier
        frame."""
        self._settle(_ENCODERS - 1)
        self._last = canvas = Canvas(self._image, self._plan.target.width, self._plan.target.height)
        for target, plane in zip(canvas.planes, planes, strict=True):
            np.copyto(target, plane)
        self._add(canvas, timing)

    def repeat(self, timing: Timing) -> None:
        """See `Sink.repeat`."""
        assert self._last is not None, "a frame was written"
        self.write(self._last.planes, timing)

    def _add(self, canvas: Canvas, timing: Timing) -> None:
        number = self._number(timing, self._count)
        self._made.add(number)
        path = self._where.path(number)
        record = replace(self.journal.announced(timing), pts=self._count)
        self._running.append((self._pool.submit(self._save, canvas, path), record))
        time = timing.time
        self._begin = time if self._begin is None else self._begin
        self._off_beat |= abs((time - self._begin) * self._plan.rate - self._count) > 1
        self._count += 1

    def finish(self) -> None:
        self._settle(0)
        self._pool.shutdown()
        self.journal.close()
        self._work.discard()
        self._ended = True
        if self._off_beat and not self._keep_numbers:
            self.warnings.append("the frame rate varies; images store no times, there is one for each frame")
        if others := sorted(set(self._where.numbers()) - self._made):
            names = dict.fromkeys(self._where.path(number).name for number in (others[0], others[-1]))
            are = "is" if len(others) == 1 else "are"
            self.warnings.append(
                f"{counted(len(others), 'other image')} of this name {are} left from before:"
                f" {' … '.join(names)}"
            )

    def abort(self) -> None:
        if self._ended:
            return
        self._ended = True
        with HeldInterrupt():
            self._pool.shutdown(wait=True)
            with contextlib.suppress(Exception):  # the first failure is raised already
                self._settle(0)
            self._running.clear()
            self.journal.close()
            if kept := self._work.abandon(worth_keeping=False, work=self.journal.has_work):
                self.warnings.append(kept)

    def _save(self, canvas: Canvas, path: Path) -> None:
        pieces = canvas.encode(self._plan.options.encoder_options or {}, Metadata(), f"cannot write {path}")
        options = self._plan.options
        size = write_file(path, pieces, overwrite=options.overwrite or options.resume)
        with self._lock:
            self.bytes_written += size
