"""Detects from pictures, not from flags, whether video is interlaced, which field is first, and whether it is
film."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise

from av.filter import Graph

from paragon_stream.errors import FormatError
from paragon_stream.media.decode.seeking import decoder_at
from paragon_stream.media.facts.fields import Parity
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.ffmpeg.errors import AV_ERRORS, av_errors_as
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.source.opening import open_source, video_stream

_LOOK_AT = 250
"""Frames: ten seconds."""
_FIELDS = (2, 3)
"""Durations of film pictures under 3:2 pulldown, in fields."""


@dataclass(frozen=True, kw_only=True)
class FieldStatistics:
    """Counts of the verdicts of FFmpeg's idet filter; each verdict uses several frames."""

    top: int
    bottom: int
    progressive: int
    undetermined: int
    repeated: int
    """Frames with a field that repeats the one two fields before."""

    @property
    def frames(self) -> int:
        return self.top + self.bottom + self.progressive + self.undetermined

    @property
    def interlaced(self) -> bool:
        """Whether more than stray frames comb."""
        return self.top + self.bottom > max(2, (self.progressive + self.undetermined) // 4)

    @property
    def parity(self) -> Parity:
        return Parity.BOTTOM if self.bottom > self.top else Parity.TOP

    @property
    def telecined(self) -> bool:
        """Film under 3:2 pulldown: two frames of five repeat a field, and two of five comb."""
        return self.frames >= 20 and self.repeated > self.frames * 0.25

    def __str__(self) -> str:
        return (
            f"{self.top} frames top field first, {self.bottom} bottom field first,"
            f" {self.progressive} progressive, {self.undetermined} undetermined,"
            f" {self.repeated} repeat a field"
        )


def measure_fields(info: MediaInfo, frames: int = _LOOK_AT) -> FieldStatistics:
    """Examine the first `frames` frames (of the cut, if there is one). Raises InputError, FormatError."""
    video = info.video
    begin = info.cut.start if info.cut else Fraction(0)
    later = begin if begin > (video.start_pts or 0) * video.time_base else None
    decoder, decoded = decoder_at(info.path, video.index, later, probing=info.probing)
    verdicts: Counter[str] = Counter()
    repeated: Counter[str] = Counter()
    try:
        graph: Graph | None = None
        first = ""
        for number, frame in enumerate(islice(decoded, frames)):
            if graph is None:
                first = f"{frame.width}x{frame.height} {frame.format.name}"
                graph = Graph()
                buffer = graph.add_buffer(template=frame, time_base=video.time_base)
                graph.link_nodes(buffer, graph.add("idet"), graph.add("buffersink"))
                with av_errors_as(FormatError, f"looking at the fields of {first}"):
                    graph.configure()
            elif f"{frame.width}x{frame.height} {frame.format.name}" != first:
                break
            frame.pts = number
            graph.vpush(frame)
            _count(graph, verdicts, repeated)
        if graph is not None:
            graph.vpush(None)
            _count(graph, verdicts, repeated)
    finally:
        decoder.close()
    return FieldStatistics(
        top=verdicts["tff"],
        bottom=verdicts["bff"],
        progressive=verdicts["progressive"],
        undetermined=verdicts["undetermined"],
        repeated=repeated["top"] + repeated["bottom"],
    )


def _count(graph: Graph, verdicts: Counter[str], repeated: Counter[str]) -> None:
    while True:
        try:
            frame = graph.vpull()
        except (BlockingIOError, EOFError):
            return
        verdicts[frame.metadata.get("lavfi.idet.multiple.current_frame", "undetermined")] += 1
        repeated[frame.metadata.get("lavfi.idet.repeated.current_frame", "neither")] += 1


def has_pulldown_flags(info: MediaInfo) -> bool:
    """Whether the times of the first frames alternate between two and three fields of 59.94 a second.

    Film pictures that the stream marks for repetition look like this (MPEG-2's repeat_first_field): they are
    whole. Only packets are read.
    """
    stamps: list[int] = []
    with open_source(info.path, info.probing) as container:
        stream = video_stream(container, info.video.index)
        unit = as_fraction(stream.time_base)
        with suppress(*AV_ERRORS):  # the decoder reports the damage
            for packet in islice(container.demux(stream), 60):
                if packet.pts is not None:
                    stamps.append(packet.pts)
    stamps.sort()
    field = Fraction(1001, 60000)
    steps = [(b - a) * unit for a, b in pairwise(stamps[:-7])]  # later ones may stand between the last
    if len(steps) < 16:
        return False
    counts = Counter(math.floor(step / field + Fraction(1, 2)) for step in steps)
    fit = sum(abs(step / field - round(step / field)) < 0.2 for step in steps)
    both = min(counts[length] for length in _FIELDS)
    return fit == len(steps) and set(counts) <= set(_FIELDS) and both * 3 >= len(steps)
