"""Packets of sound that the edit list of an MP4 or MOV leaves out. FFmpeg delivers them too, marked."""

from __future__ import annotations

from collections import deque
from typing import Any

_RUN_UP = 4
"""Packets before the first one played that are kept: decoders need them. 80 ms of Opus are the most."""


class EditedSound:
    """Passes the packets of a stream of sound on, without those that are not played.

    In the middle of a file their timestamps run backwards; at its end, copies of them would be played.
    """

    def __init__(self, *, decoded: bool = False) -> None:
        """Packets that are `decoded` are all kept at the beginning: the decoder counts what it leaves out."""
        self._before: deque[Any] | None = deque(maxlen=0 if decoded else _RUN_UP)
        """The last packets so far; None after the first one that is played."""

    def add(self, packet: Any) -> list[Any]:
        """The packets to pass on when `packet` comes, in order."""
        if packet.is_discard:
            if self._before is None:
                return []
            self._before.append(packet)
            return [] if self._before else [packet]
        before, self._before = self._before or (), None
        return [*before, packet]
