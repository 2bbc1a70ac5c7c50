"""An open live source: its facts, pictures and sound."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Discard

from paragon_stream.errors import InputError, reason
from paragon_stream.media.decode.decoder import MAX_THREADS
from paragon_stream.media.decode.hevc_pictures import pictures_owed
from paragon_stream.media.decode.sample_aspects import AspectLog, packet_serial
from paragon_stream.media.decode.threads import Threading, threading_for
from paragon_stream.media.facts import side_data
from paragon_stream.media.facts.info import Damage, MediaInfo, StreamKind, VideoInfo
from paragon_stream.media.facts.probe import video_info
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.facts.streams import describe_stream
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.log import captured_log
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.ffmpeg.stamps import decoding_stamp
from paragon_stream.media.live.soundkind import SoundKind
from paragon_stream.media.live.source import Kind, LiveSource
from paragon_stream.media.quantisers.meter import QuantiserMeter, Reading
from paragon_stream.media.source.opening import decoding_context, open_source

_LOOK_AT = 4
"""Frames that are examined: captions and field flags may be missing in the first one."""
_MAX_PACKETS = 3000
"""Packets read in search of the first frame."""
_IN_PIECES = ("hls", "dash")
"""Demuxers whose streams come in pieces of seconds, each at once."""


@dataclass(slots=True)
class DecodedFrame:
    """A decoded frame and its facts at that time. `stamp` is the source's timestamp, in seconds."""

    frame: av.VideoFrame
    stamp: Fraction | None
    reading: Reading | None
    aspect: Fraction | None


@dataclass(slots=True)
class Sound:
    """A packet of sound. `unit` is seconds per tick of its stamps."""

    packet: Any
    unit: Fraction
    kind: SoundKind

    @property
    def stamp(self) -> Fraction | None:
        """The source's timestamp, in seconds."""
        stamp = decoding_stamp(self.packet)
        return None if stamp is None else stamp * self.unit


