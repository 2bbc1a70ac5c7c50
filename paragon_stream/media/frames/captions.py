"""The closed captions of a stream of frames (A/53 cc_data: CEA-608 and CEA-708), in order of time.

Captions are taken before deinterlacing. Frames that inverse telecine leaves out have some too, and a half of
their text is nothing: so a frame gets its own captions and all earlier ones that no frame has got yet.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction

_CONSTRUCT = 3
"""Bytes of one construct of cc_data: flags and type, then two bytes of text or of a packet."""
_MOST = 31
"""Constructs that one picture can have: cc_count has five bits."""
_VALID = 0x04
"""The flag cc_valid of a construct; others are padding."""


class CaptionTrack:
    """`add` adds the captions of a frame; `take` gives those up to a time.

    One thread may add while another one takes.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Fraction, bytes]] = deque()

    def add(self, time: Fraction, captions: bytes) -> None:
        """Add cc_data of the frame at `time`, seconds."""
        constructs = (captions[at : at + _CONSTRUCT] for at in range(0, len(captions), _CONSTRUCT))
        self._waiting.extend((time, each) for each in constructs)

    def take(self, time: Fraction) -> bytes:
        """The captions of the frame at `time` (seconds); b"" if it has none. More than one picture can have
        wait for the next."""
        due = []
        while self._waiting and self._waiting[0][0] <= time:
            due.append(self._waiting.popleft())
        if len(due) > _MOST:
            due = [(at, each) for at, each in due if each[0] & _VALID]
        self._waiting.extendleft(reversed(due[_MOST:]))
        return b"".join(each for _, each in due[:_MOST])
