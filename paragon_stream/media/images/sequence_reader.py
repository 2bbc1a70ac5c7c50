"""A video that is a sequence of image files: its facts, and its frames one after another."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import numpy as np

from paragon_stream.errors import FormatError, InputError
from paragon_stream.frame import NO_DATA, Family, FrameFormat, Timing
from paragon_stream.media.decode.conform import conformed
from paragon_stream.media.facts.info import (
    IMAGE_SEQUENCE,
    Damage,
    MediaInfo,
    StreamInfo,
    StreamKind,
    VideoInfo,
)
from paragon_stream.media.ffmpeg.errors import av_errors_as
from paragon_stream.media.ffmpeg.planes import Plane, copy_from_frame, copy_to_frame
from paragon_stream.media.frames.format_changes import FormatChanges
from paragon_stream.media.images.numbering import Numbering, numbering
from paragon_stream.media.images.orientation import as_stored, swaps_sides
from paragon_stream.media.images.picture import Picture, component, read_picture
from paragon_stream.media.images.png_colour import other_than_srgb
from paragon_stream.number_text import counted

DEFAULT_RATE = Fraction(24)
"""Frames per second of image sequences by default: film's."""

_DECODERS = min(4, os.cpu_count() or 1)


def probe_sequence(source: Numbering, rate: Fraction | None = None) -> MediaInfo:
    """The facts of the sequence; its format is that of the first image, or the middle or last one if that has
    colour, alpha or bits which the first lacks, as an optimised black frame does.

    Raises InputError where there is no such file, and what `read_picture` raises.
    """
    numbers = source.numbers()
    if not numbers:
        raise InputError(f"no file matches {source.pattern}")
    looked_at = dict.fromkeys((numbers[0], numbers[len(numbers) // 2], numbers[-1]))
    formats, lost = list[FrameFormat](), set[str]()
    for picture in (read_picture(source.path(number)) for number in looked_at):
        formats.append(_format(picture))
        lost.update(_uncarried(picture))
    format = max(formats, key=_richness)
    rate = rate or DEFAULT_RATE
    codec = source.after.rpartition(".")[2].lower()
    return MediaInfo(
        path=source.pattern,
        container=IMAGE_SEQUENCE,
        streams=(StreamInfo(index=0, kind=StreamKind.VIDEO, codec=codec, detail=f"{codec} {format}"),),
        video=VideoInfo(
            index=0,
            codec=codec,
            format=format,
            time_base=1 / rate,
            average_rate=rate,
            start_pts=0,
            duration=float((numbers[-1] - numbers[0] + 1) / rate),
            frames=len(numbers),
        ),
        duration=float((numbers[-1] - numbers[0] + 1) / rate),
        seekable=False,
        hints=tuple(_not_carried(lost)),
    )


def sequence_timings(numbers: Sequence[int], time_base: Fraction) -> Iterator[tuple[int, Timing]]:
    """The images' numbers, each with its time: the image before a missing one is shown longer."""
    for number, after in zip(numbers, [*numbers[1:], numbers[-1] + 1], strict=True):
        yield number, Timing(pts=number - numbers[0], duration=after - number, time_base=time_base)


class SequenceReader:
    """Reads the sequence that `info` describes, with the methods of a `VideoReader`.

    An image's number is its time: where numbers are missing, the image before them is shown longer. Images
    are decoded ahead by a few threads. Gray images among coloured ones, and 8-bit ones among deeper, are
    filled in; others are followed, or converted, as `VideoReader` does it.
    """

    def __init__(self, info: MediaInfo, *, follow: bool = False) -> None:
        found = numbering(info.path)
        if found is None:
            raise InputError(f"{info.path} is not a pattern for a sequence of images, such as frame_%06d.png")
        self.info = info
        self.frames = 0
        self.data = NO_DATA
        self.damaged = False
        self.damage = Damage()
        self._source = found
        self._numbers = found.numbers()
        self._format = info.video.format
        self._pool = ThreadPoolExecutor(_DECODERS, thread_name_prefix="paragon-image-reader")
        self.changes = FormatChanges(self._format, self._pictures(), follow=follow, settled=1)
        self._alpha = False
        self._strength = 0.0
        self._uncarried: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop decoding ahead. `frames` and `warnings` stay readable."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def read_into(self, planes: Sequence[Plane]) -> Timing | None:
        """Put the next image into `planes`, of `changes.format`; None after the last, and before a change."""
        with self._lock:
            if self._closed:
                raise InputError(f"{self.info.path} was closed while it was being read")
            arrival = self.changes.take()
            if arrival is None:
                return None
            picture, found, wanted = arrival.item, arrival.observed.format, self.changes.format
            if found == wanted:
                _fill(planes, picture, wanted)
            else:
                _convert(planes, picture, found, wanted)
            self.frames += 1
            self._strength = picture.strength
            self._alpha |= picture.format.pixel_format.has_alpha and not wanted.pixel_format.has_alpha
            self._uncarried.update(_uncarried(picture))
            return arrival.timing

    def _pictures(self) -> Iterator[tuple[Picture, Timing, FrameFormat]]:
        """The images in order, each with its time and the format that it is read in."""
        cut = self.info.cut
        wanted = [
            (number, timing)
            for number, timing in sequence_timings(self._numbers, self.info.video.time_base)
            if cut is None or timing.time in cut
        ]
        ahead: deque[Future[Picture]] = deque()
        begun = 0
        for _, timing in wanted:
            while begun < len(wanted) and len(ahead) < _DECODERS:
                ahead.append(self._pool.submit(read_picture, self._source.path(wanted[begun][0])))
                begun += 1
            picture = ahead.popleft().result()
            yield picture, timing, _read_as(picture, self._format)

    picture = None
    """See `VideoReader`."""
    decoder = "images on the CPU"
    depends_on_history = ""
    """Each image decodes independently of the others."""

    def strength(self, timing: Timing) -> float:
        """The compression strength of the image read last, at `timing`."""
        return self._strength

    @property
    def strength_source(self) -> str:
        return "read from JPEG's tables; other images count as clean"

    @property
    def repairs(self) -> list[str]:
        return []

    @property
    def disturbed(self) -> bool:
        """See `FrameReader`."""
        return len(self.changes.formats) > 1 or self._alpha

    def go_on(self, frames: int, first: Fraction) -> None:
        """See `FrameReader`."""
        self.frames = frames
        self.changes.go_on(frames, float(first))

    @property
    def warnings(self) -> list[str]:
        sentences = self.changes.warnings
        missing = self._numbers[-1] - self._numbers[0] + 1 - len(self._numbers)
        if missing:
            are = "is" if missing == 1 else "are"
            sentences.append(
                f"{counted(missing, 'image')} {are} missing between others, which are shown longer"
            )
        if self._alpha:
            sentences.append(
                "the transparency of some images is not carried over: the first, middle and last have none"
            )
        return sentences + _not_carried(self._uncarried)


def _uncarried(picture: Picture) -> Iterator[str]:
    """The facts of an image that the frame of a video has no place for, in words."""
    if picture.metadata.icc is not None:
        yield "ICC profiles"
    elif other := other_than_srgb(picture.metadata.png_chunks):
        yield f"colour spaces ({', '.join(other)})"
    if picture.metadata.further:
        yield picture.metadata.further


def _not_carried(names: Iterable[str]) -> list[str]:
    return [f"{name} of the images are not carried over" for name in sorted(names)]


def _format(picture: Picture) -> FrameFormat:
    """The picture's format when upright."""
    if not swaps_sides(picture.metadata.orientation):
        return picture.format
    if picture.format.pixel_format.subsampling not in ((0, 0), (1, 1)):
        raise FormatError(
            f"{picture.path} is rotated by Exif; in sequences only 4:2:0 and 4:4:4 can be rotated"
        )
    return replace(picture.format, width=picture.format.height, height=picture.format.width)


def _richness(format: FrameFormat) -> tuple[bool, bool, int]:
    pixels = format.pixel_format
    return pixels.family is not Family.GRAY, pixels.has_alpha, pixels.depth


def _read_as(picture: Picture, sequence: FrameFormat) -> FrameFormat:
    """The format in which the image is read: the sequence's format with the image's size, if it loses
    nothing."""
    found = _format(picture)
    have, want = found.pixel_format, sequence.pixel_format
    same_colors = (have.family, have.subsampling) == (want.family, want.subsampling)
    widened = have.family is Family.GRAY and want.family is Family.RGB
    if have.depth <= want.depth and (widened or same_colors):
        return replace(sequence, width=found.width, height=found.height)
    return found


def _fill(planes: Sequence[Plane], picture: Picture, wanted: FrameFormat) -> None:
    """Put an image, upright, into planes of `wanted`: gray as RGB, 8 bits as 16, without alpha opaque."""
    have, want = picture.format.pixel_format, wanted.pixel_format
    widened = have.family is Family.GRAY and want.family is Family.RGB
    for target, held in zip(planes, want.stored, strict=True):
        view = as_stored(target, picture.metadata.orientation)
        for position, which in enumerate(held):
            part = view[..., position] if len(held) > 1 else view
            if which == 3 and not have.has_alpha:
                part[:] = want.peak
            elif which >= 0:
                source = component(have, picture.planes, 0 if widened and which < 3 else which)
                gain = part.dtype.type(want.peak // have.peak)  # a Python number must fit into 8 bits
                np.multiply(source, gain, out=part, casting="unsafe")


def _convert(planes: Sequence[Plane], picture: Picture, found: FrameFormat, wanted: FrameFormat) -> None:
    """Put an image, read as `found`, into planes of `wanted`, converting size and pixel format."""
    dtype = np.dtype(found.pixel_format.sample_type)
    arrays = tuple(np.empty(shape, dtype) for shape in found.plane_shapes)
    _fill(arrays, picture, found)
    with av_errors_as(FormatError, f"{picture.path} cannot be made like the others, {wanted}"):
        frame = av.VideoFrame(found.width, found.height, found.pixel_format.name)
        copy_to_frame(arrays, frame)
        copy_from_frame(conformed(frame, found, wanted), planes)
