"""The shape of samples of every decoded frame, which PyAV's frames do not have.

A decoder's context has that of the frame it *decoded* last. Frames may be shown later than they are
decoded, so aspects belong to packets, by serial number in decoding order, as frames carry it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fractions import Fraction

import av

_KEPT = 64
"""Changes, and key frames that are still to be seen: more than any decoder holds back."""


class AspectLog:
    """Which shape the samples of the frames made of each packet have.

    frame_threads: the context lags behind the packets by an unknown number. A change begins with a key
    frame: the first one behind all frames that were delivered before the context had it.
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
        """What the context has after that, and the packets of the frames that came out."""
        if not self._since or aspect != self._since[-1][1]:
            self._since.append((self._begin(), aspect))
        self._delivered = max(self._delivered, *serials, -1)

    def of(self, serial: int) -> Fraction | None:
        """The shape of the samples of packet `serial`'s frame; None where nothing says it."""
        for begin, aspect in reversed(self._since):
            if begin <= serial:
                return aspect
        return self._since[0][1] if self._since else None

    def _begin(self) -> int:
        if not self.frame_threads:
            return self._sent
        if self._delivered < 0:
            self._since.clear()  # the header's word, before the decoder's
            return -1
        return next((key for key in self._keys if key > self._delivered), self._delivered + 1)


def packet_serial(frame: av.VideoFrame) -> int:
    """The number of the packet that `frame` was made of; -1 where the decoder lost it."""
    return frame.opaque if isinstance(frame.opaque, int) else -1
