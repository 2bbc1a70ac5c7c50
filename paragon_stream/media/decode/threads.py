"""The threads of a decoder on the CPU, chosen so that FFmpeg conceals damage well.

FFmpeg's H.264 decoder conceals the lost parts of a picture from its neighbours in space and time, but with
slice threads these parts stay green. Its HEVC decoder leaves larger holes with slice threads. Both therefore
use frame threads, or one thread. Its VP9 decoder conceals better with slice threads.
"""

from __future__ import annotations

from enum import StrEnum

_EMPTY_HOLES = ("h264", "hevc")
"""Decoders that conceal less with slice threads."""
_LOSES_FRAMES = ("vp8",)
"""Decoders that give up whole frames of a damaged stream with slice threads."""
_GREEN_BEHIND_ERRORS = ("vp9",)
"""Decoders whose frame threads predict from damaged frames before these are concealed, which gives green
areas."""


class Threading(StrEnum):
    """The division of the work among decoder threads; the values are PyAV's."""

    NONE = "NONE"
    """One thread."""
    SLICES = "SLICE"
    """All threads decode slices or tiles of one frame: no frame is held back."""
    FRAMES = "AUTO"
    """Each thread decodes a frame of its own, and holds it back; decoders without frame threads use
    slices."""


def threading_for(codec: str, threads: int, *, one_at_a_time: bool) -> Threading:
    """The division of the work among `threads` threads. `codec` is FFmpeg's name of the codec.

    one_at_a_time: each frame must be finished before the next one begins, because of the latency or of values
    that the decoder exports (see `quantisers.exported`).
    """
    if threads <= 1:
        return Threading.NONE
    if not one_at_a_time and codec not in _GREEN_BEHIND_ERRORS:
        return Threading.FRAMES
    return Threading.NONE if codec in _EMPTY_HOLES + _LOSES_FRAMES else Threading.SLICES
