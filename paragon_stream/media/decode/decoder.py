"""Decodes one video stream and continues after damaged packets."""

from __future__ import annotations

import logging
import math
import os
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from paragon_stream.errors import reason
from paragon_stream.media.decode.cut_off import is_cut_off
from paragon_stream.media.decode.frame_source import LeftGpu
from paragon_stream.media.decode.hevc_pictures import pictures_owed
from paragon_stream.media.decode.last_picture import LastPicture
from paragon_stream.media.decode.nvdec import open_on_gpu
from paragon_stream.media.decode.packet_tail import PacketTail
from paragon_stream.media.decode.sample_aspects import AspectLog, packet_serial
from paragon_stream.media.decode.threads import Threading, threading_for
from paragon_stream.media.decode.timestamps import DISCONTINUITY_SECONDS
from paragon_stream.media.decode.whole_packets import examined
from paragon_stream.media.facts.breaks import count_breaks
from paragon_stream.media.facts.info import Damage, Gpu
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.ffmpeg.stamps import presentation_stamp
from paragon_stream.media.quantisers.meter import QuantiserMeter, Reading
from paragon_stream.media.source.opening import decoding_context, has_index, open_source, video_stream
from paragon_stream.media.source.probing import HEADERS, Probing
from paragon_stream.media.source.readable import ReadingWatch

MAX_THREADS = 8
"""Default number of decoding threads. Each holds a frame, and decoding takes much less time than the
network."""

_MAX_READ_FAILURES = 16
"""Consecutive failed reads after which reading the file ends."""

logger = logging.getLogger(__name__)


