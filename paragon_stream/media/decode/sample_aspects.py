"""The sample aspect ratio of every decoded frame, which PyAV's frames do not have.

A decoder's context has the ratio of the frame that it *decoded* last, and reordering shows frames later. The
log therefore stores ratios by packet: by the serial number in decoding order, which frames carry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fractions import Fraction

import av

_KEPT = 64
"""Changes, and pending key frames, that are kept: more than any decoder holds back."""


class AspectLog:
    """The sample aspect ratio of each packet's frame.

    frame_threads: the context is late by an unknown number of packets. A change begins at a key frame: the
    first one after all frames that were delivered before the context showed the change.
    """

    def __init__(self, *, frame_threads: bool) -> None:
        self.frame_threads = frame_threads
        self._keys: deque[int] = deque(maxlen=_KEPT)
        self._since: deque[tuple[int, Fraction | None]] = deque(maxlen=_KEPT)
        self._sent = self._delivered = -1

    def sent(self, serial: int, is_key: bool) -> None:
        """Packet `serial` is decoded next."""
        self._sent = serial
        if is_key:
            self._keys.append(serial)

    def decoded(self, serials: Iterable[int], aspect: Fraction | None) -> None:
        """Note the `aspect` of the context after that, and the packets of the frames that were delivered."""
        if not self._since or aspect != self._since[-1][1]:
            self._since.append((self._begin(), aspect))
        self._delivered = max(self._delivered, *serials, -1)

    def of(self, serial: int) -> Fraction | None:
        """The sample aspect ratio of packet `serial`'s frame; None if unspecified."""
        for begin, aspect in reversed(self._since):
            if begin <= serial:
                return aspect
        return self._since[0][1] if self._since else None

    def _begin(self) -> int:
        if not self.frame_threads:
            return self._sent
        if self._delivered < 0:
            self._since.clear()  # the header's ratio, from before the decoder's
            return -1
        return next((key for key in self._keys if key > self._delivered), self._delivered + 1)


def packet_serial(frame: av.VideoFrame) -> int:
    """The number of the packet that `frame` was made of; -1 where the decoder lost it."""
    return frame.opaque if isinstance(frame.opaque, int) else -1
