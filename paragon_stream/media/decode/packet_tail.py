"""The last packets that were sent to a decoder, for decoding the end of a damaged stream again."""

from __future__ import annotations

from collections import deque

import av


class PacketTail:
    """The last packets, starting with a key frame, and which of them produced a frame.

    They are kept so that the end of a damaged stream can be decoded again: at least `reorder` packets (or the
    whole stream), at most a group of pictures more, and none if groups are very long. A serial number
    identifies each packet; FFmpeg carries it through decoder and reordering as `opaque`.
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
        """Serial numbers of packets that produced a frame."""
        return set(self._delivered)

    def missing(self) -> set[object]:
        """Serial numbers of packets that produced no frame."""
        return {packet.opaque for packet in self.packets} - self.with_frames()
