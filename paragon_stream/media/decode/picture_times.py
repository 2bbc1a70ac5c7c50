"""The presentation times of a video's pictures, read from its packets without decoding."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from paragon_stream.errors import reason
from paragon_stream.media.decode.timestamps import DISCONTINUITY_SECONDS, FAR_SECONDS
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.source.opening import open_source, video_stream


@dataclass(frozen=True, kw_only=True)
class PictureTimes:
    """Rising times in seconds of the source's timestamps, and those of key frames among them.

    If packets do not have the times of the decoded frames, `trouble` is the reason and there are no times.
    """

    shown: tuple[Fraction, ...] = ()
    keys: tuple[Fraction, ...] = ()
    trouble: str = ""


def picture_times(info: MediaInfo) -> PictureTimes:
    """The times of the pictures of `info.video`, from its first decodable one on. Raises InputError.

    They are reliable if every packet has a presentation time of its own and decode times never decrease:
    `TimestampRepair` then changes no time, wherever decoding begins.
    """
    found: list[int] = []
    keys: list[int] = []
    latest = decoded = None
    with open_source(info.path, info.probing, stored_times=True) as source:
        stream = video_stream(source, info.video.index)
        unit = as_fraction(stream.time_base)
        for other in source.streams:
            if other.index != info.video.index:
                other.discard = type(other.discard).all
        try:
            for packet in source.demux(stream):
                if not packet.size or packet.is_discard:
                    continue
                pts, dts = packet.pts, packet.dts
                if pts is None:
                    return PictureTimes(trouble="packets have no presentation times")
                if packet.is_corrupt:
                    return PictureTimes(trouble="packets are damaged")
                back = Fraction(0) if latest is None else (latest - pts) * unit
                most = DISCONTINUITY_SECONDS if packet.is_keyframe else FAR_SECONDS
                if (decoded is not None and dts is not None and dts < decoded) or back > most:
                    return PictureTimes(trouble="timestamps run backwards")
                decoded = dts if dts is not None else decoded
                latest = pts if latest is None else max(latest, pts)
                found.append(pts)
                if packet.is_keyframe:
                    keys.append(pts)
        except AV_ERRORS as error:
            return PictureTimes(trouble=f"the file cannot be read to its end: {reason(error)}")
    if len(set(found)) < len(found):
        return PictureTimes(trouble="several packets have the same time")
    first = info.video.start_pts or 0
    return PictureTimes(
        shown=tuple(pts * unit for pts in sorted(found) if pts >= first),
        keys=tuple(pts * unit for pts in sorted(keys) if pts >= first),
    )
