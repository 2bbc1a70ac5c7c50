"""What is done about the fields of a stream: the user's wish, the flags, and what the picture shows."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction

from paragon_stream.errors import UsageError
from paragon_stream.media.facts.fields import Deinterlace, FieldJob, Parity
from paragon_stream.media.facts.info import MediaInfo, VideoInfo
from paragon_stream.media.frames.interlace_detection import (
    FieldStatistics,
    has_pulldown_flags,
    measure_fields,
)

_NTSC = (Fraction(299, 10), Fraction(301, 10))
"""Frames per second between which telecined film is found."""
_FILM_RATES = (24, 30, 60)
"""What rates are near where whole film pictures are shown for two and three fields in turn."""
_A_LOOK = 60
"""Frames that are enough to suspect film."""
_DVD_LINES = 576
"""Up to this height frames may be telecined without being flagged: made from DVDs by careless encoders."""
_SOFT = (
    "this is film whose 23.976 pictures a second are whole and only shown unevenly (soft telecine):"
    " nothing needs to be undone"
)

logger = logging.getLogger(__name__)


def treat_fields(
    info: MediaInfo, wish: Deinterlace, idet: bool, ivtc: bool
) -> tuple[VideoInfo, tuple[str, ...]]:
    """`info`'s video with its treatment chosen, and hints for the user.

    Raises UsageError for wishes that contradict each other; what looking at the fields raises.
    """
    if ivtc and wish not in (Deinterlace.AUTO, Deinterlace.OFF):
        raise UsageError("--ivtc puts whole film pictures together: leave --deinterlace out")
    seen = measure_fields(info) if idet else None
    video, hints = info.video, _hints(info, None, ivtc)
    if seen is not None:
        logger.info("fields: %s", seen)
        video, hints = replace(video, interlaced=seen.interlaced), _hints(info, seen, ivtc)
    if info.seekable and _is_near_ntsc(info) and has_pulldown_flags(info):
        if ivtc:
            return video, ("the film pictures are whole, only their times alternate: --ivtc is not needed",)
        hints = (_SOFT,)
    job = field_job(video, wish, seen, ivtc)
    if job is None:
        return video, hints
    if video.interlaced or not job.only_flagged:
        logger.info("interlaced: %s", job)
    frames = None if video.frames is None else round(video.frames * job.rate_factor)
    return replace(video, fields=job, frames=frames), hints


def _is_near_ntsc(info: MediaInfo) -> bool:
    rate = info.video.average_rate
    return rate is not None and round(rate) in _FILM_RATES


def field_job(
    video: VideoInfo, wish: Deinterlace, seen: FieldStatistics | None = None, ivtc: bool = False
) -> FieldJob | None:
    """What is done about the fields of `video`, by the wish, its flags and what was `seen`; None: nothing."""
    parity = Parity.AUTO if video.flagged_frames else video.parity
    if seen is not None and seen.interlaced:
        parity = seen.parity
    if ivtc:
        return FieldJob(film=True, parity=parity, only_flagged=False)  # careless encoders set no flags
    if wish is Deinterlace.OFF:
        return None
    if wish is not Deinterlace.AUTO:
        return FieldJob(method=wish, parity=parity, only_flagged=False)
    if seen is not None:
        return FieldJob(parity=parity, only_flagged=False) if seen.interlaced else None
    by_header = video.interlaced and not video.flagged_frames
    return FieldJob(parity=parity, only_flagged=not by_header)


def _hints(info: MediaInfo, seen: FieldStatistics | None, ivtc: bool) -> tuple[str, ...]:
    """What the user should hear about film; a look at the fields is spent only where film is likely."""
    video, rate = info.video, info.video.average_rate
    likely = video.interlaced or video.format.height <= _DVD_LINES
    if seen is None and likely and rate is not None and _NTSC[0] < rate < _NTSC[1]:
        seen = measure_fields(info, _A_LOOK)
    if seen is None:
        return ()
    if seen.telecined and not ivtc:
        return ("this looks like telecined film (3:2 cadence): --ivtc gives back its 24 pictures a second",)
    if ivtc and not seen.telecined:
        return ("no 3:2 cadence was found in the first seconds: --ivtc drops one frame of five all the same",)
    return ()
