"""The sink for video files: encodes frames and muxes them with the other streams of the source."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import av

from paragon_stream.device import DevicePicture
from paragon_stream.errors import OutputError
from paragon_stream.frame import FrameData, Timing
from paragon_stream.media.encode.device_frames import DeviceFrames
from paragon_stream.media.encode.encoder_job import configure, encoder_frame
from paragon_stream.media.encode.messages import PacketMessages
from paragon_stream.media.encode.workdir import VERSIONS, WorkDir
from paragon_stream.media.facts.chapter_list import chapter_list
from paragon_stream.media.facts.containers import is_crash_safe
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.ffmpeg.encoder_guard import guarded_opening
from paragon_stream.media.ffmpeg.errors import AV_ERRORS, av_errors_as
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.output.finishing import Finishing
from paragon_stream.media.output.muxer import Muxer
from paragon_stream.media.output.packet_trim import cut_chapters, shifted_chapters
from paragon_stream.media.output.pieces import Pieces, headers_digest
from paragon_stream.media.output.placing import Placing
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.media.output.remux import Remuxer
from paragon_stream.media.output.route import AnyPacket
from paragon_stream.media.output.stream_plans import TIMECODE_MUXERS
from paragon_stream.media.output.tags import stream_tags
from paragon_stream.media.output.timecode import of_result, reel_name, tags_of_result
from paragon_stream.media.output.unfinished import Shortened, earlier_packets
from paragon_stream.media.safekeeping.journal import Journal
from paragon_stream.media.safekeeping.packet_log import PacketFacts
from paragon_stream.number_text import counted
from paragon_stream.pipeline.interrupt import HeldInterrupt

_PROGRESSIVE = 1
"""FFmpeg's AVFieldOrder."""

_REORDERED = 3
"""Least number of pictures of a stream with reordering. With fewer pictures x265's decode times are
invalid."""


