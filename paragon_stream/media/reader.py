"""The video of a file, frame by frame, straight into the planes that the engine reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import TracebackType
from typing import Self

import av

from paragon_stream.errors import FormatError, InputError
from paragon_stream.frame import Layout, Timing, pixel_format
from paragon_stream.media.av_errors import av_errors_as
from paragon_stream.media.conform import ONE_THREAD, conformed
from paragon_stream.media.decoder import Decoder
from paragon_stream.media.deinterlace import Deinterlacer, TimedFrame
from paragon_stream.media.info import Damage, MediaInfo, StreamKind
from paragon_stream.media.planes import Plane, copy_from_frame
from paragon_stream.media.seeking import decoder_at
from paragon_stream.media.side_data import readable, uncarried_in_frames
from paragon_stream.media.strength import REACH_SECONDS, StrengthTrack
from paragon_stream.media.timestamps import FALLBACK_RATE, TimestampRepair

_END = (None, None)
_INTERLACED = "the video is interlaced; its frames are processed as if they were progressive"


@dataclass(slots=True)
class _Change:
    """Frames of another format than the first: since when, how many."""

    seconds: float
    frames: int = 0


class VideoReader:
    """Decodes the video stream that `info` chose, in presentation order, with repaired timestamps.

    One thread reads; `close` may come from any thread, waits for a frame that is being read, and may come
    twice. `threads` is the number of decoding threads, up to 8 of them by default.

    Where `info.cut` is given, the frames in it are read, exactly, and decoding begins at a key frame before.
    A picture that changes its size or layout on the way is converted to the first frame's, in black bars
    where its shape is another, so that the programme stays whole; `warnings` says so.

    With `strengths`, `strength` tells how hard each frame was compressed (see `media.strength`).

    Raises InputError when the file cannot be opened, FormatError for a change that cannot be converted.
    """

    def __init__(self, info: MediaInfo, *, threads: int | None = None, strengths: bool = False) -> None:
        video = info.video
        self.info = info
        self.frames = 0
        """Frames read so far."""
        self._format = video.format
        left, top, right, bottom = video.crop
        self._coded_size = (video.format.width + left + right, video.format.height + top + bottom)
        self._crops = _plane_crops(info) if any(video.crop) else ()
        self._timestamps = TimestampRepair(
            video.time_base,
            video.average_rate,
            start=video.start_pts,
            trust_durations=video.durations_known,
        )
        self._changes: dict[str, _Change] = {}
        self._uncarried: set[str] = set()
        self._begin: Fraction | None = None
        self._first_pts: int | None = None
        self._end: Fraction | None = None
        self._ended = False
        self._gave_up: str | None = None
        self._lock = threading.Lock()
        self._decoder: Decoder | None
        begin = None if info.cut is None else info.cut.start - (REACH_SECONDS if strengths else 0)
        if begin is not None and video.fields is not None:
            # A range may begin with a frame's second field, which is made with the help of the frame before.
            begin -= 1 / (video.average_rate or FALLBACK_RATE)
        if begin is None or begin <= (video.start_pts or 0) * video.time_base:
            self._decoder = Decoder(info.path, video.index, threads=threads, quantisers=strengths)
            decoded = iter(self._decoder)
        else:
            self._decoder, decoded = decoder_at(
                info.path, video.index, begin, threads=threads, quantisers=strengths
            )
        timed: Iterator[TimedFrame] = ((f, self._timestamps(f.pts, f.duration)) for f in decoded)
        self._track = StrengthTrack(self._decoder.reading) if strengths else None
        if self._track is not None:
            timed = self._track.watch(timed)
        if video.fields is not None:
            timed = Deinterlacer(video.fields, video.average_rate).process(timed)
        self._timed = self._in_cut(timed)
        self._damage = Damage()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file and the decoder back. `damage` and `warnings` stay readable."""
        with self._lock:
            if self._decoder is not None:
                self._damage = self._decoder.damage
                self._timed = iter(())
                self._decoder.close()
                self._decoder = None

    def read_into(self, planes: Sequence[Plane]) -> Timing | None:
        """Copy the next frame into `planes` and return its timing; None after the last frame.

        planes: C-contiguous arrays of `info.video.format.plane_shapes`, uint8 or (above 8 bits) uint16.
        """
        shapes = tuple(plane.shape for plane in planes)
        if shapes != self._format.plane_shapes:
            raise ValueError(f"planes {shapes} given for frames of {self._format.plane_shapes}")
        with self._lock:
            if self._decoder is None:
                raise InputError(f"{self.info.path} was closed while it was being read")
            frame, timing = next(self._timed, _END)
            if frame is None or timing is None:
                return None
            self._note(frame, timing)
            copy_from_frame(self._in_first_format(frame, timing), planes, self._crops)
            return timing

    def skip(self) -> Timing | None:
        """The timing of the next frame, which is passed over; None after the last."""
        with self._lock:
            return next(self._timed, _END)[1]

    def strength(self, timing: Timing) -> float:
        """How hard the frame read last was compressed, 0…1; 0 unless opened with `strengths`."""
        return 0.0 if self._track is None else self._track.at(timing.pts * timing.time_base)

    @property
    def strength_source(self) -> str:
        """How the strengths so far are known, in words."""
        return "" if self._track is None else self._track.source

    @property
    def end(self) -> Fraction | None:
        """Until when the last frame decoded so far is shown, in seconds, whether in the cut or not."""
        return self._end

    @property
    def damage(self) -> Damage:
        """What was wrong with the packets and frames so far."""
        decoder = self._decoder
        return self._damage if decoder is None else decoder.damage

    @property
    def warnings(self) -> list[str]:
        """One sentence for each kind of trouble so far; complete after the last frame."""
        video = self.info.video
        said = [_INTERLACED] if video.interlaced and video.fields is None else []
        said += [*_damage_sentences(self.damage), *self._timestamps.warnings]
        said += [
            f"the picture changes to {name} at {change.seconds:.2f} s: {_count(change.frames, 'frame')} "
            "converted to the first frame's format"
            for name, change in self._changes.items()
        ]
        said += [f"{name} in the video cannot be carried over" for name in sorted(self._uncarried)]
        if late := self._late_begin():
            said.append(late)
        if self._gave_up:
            said.append(f"the rest of the file cannot be read: {self._gave_up}")
        if self._ended and (short := self._early_end()):
            said.append(short)
        return said

    def _in_cut(self, timed: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        """The frames of `timed` that lie in the cut; notes the end where it is the source's own."""
        cut = self.info.cut
        for frame, timing in timed:
            time = timing.pts * timing.time_base
            if cut is not None and cut.is_past(time):
                return
            self._end = (timing.pts + timing.duration) * timing.time_base
            if cut is None or time in cut:
                yield frame, timing
        self._ended = True
        self._gave_up = self._decoder.gave_up if self._decoder else None

    def _note(self, frame: av.VideoFrame, timing: Timing) -> None:
        self.frames += 1
        if self._begin is None:
            self._begin = timing.pts * timing.time_base
            self._first_pts = self._decoder.first_pts if self._decoder and not self.info.cut else None
        found = uncarried_in_frames(readable([frame], self.info.video.codec))
        self._uncarried.update(set(found) - set(self.info.video.uncarried))

    def _in_first_format(self, frame: av.VideoFrame, timing: Timing) -> av.VideoFrame:
        """`frame`, scaled and converted where it is not like the first one."""
        width, height = self._coded_size
        name = f"{frame.width}x{frame.height} {frame.format.name}"
        if (frame.width, frame.height) == (width, height):
            if self._same_layout(frame.format.name):
                return frame
            if frame.format.name == self.info.video.decoded:
                target = self._format.pixel_format.name
                with av_errors_as(FormatError, f"frames of {name} cannot be converted to {target}"):
                    return frame.reformat(format=target, threads=ONE_THREAD)
        change = self._changes.setdefault(name, _Change(timing.seconds))
        change.frames += 1
        first = replace(self._format, width=width, height=height)
        aspect = self._decoder.sample_aspect_ratio if self._decoder else None
        with av_errors_as(FormatError, f"the picture changes to {name} at {timing.seconds:.2f} s"):
            return conformed(frame, first, aspect or first.sample_aspect_ratio)

    def _same_layout(self, name: str) -> bool:
        if name == self._format.pixel_format.name:
            return True
        try:
            return pixel_format(name) == self._format.pixel_format  # yuvj420p is stored as yuv420p
        except FormatError:
            return False

    def _late_begin(self) -> str | None:
        if self._begin is None or self._first_pts is None:
            return None
        lost = float(self._begin - self._first_pts * self.info.video.time_base)
        if lost <= 0.25:
            return None
        return f"the first {lost:.2f} s of the video do not decode: no key frame comes before that"

    def _early_end(self) -> str | None:
        video = self.info.video
        length = video.duration
        if length is None and not any(stream.kind is StreamKind.AUDIO for stream in self.info.streams):
            length = self.info.duration
        if length is None or self._end is None:
            return None
        announced = length + float((video.start_pts or 0) * video.time_base)
        if announced - float(self._end) <= max(1.0, 0.05 * length):
            return None
        return (
            f"the video ends at {float(self._end):.2f} s although its header announces {announced:.2f} s: "
            "the file was probably cut off"
        )


def _plane_crops(info: MediaInfo) -> tuple[tuple[int, int], ...]:
    """For each plane the (rows, columns) of its own grid to skip."""
    format, (left, top, _, _) = info.video.format.pixel_format, info.video.crop
    sx, sy = format.subsampling
    if format.layout is Layout.PACKED:
        return ((top, left),)
    if format.layout is Layout.SEMIPLANAR:
        return (top, left), (top >> sy, left >> sx)
    return tuple(
        (top >> sy, left >> sx) if component in (1, 2) else (top, left) for component in format.order
    )


def _damage_sentences(damage: Damage) -> list[str]:
    said = []
    if damage.undecodable_packets:
        said.append(f"{_count(damage.undecodable_packets, 'video packet')} could not be decoded")
    if damage.corrupt_packets:
        said.append(f"{_count(damage.corrupt_packets, 'video packet')} in the file: damaged or incomplete")
    if damage.corrupt_frames:
        said.append(f"{_count(damage.corrupt_frames, 'frame')} decoded with errors: parts may be wrong")
    return said


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