class Decoder:
    """Iterates over `av.VideoFrame`s in presentation order.

    Packets that do not decode are counted and skipped. Frames flagged as corrupt are partly concealed. With
    `quantisers`, `reading` returns the quantiser of each frame; H.264 then decodes in one thread (see
    `threads`). Not thread-safe. Raises InputError on opening, or if reading fails.

    With `gpu`, that GPU decodes to semi-planar frames. At the first packet that it does not decode, and at
    the first sign of damage, the CPU continues from the last key frame, with planar frames. No frame is lost
    or delivered twice (unless there is no key frame among the packets that `PacketTail` keeps).
    """

    def __init__(
        self,
        path: Path,
        index: int,
        *,
        threads: int | None = None,
        quantisers: bool = False,
        gpu: Gpu | None = None,
        probing: Probing = HEADERS,
    ) -> None:
        self._path, self._index, self._probing = path, index, probing
        self._threads = threads or min(MAX_THREADS, os.cpu_count() or 1)
        self._gpu: Gpu | None = None
        """The GPU that decodes now; None for the CPU."""
        self._again: InputContainer | None = None
        """The file, opened a second time for the CPU decoder that replaced the GPU's."""
        self.left_gpu: LeftGpu | None = None
        """Set once the CPU decodes instead of the GPU."""
        self._seen_already: set[object] = set()
        """Serial numbers of packets whose frames the GPU delivered; the CPU decodes them again."""
        self._frames = 0
        self._container, self._stream, self._context = self._opened(gpu)
        self._watch = ReadingWatch(path, probing)
        for stream in self._container.streams:
            if stream.index != index:
                stream.discard = av.stream.Discard.all
        self._context.copy_opaque = True
        self._meter = QuantiserMeter(self._context, on_gpu=self._gpu is not None) if quantisers else None
        self._frame_threads = False
        if self._gpu is None:
            self._use_threads()
        self._tail = PacketTail(reorder=self._threads + 32)
        self._aspects = AspectLog(frame_threads=self._frame_threads)
        self._last_picture = LastPicture(self._container.format.name, self._stream)
        self._examined = examined(self._context.codec.canonical_name)
        self._damaged_packets: set[int] = set()
        """Serial numbers of damaged packets that FFmpeg's decoder does not report."""
        self._owed = pictures_owed(self._context)
        self._skipped_to: list[av.Packet[av.VideoStream]] = []
        """Packets that were read during seeking and are not decoded yet."""
        self._failures: list[int] = []
        """For each decoding error, the serial number of the packet that was sent last."""
        self._corrupt_packets = self._corrupt_frames = self._broken_places = self._missing_ends = 0
        self._at_end = False
        self.first_pts: int | None = None
        """The earliest timestamp of the packets sent before the first frame was decoded."""
        self.gave_up: str | None = None
        """Why the rest of the file could not be read; "" if all of it was read."""
        self._delivered_any = False

    def _opened(self, gpu: Gpu | None) -> tuple[InputContainer, av.VideoStream, Any]:
        """The file, its video stream and the decoder: on `gpu` if that works, else on the CPU."""
        if gpu is not None:
            try:
                opened = open_on_gpu(self._path, self._index, gpu, self._probing)
            except AV_ERRORS as error:
                # FFmpeg returns EPERM if it cannot load the driver.
                no_driver = "there is no NVIDIA driver" if isinstance(error, PermissionError) else ""
                self._leave_gpu(f"cuda:{gpu.number} cannot be used: {no_driver or reason(error)}")
            else:
                self._gpu = gpu
                return opened
        container = open_source(self._path, self._probing, stored_times=True)
        stream = video_stream(container, self._index)
        return container, stream, decoding_context(stream)

    def _use_threads(self) -> None:
        """Set the number and kind of threads of a CPU decoder that is not open yet."""
        alone = self._meter is not None and self._meter.wants_whole_frames
        shared = threading_for(self._context.codec.canonical_name, self._threads, one_at_a_time=alone)
        self._frame_threads = shared is Threading.FRAMES
        self._context.thread_type = shared.value
        self._context.thread_count = 1 if shared is Threading.NONE else self._threads

    @property
    def name(self) -> str:
        """FFmpeg's decoder in use and the device that it runs on: "h264 on cuda:0"."""
        return f"{self._context.codec.name} on {self._gpu or 'the CPU'}"

    @property
    def damage(self) -> Damage:
        """Damage found so far."""
        return Damage(
            undecodable_packets=max(len(self._failures), self._owed.left_out if self._owed else 0),
            corrupt_packets=self._corrupt_packets,
            corrupt_frames=self._corrupt_frames + (self._examined.damaged_before if self._examined else 0),
            broken_places=self._broken_places,
            missing_ends=self._missing_ends,
        )

    def reading(self, frame: av.VideoFrame) -> Reading | None:
        """The quantiser of `frame`, which this decoder delivered; None if unknown. Call it once per frame."""
        return None if self._meter is None else self._meter.of(frame.opaque, frame)

    def aspect(self, frame: av.VideoFrame) -> Fraction | None:
        """The sample aspect ratio of `frame`, which this decoder delivered; None if unspecified."""
        return self._aspects.of(packet_serial(frame))

    def is_corrupt(self, frame: av.VideoFrame) -> bool:
        """Whether a part of `frame`, which this decoder delivered, is damaged."""
        return bool(frame.is_corrupt) or packet_serial(frame) in self._damaged_packets

    def close(self) -> None:
        # Running decoder threads end here, while the GIL is free. PyAV frees a decoder with the GIL held and
        # waits for threads that need the GIL to release the `opaque` of their frames: a deadlock if a reader
        # stops early.
        self._context.flush_buffers()
        self._container.close()
        if self._again is not None:
            self._again.close()

    def skip_to(self, position: Fraction) -> bool:
        """Seek to the last key frame shown before `position` (seconds of the source's timestamps).

        Call it before the first frame. Returns False if the seek is unreliable because timestamps are missing
        or jump back; positions are then known only by decoding everything, and this decoder must not be used.
        """
        unit = as_fraction(self._stream.time_base)
        if has_index(self._container):
            try:
                self._container.seek(math.ceil(position / unit) - 1, stream=self._stream)
            except AV_ERRORS as error:
                logger.debug("seeking in %s: %s", self._path, reason(error))
                return False
            return True
        latest: int | None = None
        for packet in self._packets():
            stamp = presentation_stamp(packet)
            if stamp is None or packet.dts is None:
                return False
            if latest is not None and (latest - stamp) * unit > DISCONTINUITY_SECONDS:
                return False
            latest = stamp if latest is None else max(latest, stamp)
            if packet.is_keyframe and stamp * unit < position:
                self._skipped_to.clear()
            self._skipped_to.append(packet)
            if packet.dts * unit >= position:
                break
        return True

    def __iter__(self) -> Iterator[av.VideoFrame]:
        for packet in chain(self._skipped_to, self._packets()):
            self._corrupt_packets += packet.is_corrupt
            self._tail.sent(packet)
            if self._examined is not None and self._examined.damaged(bytes(packet)):
                self._damaged_packets.add(self._tail.latest)
            if self._owed is not None:
                self._owed.sent(self._tail.latest, packet)
            self._aspects.sent(self._tail.latest, packet.is_keyframe)
            self._last_picture.sent(packet)
            if self._meter is not None:
                self._meter.sent(self._tail.latest, packet)
            if not self._delivered_any and packet.pts is not None and not packet.is_discard:
                self.first_pts = packet.pts if self.first_pts is None else min(self.first_pts, packet.pts)
            yield from self._delivered(self._decode(packet))
        yield from self._delivered(self._decode(None))
        if self._frame_threads and (missing := self._tail.missing()):
            yield from self._delivered(self._rescued(missing))
        if self._owed is not None:
            self._owed.ended()

    def _packets(self) -> Iterator[av.Packet[av.VideoStream]]:
        """The stream's packets; empty ones ("repeat the last frame", and PyAV's own flush marks) left out."""
        failures = 0
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:
                        failures = 0
                        self._watch.note(packet)
                        yield packet
                self._watch.check_end(None, self._container)
                self._at_end = True
                return
            except av.FFmpegError as error:
                self._watch.check()  # FFmpeg uses the system's error numbers for damaged data, too
                failures += 1
                if failures == _MAX_READ_FAILURES:
                    self._watch.check_end(error, self._container)
                    self.gave_up = reason(error)
                    return

    def look_for_breaks(self) -> None:
        """Count the breaks of the file's structure up to the last packet read, and a missing end. Call it
        after the last frame."""
        watch = self._watch
        first, last, name = watch.first_position, watch.last_position, self._container.format.name
        if first is not None and last:
            self._broken_places = count_breaks(self._path, name, first, last)
            self._missing_ends = int(self._at_end and is_cut_off(self._path, name, last, watch.last_size))

    def _decode(self, packet: av.Packet[av.VideoStream] | None) -> list[av.VideoFrame]:
        if self._gpu is not None:
            return self._decode_on_gpu(packet)
        try:
            frames: list[av.VideoFrame] = self._context.decode(packet)
        except AV_ERRORS as error:
            self._failures.append(self._tail.latest)
            logger.debug("a packet of %s does not decode: %s", self._path, reason(error))
            frames = []
        return self._with_aspects(frames)

    def _with_aspects(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """`frames`, which were just decoded, unchanged; notes their sample aspect ratios."""
        aspect = self._context.sample_aspect_ratio
        known = Fraction(aspect.numerator, aspect.denominator) if aspect else None
        self._aspects.decoded(map(packet_serial, frames), known)
        return frames

    def _decode_on_gpu(self, packet: av.Packet[av.VideoStream] | None) -> list[av.VideoFrame]:
        # Hardware conceals damage in its own way and does not report it.
        trouble = "a packet is damaged" if packet is not None and packet.is_corrupt else ""
        frames: list[av.VideoFrame] = []
        if not trouble:
            try:
                frames = self._context.decode(packet)
            except AV_ERRORS as error:
                trouble = reason(error)
            else:
                trouble = next(filter(None, map(_not_for_gpu, frames)), "")
        if not trouble:
            return self._with_aspects(frames)
        self._leave_gpu(trouble)
        frames = self._owed_by_gpu()
        return frames if packet is not None else frames + self._decode(None)

    def _owed_by_gpu(self) -> list[av.VideoFrame]:
        """Switch to the CPU, decode again from the last key frame, and return the frames that the GPU did not
        deliver."""
        self._gpu = None
        self._again = open_source(self._path, self._probing, stored_times=True)
        self._context = decoding_context(video_stream(self._again, self._index))
        self._context.copy_opaque = True
        self._use_threads()
        self._aspects.frame_threads = self._frame_threads
        self._seen_already = self._tail.with_frames()
        return [frame for packet in self._tail.packets for frame in self._decode(packet)]

    def _leave_gpu(self, why: str) -> None:
        self.left_gpu = LeftGpu(reason=why, frames=self._frames)
        logger.info("%s is decoded on the CPU from frame %d on: %s", self._path, self._frames, why)

    def _delivered(self, frames: list[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for frame in frames:
            if frame.opaque in self._seen_already:
                continue
            self._delivered_any = True
            self._frames += 1
            self._corrupt_frames += self.is_corrupt(frame)
            self._tail.delivered(frame)
            if self._owed is not None:
                self._owed.delivered(packet_serial(frame))
            frame.duration = self._last_picture.duration(frame)
            yield frame

    def _rescued(self, missing: set[object]) -> list[av.VideoFrame]:
        """Frames of the packets `missing`, which were still in the decoder when an error ended its flush.

        With frame threads, errors of the last packets are reported during the flush; PyAV stops there, and
        the frames of other threads and of the reordering buffer are lost. One thread decodes them again, and
        those after the last delivered frame are returned.
        """
        # Each failure of these packets is reported again now; the threads reported them with a delay.
        start = self._tail.first and self._tail.first + self._threads - 1
        self._failures = [serial for serial in self._failures if serial < start]
        found: deque[av.VideoFrame] = deque(maxlen=self._tail.reorder)
        with open_source(self._path, self._probing, stored_times=True) as again:
            context = decoding_context(video_stream(again, self._index))
            context.thread_type, context.thread_count, context.copy_opaque = "NONE", 1, True
            for serial, packet in enumerate([*self._tail.packets, None], self._tail.first):
                try:
                    frames = context.decode(packet)
                except AV_ERRORS:
                    self._failures.append(serial)
                    continue
                for frame in frames:
                    if frame.opaque in missing:
                        found.append(frame)
                    else:
                        found.clear()
        if found:
            logger.debug("%d frames after an error at the end of %s recovered", len(found), self._path)
        return list(found)


def _not_for_gpu(frame: av.VideoFrame) -> str:
    """Why the CPU must decode `frame` instead; "" if the GPU's frame is usable."""
    return (
        "a frame is damaged"
        if frame.is_corrupt
        else "a frame is interlaced"
        if frame.interlaced_frame
        else ""
    )
