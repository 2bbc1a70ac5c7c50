"""Chooses the treatment of a stream's fields from the options, the flags and the pictures."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction

from paragon_stream.errors import UsageError
from paragon_stream.media.facts.fields import Deinterlace, FieldJob, Parity
from paragon_stream.media.facts.info import MediaInfo, VideoInfo
from paragon_stream.media.frames.deinterlace import check_film
from paragon_stream.media.frames.interlace_detection import (
    FieldStatistics,
    has_pulldown_flags,
    measure_fields,
)

_NTSC = (Fraction(299, 10), Fraction(301, 10))
"""Range of frame rates of telecined film, frames per second."""
_FILM_RATES = (24, 30, 60)
"""Frame rate, approximately, of soft telecine: whole film pictures shown for two and three fields in turn."""
_A_LOOK = 60
"""Number of frames that is enough to detect film."""
_DVD_LINES = 576
"""Up to this height, pixels, unflagged frames may be telecined: some encoders of DVDs drop the flags."""
_SOFT = (
    "this is film whose 23.976 pictures a second are whole and only shown unevenly (soft telecine):"
    " nothing needs to be undone"
)
_WHOLE = "the film pictures are whole, only their times alternate: --ivtc is not needed"

logger = logging.getLogger(__name__)


def treat_fields(
    info: MediaInfo, method: Deinterlace, idet: bool, ivtc: bool
) -> tuple[VideoInfo, tuple[str, ...]]:
    """`info`'s video with its treatment chosen, and hints for the user.

    Raises UsageError for contradictory options, FormatError for pictures that cannot be film, and the errors
    of `measure_fields`.
    """
    if ivtc and method not in (Deinterlace.AUTO, Deinterlace.OFF):
        raise UsageError("--ivtc restores whole film pictures: leave --deinterlace out")
    if idet and not ivtc and method is Deinterlace.OFF:
        raise UsageError("--idet decides whether to deinterlace: leave out --deinterlace off")
    seen = measure_fields(info) if idet else None
    video = info.video
    if seen is not None:
        logger.info("fields: %s", seen)
        video = replace(video, interlaced=seen.interlaced)
    if info.seekable and _is_near_ntsc(info) and has_pulldown_flags(info):
        hints: tuple[str, ...] = (_WHOLE if ivtc else _SOFT,)
        ivtc = False  # interlaced video may follow
    else:
        hints = _hints(info, seen, ivtc)
    job = field_job(video, method, seen, ivtc)
    if job is None:
        return video, hints
    if job.film:
        check_film(video.decoded)
    if video.interlaced or not job.only_flagged:
        logger.info("interlaced: %s", job)
    frames = None if video.frames is None else round(video.frames * job.rate_factor)
    return replace(video, fields=job, frames=frames), hints


def _is_near_ntsc(info: MediaInfo) -> bool:
    rate = info.video.average_rate
    return rate is not None and round(rate) in _FILM_RATES


def field_job(
    video: VideoInfo, method: Deinterlace, seen: FieldStatistics | None = None, ivtc: bool = False
) -> FieldJob | None:
    """The treatment of `video`'s fields, from the option, its flags and the pictures `seen`; None for
    none."""
    parity = Parity.AUTO if video.flagged_frames else video.parity
    if seen is not None and seen.interlaced:
        parity = seen.parity
    if ivtc:
        return FieldJob(film=True, parity=parity, only_flagged=False)  # some encoders set no flags
    if method is Deinterlace.OFF:
        return None
    if method is not Deinterlace.AUTO:
        return FieldJob(method=method, parity=parity, only_flagged=False)
    if seen is not None:
        return FieldJob(parity=parity, only_flagged=False) if seen.interlaced else None
    by_header = video.interlaced and not video.flagged_frames
    return FieldJob(parity=parity, only_flagged=not by_header)


def _hints(info: MediaInfo, seen: FieldStatistics | None, ivtc: bool) -> tuple[str, ...]:
    """Hints for the user about film. Fields are examined only if film is likely, and the source can be read
    twice."""
    video, rate = info.video, info.video.average_rate
    likely = info.seekable and (video.interlaced or video.format.height <= _DVD_LINES)
    if seen is None and likely and rate is not None and _NTSC[0] < rate < _NTSC[1]:
        seen = measure_fields(info, _A_LOOK)
    if seen is None:
        return ()
    if seen.telecined and not ivtc:
        return ("this looks like telecined film (3:2 cadence): --ivtc restores its 24 pictures a second",)
    if ivtc and not seen.telecined:
        return ("no 3:2 cadence was found in the first seconds: --ivtc drops one frame in five nevertheless",)
    return ()