class VideoWriter:
    """The sink for files, which carries out `plan`.

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
        """With `results`, all frames are given to `write_picture`, and the encoder reads them from the GPU's
        memory. With `pieces`, all frames are encoded already and are given to `pass_over`, not to `write`."""
        assert plan.destination and plan.container and plan.job, "a plan for a file"
        self.warnings: list[str] = []
        self._plan, self._job, self._container = plan, plan.job, plan.container
        self._what = f"cannot write {plan.destination}"
        self._tick = self._job.tick
        self._results = results
        self._size: int | None = None
        """Size of the complete file, bytes."""
        self.journal: Journal | None = None
        """The journal, if the render can be resumed."""
        self._pieces = pieces
        self._finishing = Finishing(plan, info)
        self._encoded = self._copied = False
        self._last: av.VideoFrame | None = None
        """The last frame given to the encoder."""
        self._messages = PacketMessages(self._job.encoder)
        self._ended = False
        self._out: Any = None
        self._video: Any = None
        self._muxer: Muxer | None = None
        self._placing = Placing(plan.shift, self._tick, self._job.rate)
        self._last_dts: int | None = None
        self._work = WorkDir(
            plan.destination,
            overwrite=plan.options.overwrite,
            identity=plan.identity,
            resume=plan.options.resume,
            may_differ=VERSIONS if plan.options.accept_upgrade else (),
        )
        if self._work.notice:
            self.warnings.append(self._work.notice)
        try:
            if plan.identity:
                self.journal = Journal(self._work.folder, spools=results is None)
                self._placing.go_on(self.journal.frames, self.done)
            with av_errors_as(OutputError, self._what):
                self._open(info)
            if self.journal is not None:
                self.journal.begin(file=self._work.file, before=self._work.before)
            if self._work.before is not None and not self.done:
                self.warnings.append(f"started again: nothing in {self._work.folder} can be resumed")
        except BaseException:
            self.abort()
            raise

    @property
    def done(self) -> int:
        """Number of frames at the beginning that an earlier run has written; the next frame follows them."""
        return self.journal.done if self.journal is not None else 0

    @property
    def headers(self) -> str:
        """See `headers_digest`; known once the file is begun."""
        return headers_digest(self._job.encoder.codec, bytes(self._video.codec_context.extradata or b""))

    @property
    def bytes_written(self) -> int:
        """See `Sink.bytes_written`."""
        if self._size is not None or self._muxer is None:
            return self._size or 0
        return self._muxer.bytes_written

    def pass_over(self, timing: Timing) -> None:
        """Write the next frame from `pieces`. Raises OutputError if it is not the expected one."""
        assert self._pieces is not None and self._muxer is not None
        with av_errors_as(OutputError, self._what):
            pts = self._placing.place(timing)
            packets = list(self._pieces.packets(pts, self._placing.duration(pts), self._tick))
        for packet in packets:
            packet.stream = self._video
            packet.duration = self._placing.taken(packet.pts)
            self._stamp_later(packet)
            self._muxer.picture(packet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def attach(self, data: FrameData) -> None:
        """See `Sink.attach`."""
        self._messages.coming = data

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        """See `Sink.write`."""
        with av_errors_as(OutputError, self._what):
            self._last = encoder_frame(planes, self._job.format)
        self._send(self._last, timing, planes)

    def write_picture(self, picture: DevicePicture, timing: Timing) -> None:
        """See `Sink.write_picture`."""
        assert self._results is not None, "opened with `results`"
        with av_errors_as(OutputError, self._what):
            self._last = self._results.frame(picture)
        self._send(self._last, timing, None)

    def repeat(self, timing: Timing) -> None:
        """See `Sink.repeat`: the encoder gets the same frame at another time."""
        assert self._last is not None, "a frame was written"
        self._send(self._last, timing, None)

    def _send(self, frame: av.VideoFrame, timing: Timing, planes: Sequence[Plane] | None) -> None:
        moved = self._placing.moved
        frame.pts = pts = self._placing.place(timing)
        frame.time_base = self._tick
        self._messages.note(pts)
        if self.journal is not None:
            record = replace(
                self.journal.announced(timing),
                pts=pts,
                duration=self._placing.duration(pts),
                moved=self._placing.moved > moved,
            )
            self.journal.frame(record, planes)
        with av_errors_as(OutputError, f"{self._what}: {self._job.encoder.name} at {timing.seconds:.2f} s"):
            packets = self._encode(frame)
        self._mux_video(packets)

    def finish(self) -> None:
        """Flush the encoder, write the rest of the other streams, close the file and give it its final name.

        Raises OutputError; the unfinished file is then kept in the work folder.
        """
        assert self._muxer is not None
        self._last = None  # a picture in a GPU's memory returns to its pool
        try:
            with av_errors_as(OutputError, f"{self._what}: {self._job.encoder.name}"):
                packets = self._encode(None)
            if self._muxer.first_dts is None and len(packets) < _REORDERED:
                for packet in packets:
                    packet.dts = packet.pts
            self._mux_video(packets)
            self._muxer.end()
            with av_errors_as(OutputError, self._what):
                self._out.close()
            self.warnings += self._muxer.close_source()
            with av_errors_as(OutputError, self._what):
                self.warnings += self._finishing.finish(self._work.file)
            if self.journal is not None:
                self.journal.close()
            self._size = self._work.promote()
        except BaseException:
            self.abort()
            raise
        self._ended = True
        if self._work.stays and self._pieces is None:  # a join removes its chunks afterwards
            self.warnings.append(f"files that are not of this render stay in {self._work.folder}")
        self.warnings += self._messages.warnings
        if self._placing.moved:
            moved = self._placing.moved
            self.warnings.append(
                f"{counted(moved, 'frame')} {'was' if moved == 1 else 'were'} less than one tick of"
                f" {self._container.name} after the frame before, and moved one tick later"
            )

    def give_up(self) -> None:
        """See `Sink.give_up`: nothing waits for a reader here."""

    def abort(self) -> None:
        """See `Sink.abort`: closes what has been written, and keeps it if it has pictures."""
        if self._ended:
            return
        self._ended = True
        with HeldInterrupt():
            self._keep_or_remove()

    def _keep_or_remove(self) -> None:
        """The rest of `abort`."""
        journal = self.journal
        if journal is not None:
            journal.make_room()
        if self._muxer is not None:
            self.warnings += self._muxer.close_source()
        if self._out is not None:
            with contextlib.suppress(*AV_ERRORS):
                self._out.close()  # writes the index, so that the unfinished file is playable
        self._video = self._out = self._last = None
        pictures = self._muxer is not None and self._muxer.pictures > 0
        if pictures:
            with contextlib.suppress(OutputError, OSError):
                self._finishing.write_header(self._work.file)  # only the whole file reports what has no room
        if journal is not None:
            journal.close()
            self.warnings += journal.warnings
        if kept := self._work.abandon(worth_keeping=pictures, work=journal is not None and journal.has_work):
            self.warnings.append(kept)

    # ---------------------------------------------------------------------------------- opening

    def _open(self, info: MediaInfo) -> None:
        plan = self._plan
        # Packets go to the file at once: those in FFmpeg's buffer would be lost with the process.
        options = {**self._finishing.muxer_options, "flush_packets": "1"}
        self._out = av.open(
            str(self._work.file), "w", format=self._container.muxer, container_options=options
        )
        safe = self.journal is not None and is_crash_safe(self._container, options)
        contained = self.journal.contained if self.journal is not None and safe else None
        self._muxer = muxer = Muxer(
            self._what, self._out, self._container, self._tick, self._placing, contained
        )
        if info.seekable:
            interval = 1 / (info.video.average_rate or FALLBACK_RATE)
            muxer.remuxer = Remuxer(
                info.path, plan.streams, info.video.index, plan.shift, info.cut, interval, info.probing
            )
        for stream in info.streams:
            if stream.index == info.video.index:
                self._add_video(info)
            elif muxer.remuxer is not None:
                muxer.remuxer.add(stream.index, self._out, self._container)
        for file in plan.added:
            muxer.added.append(
                Remuxer(file.path, file.streams, None, file.shift, file.cut, probing=file.probing)
            )
            for added in file.streams:
                muxer.added[-1].add(added.stream.index, self._out, self._container)
        self._out.metadata.update(self._finishing.file_tags)
        if muxer.remuxer is not None and self._container.chapters and plan.options.chapters:
            chapters = chapter_list(muxer.remuxer.source, info.matroska)
            if info.cut is not None:
                chapters = cut_chapters(chapters, info.cut)
            self._out.set_chapters(shifted_chapters(chapters, plan.shift))
        if self._results is None:
            self._begin_file()

    def _begin_file(self) -> None:
        with guarded_opening():
            self._out.start_encoding()

    def _encode(self, frame: av.VideoFrame | None) -> list[AnyPacket]:
        """The encoder's packets for `frame`, or its last ones for None. Raises PyAV's errors.

        The first frame opens an encoder that reads from a GPU's memory, because it determines the GPU.
        """
        if frame is None and not self._encoded:
            return []  # flushing an encoder without any frame may hang
        packets: list[AnyPacket] = self._video.encode(frame)
        if not self._encoded:
            self._encoded = True
            self._begin_file()  # a later call does nothing
        return [self._messages.added_to(packet) for packet in packets]

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
        remuxer = self._muxer.remuxer if self._muxer is not None else None
        if remuxer is not None:
            source = remuxer.source.streams[info.video.index]
            tags = tags_of_result(stream_tags(source.metadata, muxer=self._container.muxer), info)
            # The muxer writes alpha_mode itself; a tag of the same name would hide it.
            self._video.metadata.update({k: v for k, v in tags.items() if k.casefold() != "alpha_mode"})
            self._video.disposition = source.disposition
            if self._container.muxer in TIMECODE_MUXERS and (
                reel := reel_name(remuxer.source, info.video.index)
            ):
                self._video.metadata["reel_name"] = reel
        if info.video.timecode and self._container.muxer in TIMECODE_MUXERS:
            self._video.metadata["timecode"] = of_result(info.video.timecode, info)
        if info.video.stereo_mode and self._container.muxer in ("matroska", "webm"):
            self._video.metadata["stereo_mode"] = info.video.stereo_mode

    # ----------------------------------------------------------------------------------- packets

    def _mux_video(self, packets: Iterable[AnyPacket]) -> None:
        """Mux the encoder's packets, in coding order."""
        assert self._muxer is not None
        if self.journal is not None and not self._copied:
            self._copied = True
            self._copy_earlier(self._muxer, self.journal)
        for packet in packets:
            packet.duration = self._placing.taken(packet.pts)
            if self.done:
                self._stamp_later(packet)
            if self.journal is not None:
                times = packet.pts or 0, packet.dts, packet.duration
                self.journal.packet(PacketFacts(*times, packet.size, packet.is_keyframe), memoryview(packet))
            self._muxer.picture(packet)

    def _stamp_later(self, packet: AnyPacket) -> None:
        """Make decode times increase after a resume: those of the new encoder may begin before the end of the
        old one's."""
        if packet.dts is not None:
            if self._last_dts is not None:
                packet.dts = max(packet.dts, self._last_dts + 1)
            self._last_dts = packet.dts

    def _copy_earlier(self, muxer: Muxer, journal: Journal) -> None:
        """Copy the packets of an earlier run. Raises OutputError if some are missing."""
        journal.check_headers(self.headers)
        if not self.done:
            return
        try:
            for packet in earlier_packets(self._work.before, self._video.index, journal.packets, self._tick):
                packet.stream = self._video
                self._last_dts = packet.dts
                muxer.picture(packet)
        except Shortened as error:
            available = journal.shorten(error.packets)
            raise OutputError(
                f"{error}: run --resume once more, it continues with picture {available}"
            ) from None