class Connection:
    """One opening of `source`. Used from one thread.

    Raises InputError if it cannot be opened, has no video, or none that decodes; FormatError for video that
    cannot be processed. With `quantisers`, pictures have a quantiser.
    """

    def __init__(self, source: LiveSource, *, quantisers: bool, sound: bool, patience: float | None) -> None:
        """`patience` limits the time for opening, in seconds; None for no limit."""
        self.source = source
        self._container = _opened(source, patience)
        try:
            self._video = self._first_of("video")
            self._sound = self._first_of("audio") if sound else None
            self.sound = None if self._sound is None else SoundKind(self._sound)
            """The kind of the sound; None without sound."""
            if self._video is None:
                raise InputError(f"{source.name} has no video")
            self._unit = as_fraction(self._video.time_base)
            side_data.refuse_dolby_vision_5(self._video.codec_context)
            self._context = decoding_context(self._video)
            self._context.copy_opaque = True
            self._meter = QuantiserMeter(self._context) if quantisers else None
            threads = min(MAX_THREADS, os.cpu_count() or 1)
            # Frame threads would hold back one frame each.
            shared = threading_for(self._context.codec.canonical_name, threads, one_at_a_time=True)
            self._context.thread_type = shared.value
            self._context.thread_count = 1 if shared is Threading.NONE else threads
            self._aspects = AspectLog(frame_threads=False)
            self._owed = pictures_owed(self._context)
            self._serial = -1
            self._undecodable = self._corrupt_packets = self._corrupt_frames = 0
            for stream in self._container.streams:
                if stream is not self._video and stream is not self._sound:
                    stream.discard = Discard.all
            self._items = self._demuxed()
            self._seen: list[DecodedFrame | Sound] = []
            self._failure: BaseException | None = None
            """The interruption that ended the search for the first pictures."""
            self.video = self._look()
        except BaseException:
            self._container.close()
            raise

    def __iter__(self) -> Iterator[DecodedFrame | Sound]:
        """Pictures and sound, from the first picture on. Raises PyAV's errors if the source is
        interrupted."""
        seen, self._seen = self._seen, []
        items = (item for item in chain(seen, self._items) if item is not None)
        yield from self._with_stamps(items) if self.paced else items
        if self._failure is not None:
            raise self._failure

    @property
    def paced(self) -> bool:
        """Whether frames arrive faster than they are shown, so that they must be delayed."""
        if self.source.paced is not None:
            return self.source.paced
        is_file = self.source.kind is Kind.FILE  # raw streams state no length
        return is_file or self.ends or self._container.format.name in _IN_PIECES

    @property
    def ends(self) -> bool:
        """Whether the source states a length, as files do."""
        return bool(self._container.duration and self._container.duration > 0)

    @property
    def begin(self) -> Fraction:
        """The first timestamp that the source states, in seconds; 0 if it states none."""
        return Fraction(self._container.start_time or 0, av.time_base)

    @property
    def length(self) -> Fraction:
        """The length that the source states, in seconds; 0 if it states none."""
        return Fraction(self._container.duration or 0, av.time_base)

    @property
    def decoder(self) -> str:
        return f"{self._context.codec.name} on the CPU"

    @property
    def damage(self) -> Damage:
        """Damage found so far."""
        return Damage(
            undecodable_packets=max(self._undecodable, self._owed.left_out if self._owed else 0),
            corrupt_packets=self._corrupt_packets,
            corrupt_frames=self._corrupt_frames,
        )

    def info(self) -> MediaInfo:
        """The source's facts."""
        return MediaInfo(
            path=Path(self.source.name),
            container=self._container.format.name,
            streams=tuple(describe_stream(stream) for stream in self._container.streams),
            # The header's duration is not used: the session may end at any time.
            video=replace(self.video, duration=None, frames=None),
            seekable=False,
        )

    def close(self) -> None:
        self._context.flush_buffers()  # see `Decoder.close`
        self._container.close()

    def _first_of(self, type: str) -> Any:
        """The stream of that type that players choose."""
        fitting = [
            stream
            for stream in self._container.streams
            if stream.type == type
            and stream.codec_context is not None
            and describe_stream(stream).kind is not StreamKind.COVER
        ]
        fitting.sort(key=lambda stream: "default" not in describe_stream(stream).dispositions)
        return fitting[0] if fitting else None

    def _look(self) -> VideoInfo:
        """Decode the first frames and keep them."""
        wanted = 1 if self.source.kind is Kind.SCREEN else _LOOK_AT
        frames: list[av.VideoFrame] = []
        try:
            for count, item in enumerate(self._items):
                if isinstance(item, DecodedFrame):
                    frames.append(item.frame)
                elif item is not None and item.kind.sample is None:
                    item.kind.sample = bytes(item.packet)
                if item is not None:
                    self._seen.append(item)
                if len(frames) >= wanted or count > _MAX_PACKETS:
                    break
        except AV_ERRORS as error:
            self._failure = error
        failure = self._failure
        if not frames and isinstance(failure, av.error.ExitError):
            raise InputError(
                f"{self.source.name} broke off before its first picture ({silence(self.source)})"
            )
        if not frames:
            because = f": {reason(failure)}" if failure else ""
            raise InputError(f"no frame of the video in {self.source.name} can be decoded{because}")
        self._add_first_stamps()
        return video_info(self._container, self._video, frames)

    def _add_first_stamps(self) -> None:
        """The first picture of RTSP has no timestamp: it is as far before the second as that before the
        third."""
        pictures = [item for item in self._seen if isinstance(item, DecodedFrame)]
        for first, second, third in reversed(list(zip(pictures, pictures[1:], pictures[2:], strict=False))):
            if first.stamp is None and second.stamp is not None and third.stamp is not None:
                first.stamp = 2 * second.stamp - third.stamp

    def _with_stamps(self, items: Iterable[DecodedFrame | Sound]) -> Iterator[DecodedFrame | Sound]:
        """`items`; pictures without timestamps, as of raw H.264, follow at the stream's rate."""
        interval, latest = 1 / (self.video.average_rate or FALLBACK_RATE), None
        for item in items:
            if isinstance(item, DecodedFrame):
                if item.stamp is None:
                    item.stamp = Fraction(0) if latest is None else latest + interval
                latest = item.stamp
            yield item

    def _demuxed(self) -> Iterator[DecodedFrame | Sound | None]:
        """Pictures and sound; None for a packet of the video, so that `_look` counts it if it does not
        decode."""
        wanted = [self._video] if self._sound is None else [self._video, self._sound]
        for packet in self._container.demux(*wanted):
            if self.sound is not None and packet.stream is self._sound:
                if packet.size:
                    yield Sound(packet, as_fraction(packet.time_base), self.sound)
            elif packet.size:
                yield None
                yield from self._pictures(packet)
        yield from self._pictures(None)

    def _pictures(self, packet: Any) -> Iterator[DecodedFrame]:
        if packet is not None:
            self._serial += 1
            packet.opaque = self._serial
            self._corrupt_packets += packet.is_corrupt
            self._aspects.sent(self._serial, packet.is_keyframe)
            if self._owed is not None:
                self._owed.sent(self._serial, packet)
            if self._meter is not None:
                self._meter.sent(self._serial, packet)
        try:
            frames = self._context.decode(packet)
        except AV_ERRORS:
            self._undecodable += 1
            return
        aspect = self._context.sample_aspect_ratio
        self._aspects.decoded(map(packet_serial, frames), as_fraction(aspect) if aspect else None)
        for frame in frames:
            self._corrupt_frames += frame.is_corrupt
            if self._owed is not None:
                self._owed.delivered(packet_serial(frame))
            yield DecodedFrame(
                frame=frame,
                stamp=None if frame.pts is None else frame.pts * self._unit,
                reading=None if self._meter is None else self._meter.of(frame.opaque, frame),
                aspect=self._aspects.of(packet_serial(frame)),
            )


