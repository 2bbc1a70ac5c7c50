"""The video of a file, frame by frame, straight into the planes that the engine reads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Self

import av

from paragon_stream.device import DevicePicture
from paragon_stream.errors import FormatError, InputError
from paragon_stream.frame import NO_DATA, FrameFormat, Timing
from paragon_stream.media.decode.conform import ONE_THREAD, conformed
from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.decode.frame_source import FrameSource
from paragon_stream.media.decode.nvdec import hand_over, is_on_gpu, layout_of, on_host
from paragon_stream.media.decode.seeking import decoder_at
from paragon_stream.media.decode.timestamps import TimestampRepair, with_strays
from paragon_stream.media.facts.appearance import Appearance
from paragon_stream.media.facts.info import Damage, MediaInfo, VideoInfo
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.facts.side_data import is_readable, readable, uncarried_in_frames
from paragon_stream.media.ffmpeg.errors import av_errors_as
from paragon_stream.media.ffmpeg.pixel_formats import is_layout_of, is_transparent
from paragon_stream.media.ffmpeg.planes import Plane, plane_crops
from paragon_stream.media.frames.deinterlace import Deinterlacer, TimedFrame
from paragon_stream.media.frames.extent import Extent
from paragon_stream.media.frames.format_changes import FormatChanges
from paragon_stream.media.frames.format_judge import FormatJudge
from paragon_stream.media.frames.frame_data import FrameDataTrack
from paragon_stream.media.frames.strength import REACH_SECONDS, Fetch, StrengthTrack

_INTERLACED = "the video is interlaced; its frames are processed as if they were progressive"
_ALPHA_LOST = "the transparency of some frames is not carried over: the first frames have none"


class VideoReader:
    """Decodes the video stream `info.video`, in presentation order, with repaired timestamps.

    One thread reads; `close` may come from any thread, waits for a frame that is being read, and may come
    twice. `threads` is the number of decoding threads, up to 8 of them by default.

    With `info.cut`, exactly the frames in it are read, and decoding begins at an earlier key frame.

    With `from_start`, decoding begins at the first frame of the file; frames before the cut are skipped.

    With `follow`, a stream whose format changes is read in stretches of one format each: where `read_into`
    gives None, `changes.next_format` continues (see `media.frames.format_changes`). Without it, all frames
    are converted to the format of the first, with black bars where the aspect ratio differs. `warnings` lists
    the changes.

    `frame_data` names the data of frames that a sink carries over; `data` has those of each frame.

    With `strengths`, `strength` is the compression strength of each frame (see `media.frames.strength`).

    If `info.video.gpu` decodes, `fetch` lets frames stay in its memory: see `picture`.

    `source` replaces the file as the source of frames; the reader closes it. If it is `live`, no frame waits
    for later ones to find its strength.

    Raises InputError when the file cannot be opened, FormatError for a change that cannot be converted.
    """

    def __init__(
        self,
        info: MediaInfo,
        *,
        threads: int | None = None,
        strengths: bool = False,
        frame_data: Collection[str] = (),
        follow: bool = False,
        fetch: Fetch | None = None,
        source: FrameSource | None = None,
        live: bool = False,
        from_start: bool = False,
    ) -> None:
        video = info.video
        gpu = None if video.gpu is None else replace(video.gpu, resident=fetch is not None)
        self.info = info
        self.frames = 0
        """Frames read so far."""
        self.picture: DevicePicture | None = None
        """The frame read last, if it is in a GPU's memory; then nothing was copied into the planes."""
        self.damaged = False
        self.data = NO_DATA
        """The data of the frame read last, of the kinds that the reader was opened with."""
        self._timestamps = TimestampRepair(
            video.time_base,
            video.average_rate,
            start=video.start_pts,
            trust_durations=video.durations_known,
        )
        self._judge = FormatJudge(video)
        self._aspects: deque[tuple[Fraction, Fraction | None]] = deque()
        """Time → sample aspect ratio from then on; several if it changed between decoding and reading."""
        self._uncarried: set[str] = set()
        self._alpha_lost = False
        self._extent = Extent(info)
        self._live = live
        self._lock = threading.Lock()
        self._decoder: FrameSource | None
        if source is not None:
            self._decoder, decoded = source, iter(source)
        else:
            begin = None if from_start else _decoding_start(info, strengths=strengths)
            self._decoder, decoded = decoder_at(
                info.path,
                video.index,
                begin,
                threads=threads,
                quantisers=strengths,
                gpu=gpu,
                probing=info.probing,
            )
        self._decoders = [self._decoder.name]
        timed = self._stamped(with_strays(decoded, video.time_base, live=live), self._decoder)
        self._track = StrengthTrack(self._decoder.reading, causal=live, fetch=fetch) if strengths else None
        if self._track is not None:
            timed = self._track.watch(timed)
        self._kinds = frozenset(frame_data)
        self._data = FrameDataTrack(self._kinds) if self._kinds and is_readable(video.codec) else None
        if self._data is not None:
            timed = self._data.watch(timed)
        if video.fields is not None:
            timed = Deinterlacer(video.fields, video.average_rate).process(timed)
        self._timed = self._in_cut(timed)
        self.changes = FormatChanges(video.format, self._judged(self._timed), follow=follow, live=live)
        """The next format of the stream, and the way to continue with it."""
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
                self._timed.close()  # releases the frames that it holds
                self._decoder.close()
                self._decoder = None

    def read_into(self, planes: Sequence[Plane]) -> Timing | None:
        """Copy the next frame into `planes` and return its timing; see also `picture`.

        planes: C-contiguous arrays of `changes.format.plane_shapes`, uint8 or (above 8 bits) uint16.

        None after the last frame and, with `follow`, before one of another format.
        """
        wanted = self.changes.format
        shapes = tuple(plane.shape for plane in planes)
        if shapes != wanted.plane_shapes:
            raise ValueError(f"planes {shapes} given for frames of {wanted.plane_shapes}")
        with self._lock:
            if self._decoder is None:
                raise InputError(f"{self.info.path} was closed while it was being read")
            arrival = self.changes.take()
            if arrival is None:
                return None
            frame, timing = arrival.item, arrival.timing
            self._note(frame, timing, arrival.observed.format)
            self._copy(frame, timing, arrival.observed.format, planes)
            return timing

    def first(self) -> tuple[Timing, VideoInfo] | None:
        """Skip the first frame: its timing, and the facts of the video if it began there."""
        with self._lock:
            for frame, timing in self._timed:
                return timing, self._judge.video_from(frame, self._appearance(frame, timing))
            return None

    def timings(self) -> Iterator[Timing]:
        """Skip all frames and return their timings."""
        while True:
            with self._lock:  # not while the caller has a timing: it may close the reader
                found = next(self._timed, None)
            if found is None:
                return
            yield found[1]

    @property
    def depends_on_history(self) -> str:
        """Why the frames so far may differ from those of a decoder that began earlier in the file; "" if they
        cannot."""
        first = self.info.video.format
        if any(each.format != first or each.converted for each in self.changes.formats):
            return "the picture changes its format"
        if self.damage != Damage() or len(self._decoders) > 1:
            return "the video is damaged"
        return "timestamps were repaired" if self._timestamps.warnings else ""

    def strength(self, timing: Timing) -> float:
        """The compression strength of the frame read last, 0…1; 0 if opened without `strengths`."""
        return 0.0 if self._track is None else self._track.at(timing.time)

    @property
    def strength_source(self) -> str:
        """The source of the strengths so far, in words."""
        return "" if self._track is None else self._track.source

    @property
    def decoder(self) -> str:
        """The decoders of the frames so far: "h264 on cuda:0, from frame 240 on h264 on the CPU"."""
        return ", ".join(self._decoders)

    @property
    def end(self) -> Fraction | None:
        """End of the last frame decoded so far, in seconds, whether it is in the cut or not."""
        return self._extent.end

    @property
    def damage(self) -> Damage:
        """Damage of the packets and frames so far."""
        decoder = self._decoder
        return self._damage if decoder is None else decoder.damage

    @property
    def disturbed(self) -> bool:
        """See `FrameReader`."""
        fields = self.info.video.fields
        # Inverse telecine counts groups of five frames from the beginning.
        film = fields is not None and fields.film
        noted = self._judge.notes or self._uncarried or self._alpha_lost
        return bool(film or self.depends_on_history or noted)

    def go_on(self, frames: int, first: Fraction) -> None:
        """See `FrameReader`."""
        self.frames = frames
        self.changes.go_on(frames, float(first))

    @property
    def repairs(self) -> list[str]:
        """The part of `warnings` that also counts decoded frames outside the cut."""
        return [*self.damage.sentences, *self._timestamps.warnings]

    @property
    def warnings(self) -> list[str]:
        """One sentence for each kind of problem so far; complete after the last frame."""
        video = self.info.video
        sentences = [_INTERLACED] if video.interlaced and video.fields is None else []
        sentences += [*self.repairs, *self.changes.warnings, *self._judge.notes]
        if len(self._decoders) > 1:
            sentences.append(f"the GPU did not decode all of the video: {self.decoder}")
        if self._alpha_lost:
            sentences.append(_ALPHA_LOST)
        sentences += [f"{name} in the video cannot be carried over" for name in sorted(self._uncarried)]
        return [*sentences, *self._extent.sentences(live=self._live)]

    def _stamped(
        self, decoded: Iterator[tuple[av.VideoFrame, bool]], decoder: FrameSource
    ) -> Iterator[TimedFrame]:
        """The frames with their times; notes the shape of their samples. See `with_strays`."""
        for frame, strays in decoded:
            stamps = self._timestamps
            timing = stamps.stray(frame.duration) if strays else stamps(frame.pts, frame.duration, frame.dts)
            frame = self._where_wanted(frame)
            if decoder.left_gpu is not None and len(self._decoders) == 1:
                self._decoders.append(
                    f"from frame {decoder.left_gpu.frames} on {decoder.name} ({decoder.left_gpu.reason})"
                )
            aspect = decoder.aspect(frame)
            if not self._aspects or self._aspects[-1][1] != aspect:
                self._aspects.append((timing.time, aspect))
            yield frame, timing

    def _where_wanted(self, frame: av.VideoFrame) -> av.VideoFrame:
        """`frame`, copied to the host if its format differs from the first: only that format's session is on
        its GPU."""
        first = self.info.video.appearance
        like = frame.width, frame.height, layout_of(frame, self.info.video)
        if not is_on_gpu(frame) or (first and like == (first.width, first.height, first.pixel_format)):
            return frame
        with av_errors_as(FormatError, f"a frame of {frame.width}x{frame.height} stays on the GPU"):
            return on_host(frame)

    def _appearance(self, frame: av.VideoFrame, timing: Timing) -> Appearance:
        """Call it in order of time."""
        while len(self._aspects) > 1 and self._aspects[1][0] <= timing.time:
            self._aspects.popleft()
        found = Appearance.of(frame, self._aspects[0][1])
        return replace(found, pixel_format=layout_of(frame, self.info.video))

    def _judged(self, timed: Iterator[TimedFrame]) -> Iterator[tuple[av.VideoFrame, Timing, FrameFormat]]:
        """The frames with their formats."""
        for frame, timing in timed:
            appearance = self._appearance(frame, timing)
            yield frame, timing, self._judge.format_of(frame, appearance, timing.seconds)

    def _in_cut(self, timed: Iterator[TimedFrame]) -> Generator[TimedFrame, None, None]:
        """The frames of `timed` in the cut; notes the source's end if the cut has none."""
        cut = self.info.cut
        for frame, timing in timed:
            time = timing.time
            if cut is not None and cut.is_past(time):
                self._look_for_breaks()
                return
            self._extent.end = (timing.pts + timing.duration) * timing.time_base
            if cut is None or time in cut:
                yield frame, timing
            elif self._data is not None:
                self._data.take(time)
        self._look_for_breaks()
        self._extent.ends(self._decoder.gave_up if self._decoder else None)

    def _look_for_breaks(self) -> None:
        if isinstance(self._decoder, Decoder):
            self._decoder.look_for_breaks()

    def _note(self, frame: av.VideoFrame, timing: Timing, format: FrameFormat) -> None:
        self.frames += 1
        if not (self._alpha_lost or format.pixel_format.has_alpha):
            self._alpha_lost = is_transparent(frame)
        corrupt = frame.is_corrupt if self._decoder is None else self._decoder.is_corrupt(frame)
        self.damaged = corrupt or (self.damaged and not frame.key_frame)
        if self._decoder is not None:
            self._extent.begins(timing.time, self._decoder.first_pts)
        found = set(uncarried_in_frames(readable([frame], self.info.video.codec)))
        if self._data is not None:
            self.data = self._data.take(timing.time)
        self._uncarried.update(found - self._kinds - set(self.info.video.uncarried))

    def _copy(
        self, frame: av.VideoFrame, timing: Timing, found: FrameFormat, planes: Sequence[Plane]
    ) -> None:
        """`frame`, of the format `found`, into planes of `changes.format`."""
        wanted = self.changes.format
        crops: Sequence[tuple[int, int]] = ()
        size = wanted.width, wanted.height
        if self._judge.is_cropped(frame):
            crops, size = plane_crops(wanted.pixel_format, self.info.video.crop), (frame.width, frame.height)
        layout = layout_of(frame, self.info.video)
        name = f"{frame.width}x{frame.height} {layout}"
        with av_errors_as(
            FormatError, f"frames of {name}, from {timing.seconds:.2f} s on, cannot be converted"
        ):
            if found != wanted:
                frame = on_host(frame) if is_on_gpu(frame) else frame
                frame = conformed(frame, found, replace(wanted, width=size[0], height=size[1]))
            elif not is_layout_of(layout, wanted.pixel_format):
                frame = frame.reformat(format=wanted.pixel_format.name, threads=ONE_THREAD)
        self.picture = hand_over(frame, planes, crops, wanted.pixel_format)


def _decoding_start(info: MediaInfo, *, strengths: bool) -> Fraction | None:
    """The time, in the source's timestamps, before which decoding begins for the cut; None for the start of
    the file."""
    video = info.video
    # Of five telecined frames one is left out; which one depends on all frames from the beginning on.
    if info.cut is None or (video.fields is not None and video.fields.film):
        return None
    begin = info.cut.start - (2 * REACH_SECONDS if strengths else 0)
    if video.fields is not None:
        # A range may begin with a frame's second field; deinterlacing it needs the frame before.
        begin -= 1 / (video.average_rate or FALLBACK_RATE)
    return None if begin <= (video.start_pts or 0) * video.time_base else begin
