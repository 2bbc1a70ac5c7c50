"""The file's muxer: interleaves encoded pictures with the copied packets of the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from paragon_stream.errors import OutputError, reason
from paragon_stream.media.facts.containers import Container
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.ffmpeg.stamps import decoding_stamp
from paragon_stream.media.output.placing import Placing
from paragon_stream.media.output.remux import Remuxer
from paragon_stream.media.output.route import AnyPacket

AHEAD = Fraction(1)
"""Seconds that copied packets are given to the muxer before the picture of their time: at the end of a
fragment of MP4 it computes the last durations from the packets in its queue."""

_QUEUED = Fraction(3)
"""Seconds after which a packet has certainly left FFmpeg's queue: see `_INTERLEAVE` of the containers."""
_FRAGMENT = Fraction(2)
"""Seconds between two key frames after which a fragment of MP4 has certainly ended between them."""
_MOST_TICKS = (1 << 31) - 1
"""The longest distance between two packets of a track of MP4: 6.6 hours of pictures at 90 kHz. FFmpeg changes
the times behind longer ones, or ends the process by an assertion."""


class Muxer:
    """Hands packets to the file `out`. Raises OutputError.

    `contained` is called with the number of pictures that are certainly in the file, if that can be known:
    clusters of Matroska and fragments of MP4 end before key frames, and are written when they end.
    """

    def __init__(
        self,
        what: str,
        out: Any,
        container: Container,
        tick: Fraction,
        placing: Placing,
        contained: Callable[[int], None] | None,
    ) -> None:
        self._what, self._out, self._container, self._tick = what, out, container, tick
        self._placing, self._contained = placing, contained
        self.remuxer: Remuxer | None = None
        """The other streams of the source."""
        self.added: list[Remuxer] = []
        """The streams of added files."""
        self.pictures = 0
        """Number of pictures given to FFmpeg."""
        self._has_copied = False
        """Whether FFmpeg was given other packets than pictures."""
        self.bytes_written = 0
        self.first_dts: int | None = None
        self._silent: set[int] | None = None
        """Streams without a packet so far: while there are some, FFmpeg holds everything in memory. Empty for
        other files than MP4 and MOV; None before the first packet."""
        self._waiting: AnyPacket | None = None
        self._before_last: int | None = None
        """Decode time of the packet before the pending one."""
        self._latest: dict[int, int] = {}
        """The decode time of the latest packet of each stream; only of MP4 and MOV."""
        self._queue_ticks, self._fragment_ticks = (round(time / tick) for time in (_QUEUED, _FRAGMENT))
        self._queued: deque[tuple[int, int]] = deque()
        """Numbers and decode times of key frames that may be in FFmpeg's queue."""
        self._left: deque[tuple[int, int]] = deque()
        """Numbers and decode times of key frames that have left the queue, beginning with the last one before
        which all packets are in the file."""

    def picture(self, packet: AnyPacket) -> None:
        """Add the next packet of the encoder, in coding order. It is written when the one after it
        arrives."""
        if self.first_dts is None:
            self.first_dts = packet.dts
        if self._waiting is not None:
            self._before_last = self._waiting.dts
            shown, following = self._waiting.pts, packet.pts
            if shown is not None and following is not None and following > shown:
                # No picture lasts longer than until the next one; durations in the source may be wrong.
                self._waiting.duration = min(self._waiting.duration or 0, following - shown)
            self._mux_picture(self._waiting)
        self._waiting = packet

    def end(self) -> None:
        """Write the pending packet and the rest of the other streams."""
        if self._waiting is not None:
            self._mux_last(self._waiting)
        for remuxer in self.all_remuxers():
            self._mux_copied(remuxer.take(None))
            self._mux_copied(remuxer.flush())

    def close_source(self) -> list[str]:
        """Close the source and the added files; returns sentences about problems with them."""
        sentences: list[str] = []
        for remuxer in self.all_remuxers():
            sentences += remuxer.warnings
            remuxer.close()
        self.remuxer, self.added = None, []
        return sentences

    def all_remuxers(self) -> list[Remuxer]:
        """The remuxer of the source, if any, then those of added files."""
        return ([self.remuxer] if self.remuxer is not None else []) + self.added

    def _mux_last(self, packet: AnyPacket) -> None:
        """Write the last packet in decoding order, which determines the length of MP4 and MOV.

        The file states its length twice: as the end of the last picture (in the edit list: the latest pts +
        duration of all packets), and as the sum of the decode time steps plus the last packet's duration (in
        mdhd). Players use the smaller one. Both are correct if this packet's distance from decode to
        presentation time equals that of the first packet; with uneven frame times its decode time, which is
        that of an earlier picture, may be far off.
        """
        self._waiting = None
        if self._container.length_by_decode_times and packet.dts is not None and packet.pts is not None:
            first, begin = self.first_dts or 0, self._placing.begin or 0
            ideal = packet.pts - (begin - first)
            left = self._placing.end - packet.pts
            if packet.pts == self._placing.last:  # no other packet lasts to the end
                least = ideal if self._before_last is None else self._before_last + 1
                packet.dts = min(packet.pts, max(ideal, least))
            else:
                packet.dts = min(packet.pts, max(packet.dts, ideal))
                left = min(left, self._placing.end - begin + first - packet.dts)
            packet.duration = max(1, left)
        self._mux_picture(packet)

    def _mux_picture(self, packet: AnyPacket) -> None:
        stamp = decoding_stamp(packet) or 0
        is_key = packet.is_keyframe
        for remuxer in self.all_remuxers():
            self._mux_copied(remuxer.take(stamp * self._tick + AHEAD))
        self._mux(packet)
        if is_key and not self._silent:
            self._queued.append((self.pictures, stamp))
        self.pictures += 1
        self._note_contained(stamp)

    def _note_contained(self, stamp: int) -> None:
        while self._queued and stamp - self._queued[0][1] >= self._queue_ticks:
            self._left.append(self._queued.popleft())
        if not self._left:
            return
        latest, before = self._left[-1][1], self._left[0]
        while len(self._left) > 1 and latest - self._left[1][1] >= self._fragment_ticks:
            self._left.popleft()
        if self._left[0] != before and self._contained is not None:
            self._contained(self._left[0][0])

    def _mux_copied(self, packets: Iterable[AnyPacket]) -> None:
        for packet in packets:
            self._has_copied = True
            self._mux(packet)

    def _is_storable(self, packet: AnyPacket) -> bool:
        """Whether the packet is near enough to the one before it; see `_MOST_TICKS`. A packet of a copied
        stream is counted if it is not. Raises OutputError for a picture."""
        packet.duration = min(packet.duration or 0, _MOST_TICKS)
        index, stamp = packet.stream_index, packet.dts
        if stamp is None:
            return True
        gap = stamp - self._latest.get(index, stamp)
        if gap <= _MOST_TICKS:
            self._latest[index] = stamp
            return True
        hours = float(gap * as_fraction(packet.time_base)) / 3600
        why = f"a gap of {hours:.1f} hours is too long for {self._container.name}"
        if not any(remuxer.failed(packet, ValueError(why)) for remuxer in self.all_remuxers()):
            raise OutputError(f"{self._what}: {why}; write to .mkv")
        return False

    def _mux(self, packet: AnyPacket) -> None:
        """Hand a packet to the muxer.

        FFmpeg queues packets to interleave them, so an error may be about an earlier one. Pictures come from
        an encoder and are valid; copied packets may be invalid, and only they are then lost.
        """
        size, index = packet.size, packet.stream_index
        if self._container.length_by_decode_times and not self._is_storable(packet):
            return
        if self._silent is None:
            lasts = self._container.length_by_decode_times
            self._silent = {stream.index for stream in self._out.streams} if lasts else set()
        try:
            self._out.mux_one(packet)
            self._silent.discard(index)
        except AV_ERRORS as error:
            # Muxers return -1 for a malformed packet, which looks like EPERM; writing an open file never
            # gives EPERM.
            disk = isinstance(error, OSError) and not isinstance(error, PermissionError)
            if disk or not self._has_copied:
                raise OutputError(f"{self._what}: {reason(error)}") from error
            everyone = self.all_remuxers()
            if not any(remuxer.failed(packet, error) for remuxer in everyone):
                everyone[0].refused += 1
        self.bytes_written += size