def silence(source: LiveSource) -> str:
    """The meaning of `ExitError`, PyAV's error of a timeout."""
    return f"nothing came for {source.timeout:g} s"


def _opened(source: LiveSource, patience: float | None) -> InputContainer:
    if source.kind is Kind.FILE and source.format is None and not source.options:
        return open_source(source.url)
    limits = (patience, source.timeout) if source.kind is Kind.NETWORK else None
    with captured_log(av.logging.ERROR) as captured:
        try:
            return av.open(
                source.url,
                "r",
                format=source.format,
                options=dict(source.options),
                timeout=limits,
            )
        except AV_ERRORS as error:
            failure = error
    raise InputError(_explanation(source, failure, captured.lines)) from failure


def _explanation(source: LiveSource, error: BaseException, messages: list[str]) -> str:
    name, number = source.name, getattr(error, "errno", None)
    why = "; ".join(messages) or reason(error)
    if source.kind is Kind.SCREEN:
        where = "the screen" if not source.url or source.format != "x11grab" else f"the screen {source.url}"
        hint = " (is an X server running, and DISPLAY set?)" if "open display" in why else ""
        return f"{where} cannot be captured: {why}{hint}"
    if source.kind is Kind.DEVICE:
        if number == errno.ENOENT:
            return f"there is no device {source.url}"
        if number in (errno.EACCES, errno.EPERM):
            return f"no permission to use {source.url}: on Linux, join its group (usually video)"
        if number == errno.EBUSY:
            return f"{source.url} is in use by another program"
    if isinstance(error, av.error.ProtocolNotFoundError):
        scheme = source.url.partition("://")[0]
        return f"{name} cannot be opened: PyAV's FFmpeg has no {scheme}; let another program write to a pipe"
    if isinstance(error, av.error.ExitError):
        return f"{name} does not answer: {silence(source)}"
    if (
        isinstance(error, (ValueError, av.error.InvalidDataError))
        and source.format is not None
        and not messages
    ):
        return f"{name} cannot be opened as {source.format}: {reason(error)}"
    return f"{name} cannot be opened: {reason(error) if source.kind is Kind.NETWORK else why}"
