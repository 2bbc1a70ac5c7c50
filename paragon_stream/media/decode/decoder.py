"""The decoded frames of one video stream, through damage to the very end."""

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

from paragon_stream.media.decode.frame_source import LeftGpu
from paragon_stream.media.decode.nvdec import open_on_gpu
from paragon_stream.media.decode.sample_aspects import AspectLog, packet_serial
from paragon_stream.media.decode.threads import Threading, threading_for
from paragon_stream.media.decode.timestamps import DISCONTINUITY_SECONDS
from paragon_stream.media.facts.breaks import count_breaks
from paragon_stream.media.facts.info import Damage, Gpu
from paragon_stream.media.facts.probing import HEADERS, Probing
from paragon_stream.media.facts.readable import ReadingWatch
from paragon_stream.media.facts.source import decoding_context, has_index, open_source, video_stream
from paragon_stream.media.ffmpeg.errors import AV_ERRORS, reason
from paragon_stream.media.quantisers.meter import QuantiserMeter, Reading

MAX_THREADS = 8
"""Decoding threads by default: each holds a frame, and the network is what takes the time."""

_MAX_READ_FAILURES = 16
"""Failed reads in a row after which the rest of a file is given up."""

logger = logging.getLogger(__name__)


class Decoder:
    """Iterates over `av.VideoFrame`s in presentation order.

    What does not decode is counted and skipped. Frames may be flagged corrupt: parts of them were guessed.
    With `quantisers`, `reading` says how hard each frame was quantised; H.264 then decodes in one thread
    (see `threads`). Not thread-safe. Raises InputError on opening, or when the device fails under the file.

    With `gpu` frames are decoded there, and semi-planar. At the first packet that it does not decode, and
    at the first sign of damage, the CPU takes over from the last key frame, with planar frames: none is lost
    and none comes twice (unless there was no key frame in `_Tail`'s many packets).
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
        """What decodes now; None is the CPU."""
        self._again: InputContainer | None = None
        """The file a second time, whose decoder took over from the GPU's."""
        self.left_gpu: LeftGpu | None = None
        """Set once the CPU decodes instead of the GPU."""
        self._seen_already: set[object] = set()
        """Serial numbers of packets whose frames the GPU delivered, and the CPU may give again."""
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
        self._tail = _Tail(reorder=self._threads + 32)
        self._aspects = AspectLog(frame_threads=self._frame_threads)
        self._skipped_to: list[av.Packet[av.VideoStream]] = []
        """What was read, but not decoded, in search of the beginning."""
        self._failures: list[int] = []
        """Serial numbers of the packets that were sent last when an error came back."""
        self._corrupt_packets = self._corrupt_frames = self._broken_places = 0
        self.first_pts: int | None = None
        """The earliest stamp of the packets sent before the first frame came out."""
        self.gave_up: str | None = None
        """Why the rest of the file could not be read, if it could not."""
        self._delivered_any = False

    def _opened(self, gpu: Gpu | None) -> tuple[InputContainer, av.VideoStream, Any]:
        """The file, its video stream and what decodes it: `gpu`, or else the CPU."""
        if gpu is not None:
            try:
                opened = open_on_gpu(self._path, self._index, gpu, self._probing)
            except AV_ERRORS as error:
                self._leave_gpu(f"cuda:{gpu.number} cannot be used: {reason(error)}")
            else:
                self._gpu = gpu
                return opened
        container = open_source(self._path, self._probing, stored_times=True)
        stream = video_stream(container, self._index)
        return container, stream, decoding_context(stream)

    def _use_threads(self) -> None:
        """As many as there shall be, in a context of the CPU that is not open yet."""
        alone = self._meter is not None and self._meter.wants_whole_frames
        shared = threading_for(self._context.codec.canonical_name, self._threads, one_at_a_time=alone)
        self._frame_threads = shared is Threading.FRAMES
        self._context.thread_type = shared.value
        self._context.thread_count = 1 if shared is Threading.NONE else self._threads

    @property
    def name(self) -> str:
        """What decodes now, FFmpeg's decoder and where it runs: "h264 on cuda:0"."""
        return f"{self._context.codec.name} on {self._gpu or 'the CPU'}"

    @property
    def damage(self) -> Damage:
        """What was wrong so far."""
        return Damage(
            undecodable_packets=len(self._failures),
            corrupt_packets=self._corrupt_packets,
            corrupt_frames=self._corrupt_frames,
            broken_places=self._broken_places,
        )

    def reading(self, frame: av.VideoFrame) -> Reading | None:
        """How hard `frame`, delivered by this decoder, was quantised; None if that is not known. Ask once."""
        return None if self._meter is None else self._meter.of(frame.opaque, frame)

    def aspect(self, frame: av.VideoFrame) -> Fraction | None:
        """The shape of the samples of `frame`, delivered by this decoder; None where nothing says it."""
        return self._aspects.of(packet_serial(frame))

    def close(self) -> None:
        # Threads still at work end here, without the GIL. PyAV frees a decoder with the GIL held and waits
        # for threads that need it to drop their frames' `opaque`: a deadlock when a reader stopped early.
        self._context.flush_buffers()
        self._container.close()
        if self._again is not None:
            self._again.close()

    def skip_to(self, position: Fraction) -> bool:
        """Go on behind the last key frame shown before `position` (seconds of the source's timestamps).

        Called before the first frame. False if the way there cannot be trusted: stamps are missing or jump
        back, so that positions are only known by decoding everything; this decoder is then of no use.
        """
        unit = Fraction(self._stream.time_base.numerator, self._stream.time_base.denominator)
        if has_index(self._container):
            try:
                self._container.seek(math.ceil(position / unit) - 1, stream=self._stream)
            except AV_ERRORS as error:
                logger.debug("seeking in %s: %s", self._path, reason(error))
                return False
            return True
        latest: int | None = None
        for packet in self._packets():
            stamp = packet.dts if packet.pts is None else packet.pts
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
            self._aspects.sent(self._tail.latest, packet.is_keyframe)
            if self._meter is not None:
                self._meter.sent(self._tail.latest, packet)
            if not self._delivered_any and packet.pts is not None and not packet.is_discard:
                self.first_pts = packet.pts if self.first_pts is None else min(self.first_pts, packet.pts)
            yield from self._delivered(self._decode(packet))
        yield from self._delivered(self._decode(None))
        if self._frame_threads and (missing := self._tail.missing()):
            yield from self._delivered(self._rescued(missing))

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
                return
            except av.FFmpegError as error:
                self._watch.check()  # FFmpeg uses the system's error numbers for damaged data, too
                failures += 1
                if failures == _MAX_READ_FAILURES:
                    self._watch.check_end(error, self._container)
                    self.gave_up = reason(error)
                    return

    def look_for_breaks(self) -> None:
        """Count the broken places of the file as far as it was read: after the last frame that is wanted."""
        first, last = self._watch.first_position, self._watch.last_position
        if first is not None and last:
            self._broken_places = count_breaks(self._path, self._container.format.name, first, last)

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
        """`frames`, which were decoded just now; notes the shape of their samples."""
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
        """Let the CPU decode from the last key frame on; what it gives at once."""
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
            self._corrupt_frames += frame.is_corrupt
            self._tail.delivered(frame)
            yield frame

    def _rescued(self, missing: set[object]) -> list[av.VideoFrame]:
        """Frames of the packets `missing`: in flight behind an error that ended the flush of the decoder.

        With frame threads the errors of the last packets surface during the flush; PyAV stops there, and the
        frames of other threads and of the reordering buffer are lost. They are decoded again, by one thread;
        those behind the last frame that was delivered are returned.
        """
        # The tail's failures are seen again, one by one; the threads reported them with a delay.
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
            logger.debug("%d frames behind an error at the end of %s rescued", len(found), self._path)
        return list(found)


