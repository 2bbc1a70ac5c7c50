"""A video file: frames are encoded, everything else of the source is muxed beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av

from paragon_stream.device import DevicePicture
from paragon_stream.errors import OutputError
from paragon_stream.frame import Timing
from paragon_stream.media.decode.timestamps import rescale
from paragon_stream.media.encode.device_frames import DeviceFrames
from paragon_stream.media.encode.encoders import configure, encoder_frame
from paragon_stream.media.encode.workdir import WorkDir
from paragon_stream.media.facts.chapter_list import chapter_list
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.ffmpeg.errors import AV_ERRORS, av_errors_as, reason
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.ffmpeg.scheduler_guard import ordinary_scheduling
from paragon_stream.media.matroska.header import write_header
from paragon_stream.media.output.matroska_header import file_tags_of, header_change
from paragon_stream.media.output.packet_trim import cut_chapters, shifted_chapters
from paragon_stream.media.output.pieces import Pieces, headers_digest
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.media.output.remux import AnyPacket, Remuxer
from paragon_stream.media.output.tags import stream_tags
from paragon_stream.media.output.timecode import tags_of_part
from paragon_stream.media.output.unfinished import Unfinished

AHEAD = Fraction(1)
"""Seconds that copied packets are handed to the muxer before the picture they go with: when a fragment of MP4
ends, it takes the last durations from what is queued."""

_PROGRESSIVE = 1
"""AVFieldOrder."""

_REORDERED = 3
"""Pictures that a stream must have for any to be reordered. Of fewer x265 makes decode times up."""


class VideoWriter:
    """The sink for files: `plan` carried out.

    The file grows in `OUT.paragon/` and gets its final name in `finish`. After `abort` what has been written
    stays there, closed properly so that it plays, and a warning says where; if no picture was in it yet,
    nothing stays. Leaving a `with` block without `finish` aborts.

    Raises OutputError if the destination cannot be written or another run is writing it.
    """

    def __init__(
        self,
        plan: OutputPlan,
        info: MediaInfo,
        results: DeviceFrames | None = None,
        pieces: Pieces | None = None,
    ) -> None:
        """With `results`, frames are pictures of those: the encoder takes them from the GPU's memory. With
        `pieces`, all frames are there: every one of them goes to `pass_over`, none to `write`."""
        assert plan.destination and plan.container and plan.job, "a plan for a file"
        self.warnings: list[str] = []
        self.bytes_written = 0
        self._plan, self._job, self._container = plan, plan.job, plan.container
        self._what = f"cannot write {plan.destination}"
        self._tick = self._job.tick
        self._results = results
        self._last_pts: int | None = None
        self._moved = 0
        self._durations: dict[int, int] = {}
        self._first_dts: int | None = None
        self._begin: int | None = None
        self._end = 0
        self._waiting: AnyPacket | None = None
        self._pictures = 0
        self._ended = False
        self._remuxer: Remuxer | None = None
        self._added: list[Remuxer] = []
        """Files that were added to the source."""
        self._out: Any = None
        self._video: Any = None
        self._header = header_change(plan, info)
        self._unfinished: Unfinished | Pieces | None = pieces
        self._encoded = 0
        self._last_dts: int | None = None
        self._before_last: int | None = None
        """Decode time of the packet before the one that is waiting."""
        self._work = WorkDir(
            plan.destination,
            overwrite=plan.options.overwrite,
            identity=plan.identity,
            resume=plan.options.resume,
        )
        if self._work.notice:
            self.warnings.append(self._work.notice)
        try:
            with av_errors_as(OutputError, self._what):
                self._open(info)
                if pieces is None:
                    self._unfinished = self._earlier_pictures()
        except BaseException:
            self.abort()
            raise

    @property
    def done(self) -> int:
        """Frames that an earlier run has written: they go to `pass_over` instead of `write`."""
        return self._unfinished.frames if self._unfinished is not None else 0

    @property
    def earlier(self) -> Path | None:
        """The file of that run."""
        return self._work.before

    @property
    def headers(self) -> str:
        """See `headers_digest`; known once the file is begun."""
        return headers_digest(self._job.encoder.codec, bytes(self._video.codec_context.extradata or b""))

    def pass_over(self, timing: Timing) -> None:
        """The next frame is one of those that are `done`. Raises OutputError if it is not."""
        assert self._unfinished is not None, "there is an earlier run"
        with av_errors_as(OutputError, self._what):
            pts = self._place(timing)
            packets = list(self._unfinished.packets(pts, self._durations[pts], self._tick))
        for packet in packets:
            packet.stream = self._video
        self._mux_video(packets)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def write(self, planes: Sequence[Plane] | DevicePicture, timing: Timing) -> None:
        """Encode one frame. See `Sink.write`; a picture is kept until the encoder is done with it."""
        with av_errors_as(OutputError, self._what):
            frame = self._frame_of(planes)
        frame.pts = self._place(timing)
        frame.time_base = self._tick
        with av_errors_as(OutputError, f"{self._what}: {self._job.encoder.name} at {timing.seconds:.2f} s"):
            packets = self._encode(frame)
        self._mux_video(packets)

    def finish(self) -> None:
        """Flush the encoder, write what remains of the other streams, close the file, give it its name.

        Raises OutputError; what was written is then kept in the work folder.
        """
        try:
            with av_errors_as(OutputError, f"{self._what}: {self._job.encoder.name}"):
                packets = self._encode(None)
            if self._first_dts is None and len(packets) < _REORDERED:
                for packet in packets:
                    packet.dts = packet.pts
            self._mux_video(packets)
            if self._waiting is not None:
                self._mux_last(self._waiting)
            for remuxer in self._all_remuxers():
                self._mux_copied(remuxer.take(None))
                self._mux_copied(remuxer.flush())
            with av_errors_as(OutputError, self._what):
                self._out.close()
            self._close_source()
            self._write_header()
            self.bytes_written = self._work.promote()
        except BaseException:
            self.abort()
            raise
        self._ended = True
        if self._moved:
            self.warnings.append(
                f"{self._moved} frames were closer together than {self._container.name} can tell apart"
                " and were shown one tick later"
            )

    def abort(self) -> None:
        """See `Sink.abort`: closes what has been written, and keeps it if it has pictures."""
        if self._ended:
            return
        self._ended = True
        self._close_source()
        if self._out is not None:
            with contextlib.suppress(*AV_ERRORS):
                self._out.close()  # writes the index, so that what is there can be played
        self._video = self._out = None
        if self._pictures:
            with contextlib.suppress(OutputError):
                self._write_header()
        if kept := self._work.abandon(worth_keeping=self._pictures > 0):
            self.warnings.append(kept)

    # ---------------------------------------------------------------------------------- opening

    def _open(self, info: MediaInfo) -> None:
        plan = self._plan
        options = dict(plan.muxer_options)
        if self._header is not None and self._header.room:
            options["metadata_header_padding"] = str(self._header.room)
        self._out = av.open(
            str(self._work.file), "w", format=self._container.muxer, container_options=options
        )
        if info.seekable:
            interval = 1 / (info.video.average_rate or FALLBACK_RATE)
            self._remuxer = Remuxer(
                info.path, plan.streams, info.video.index, plan.shift, info.cut, interval, info.probing
            )
        for stream in info.streams:
            if stream.index == info.video.index:
                self._add_video(info)
            elif self._remuxer is not None:
                self._remuxer.add(stream.index, self._out, self._container)
        for file in plan.added:
            self._added.append(
                Remuxer(file.path, file.streams, None, file.shift, file.cut, probing=file.probing)
            )
            for added in file.streams:
                self._added[-1].add(added.stream.index, self._out, self._container)
        self._out.metadata.update(file_tags_of(plan, self._header))
        if self._remuxer is not None and self._container.chapters and plan.options.chapters:
            chapters = chapter_list(self._remuxer.source, info.matroska)
            if info.cut is not None:
                chapters = cut_chapters(chapters, info.cut)
            self._out.set_chapters(shifted_chapters(chapters, plan.shift))
        if self._results is None:
            self._begin_file()

    def _earlier_pictures(self) -> Unfinished | None:
        """What an earlier run has written; None, with a warning, if nothing of it can be read."""
        if self._work.before is None:
            return None
        try:
            return Unfinished(self._work.before, self._video.index)
        except OutputError as error:  # a run that was killed at its beginning
            self.warnings.append(f"begun anew: {error}")
            return None

    def _begin_file(self) -> None:
        with ordinary_scheduling():
            self._out.start_encoding()

    def _frame_of(self, planes: Sequence[Plane] | DevicePicture) -> av.VideoFrame:
        if not isinstance(planes, DevicePicture):
            return encoder_frame(planes, self._job.format)
        assert self._results is not None, "pictures come from there"
        return self._results.frame(planes)

    def _encode(self, frame: av.VideoFrame | None) -> list[AnyPacket]:
        """What the encoder has to say to `frame`, or at the end. Raises what PyAV raises.

        An encoder that takes frames of a GPU is opened by the first of them, which tells it which GPU.
        """
        if frame is None and not self._encoded:
            return []  # encoders that never got a frame may not end
        packets: list[AnyPacket] = self._video.encode(frame)
        self._encoded += 1
        if self._results is not None and not self._pictures:
            self._begin_file()  # once; afterwards it does nothing
        return packets

    def _add_video(self, info: MediaInfo) -> None:
        self._video = self._out.add_stream(self._job.encoder.name, rate=self._job.rate)
        configure(self._video.codec_context, self._job)
        if self._results is not None:
            self._video.codec_context.pix_fmt = "cuda"
        self._video.time_base = self._tick
        if info.video.fields is not None or not info.video.interlaced:
            self._video.codec_context.field_order = _PROGRESSIVE
        if self._job.encoder.codec == "hevc" and self._container.name in ("mp4", "mov"):
            self._video.codec_context.codec_tag = "hvc1"  # Apple's players refuse FFmpeg's default, hev1
        if info.video.display_matrix is not None and self._container.rotation:
            self._video.set_display_matrix(info.video.display_matrix)
        if self._remuxer is not None:
            source = self._remuxer.source.streams[info.video.index]
            tags = tags_of_part(stream_tags(source.metadata, muxer=self._container.muxer), info)
            # The muxer says itself whether there is alpha; as a tag it would hide that.
            self._video.metadata.update({k: v for k, v in tags.items() if k.casefold() != "alpha_mode"})
            self._video.disposition = source.disposition
        if info.video.stereo_mode and self._container.muxer in ("matroska", "webm"):
            self._video.metadata["stereo_mode"] = info.video.stereo_mode

    def _write_header(self) -> None:
        """Matroska: what FFmpeg's muxer cannot be given, into the complete file."""
        if self._header is None or not self._header.room or not self._work.file.exists():
            return  # `promote` says that it is gone
        with av_errors_as(OutputError, self._what):
            if not write_header(self._work.file, self._header):
                self.warnings.append("the header has no room for all languages, chapters and tags")

    # ----------------------------------------------------------------------------------- timing

    def _place(self, timing: Timing) -> int:
        """The frame's pts in output ticks, rounded once; later than the one before, whatever the rounding."""
        pts = rescale(timing.pts, timing.time_base, self._plan.shift, self._tick)
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
            self._moved += 1
        self._last_pts = pts
        if timing.duration > 0:
            end = rescale(timing.pts + timing.duration, timing.time_base, self._plan.shift, self._tick)
        else:
            end = pts + round(1 / (self._job.rate * self._tick))
        self._durations[pts] = max(1, end - pts)
        self._begin = pts if self._begin is None else self._begin
        self._end = max(self._end, end)
        return pts

    # ----------------------------------------------------------------------------------- muxing

    def _mux_video(self, packets: Iterable[AnyPacket]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, 0) if packet.pts is not None else 0
            if self._unfinished is not None and packet.dts is not None:
                # A second encoder begins where the first one's decode times have not ended everywhere.
                if self._last_dts is not None:
                    packet.dts = max(packet.dts, self._last_dts + 1)
                self._last_dts = packet.dts
            if self._first_dts is None:
                self._first_dts = packet.dts
            if self._waiting is not None:
                self._before_last = self._waiting.dts
                self._mux_picture(self._waiting)
            self._waiting = packet

    def _mux_last(self, packet: AnyPacket) -> None:
        """The last packet in decoding order, which gives MP4 and MOV their length.

        They say it twice: when the last picture ends (in the edit list, the latest pts + duration of all
        packets), and the sum of all steps between decode times with the last packet's duration (in mdhd).
        Players take the lesser. Both are right where this packet is decoded as long before it is shown as the
        first one is; uneven frame times may put its decode time, that of an earlier picture, far off.
        """
        self._waiting = None
        if self._container.length_by_decode_times and packet.dts is not None and packet.pts is not None:
            first, begin = self._first_dts or 0, self._begin or 0
            ideal = packet.pts - (begin - first)
            left = self._end - packet.pts
            if packet.pts == self._last_pts:  # no other packet lasts to the end
                least = ideal if self._before_last is None else self._before_last + 1
                packet.dts = min(packet.pts, max(ideal, least))
            else:
                packet.dts = min(packet.pts, max(packet.dts, ideal))
                left = min(left, self._end - begin + first - packet.dts)
            packet.duration = max(1, left)
        self._mux_picture(packet)

    def _mux_picture(self, packet: AnyPacket) -> None:
        stamp = packet.dts if packet.dts is not None else packet.pts or 0
        for remuxer in self._all_remuxers():
            self._mux_copied(remuxer.take(stamp * self._tick + AHEAD))
        self._mux(packet)
        self._pictures += 1

    def _mux_copied(self, packets: Iterable[AnyPacket]) -> None:
        for packet in packets:
            self._mux(packet)

    def _mux(self, packet: AnyPacket) -> None:
        """Hand a packet to the muxer.

        FFmpeg queues packets to interleave them, so an error may be about one handed over before. Pictures
        come from an encoder and are sound; copied packets may not be, and cost no more than themselves.
        """
        size = packet.size
        try:
            self._out.mux_one(packet)
        except AV_ERRORS as error:
            # A muxer's plain "-1" for a malformed packet looks like EPERM; an open file gives no such error.
            disk = isinstance(error, OSError) and not isinstance(error, PermissionError)
            everyone = self._all_remuxers()
            if disk or not everyone:
                raise OutputError(f"{self._what}: {reason(error)}") from error
            if not any(remuxer.failed(packet, error) for remuxer in everyone):
                everyone[0].refused += 1
        self.bytes_written += size

    def _close_source(self) -> None:
        if self._unfinished is not None:
            self._unfinished.close()
        for remuxer in self._all_remuxers():
            self.warnings += remuxer.warnings
            remuxer.close()
        self._remuxer, self._added = None, []

    def _all_remuxers(self) -> list[Remuxer]:
        """Those of the source, then those of added files."""
        return ([self._remuxer] if self._remuxer is not None else []) + self._added
