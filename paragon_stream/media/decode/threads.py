"""How decoding on the CPU is divided among threads, so that damage is concealed as FFmpeg conceals it.

FFmpeg's H.264 decoder fills the lost parts of a picture from its neighbours in space and time, but not with
slice threads: the parts stay empty then, which is green. Its HEVC decoder leaves larger holes with slice
threads than without. Both therefore use whole frames, or one thread. Its VP9 decoder is the other way round.
"""

from __future__ import annotations

from enum import StrEnum

_EMPTY_HOLES = ("h264", "hevc")
"""Decoders that conceal less with slice threads."""
_LOSES_FRAMES = ("vp8",)
"""Decoders that give up whole frames of a damaged stream with slice threads."""
_GREEN_BEHIND_ERRORS = ("vp9",)
"""Decoders whose frame threads use what an error left of a frame, which is green, for those behind it."""


class Threading(StrEnum):
    """What the threads of a decoder share; the values are PyAV's."""

    NONE = "NONE"
    """One thread."""
    SLICES = "SLICE"
    """The slices or tiles of one frame: a frame comes out at once."""
    FRAMES = "AUTO"
    """Each thread has a frame of its own, and holds it back; slices where a decoder has no frame threads."""


def threading_for(codec: str, threads: int, *, one_at_a_time: bool) -> Threading:
    """What `threads` threads share. `codec` is FFmpeg's name of the codec.

    one_at_a_time: no frame may be begun before the last one is finished, for the sake of latency, or of
    values that the decoder exports (see `quantisers.exported`).
    """
    if threads <= 1:
        return Threading.NONE
    if not one_at_a_time and codec not in _GREEN_BEHIND_ERRORS:
        return Threading.FRAMES
    return Threading.NONE if codec in _EMPTY_HOLES + _LOSES_FRAMES else Threading.SLICES