def _not_for_gpu(frame: av.VideoFrame) -> str:
    """Why the CPU shall decode `frame` instead; "" where it need not."""
    return (
        "a frame is damaged"
        if frame.is_corrupt
        else "a frame is interlaced"
        if frame.interlaced_frame
        else ""
    )


class _Tail:
    """The last packets, from a key frame on, and which of them gave a frame.

    Kept so that the end of a damaged stream can be decoded again: `reorder` packets or more (or the whole
    stream), at most a group of pictures more than that, and nothing where groups are huge. Packets are told
    apart by a serial number, which FFmpeg carries through decoder and reordering as their `opaque`.
    """

    _MAX_PACKETS = 1000
    _MAX_BYTES = 64 << 20

    def __init__(self, reorder: int) -> None:
        self.reorder = reorder
        self._groups: deque[list[av.Packet[av.VideoStream]]] = deque()
        self._delivered: deque[object] = deque(maxlen=2 * self._MAX_PACKETS)
        self.latest = -1
        """Serial number of the packet sent last."""
        self._bytes = self._count = 0

    @property
    def packets(self) -> list[av.Packet[av.VideoStream]]:
        return [packet for group in self._groups for packet in group]

    @property
    def first(self) -> int:
        """Serial number of the first packet kept."""
        return self.latest + 1 - self._count

    def sent(self, packet: av.Packet[av.VideoStream]) -> None:
        self.latest += 1
        packet.opaque = self.latest
        if packet.is_keyframe:
            self._groups.append([])
        if not self._groups:
            return
        self._groups[-1].append(packet)
        self._bytes += packet.size
        self._count += 1
        while len(self._groups) > 1 and self._count - len(self._groups[0]) >= self.reorder:
            self._drop_oldest()
        while self._groups and (self._bytes > self._MAX_BYTES or self._count > self._MAX_PACKETS):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        group = self._groups.popleft()
        self._bytes -= sum(packet.size for packet in group)
        self._count -= len(group)

    def delivered(self, frame: av.VideoFrame) -> None:
        self._delivered.append(frame.opaque)

    def with_frames(self) -> set[object]:
        """Serial numbers of packets that gave a frame."""
        return set(self._delivered)

    def missing(self) -> set[object]:
        """Serial numbers of packets that gave no frame."""
        return {packet.opaque for packet in self.packets} - self.with_frames()
