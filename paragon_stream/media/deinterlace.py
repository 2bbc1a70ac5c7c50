"""Progressive frames out of interlaced ones, by FFmpeg's filters, with exact times."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph

from paragon_stream.errors import FormatError
from paragon_stream.frame import Timing
from paragon_stream.media.av_errors import av_errors_as
from paragon_stream.media.fields import Deinterlace, FieldJob
from paragon_stream.media.timestamps import FALLBACK_RATE

type TimedFrame = tuple[av.VideoFrame, Timing]

_FILM_GROUP = (5, 4)
"""Frames in, frames out: NTSC's telecine makes five frames of four film pictures."""
_IN_EIGHT_BITS = ("yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuvj420p", "yuvj422p", "gray")
"""What FFmpeg's fieldmatch takes; it would convert everything else to these.

Its option `ppsrc` (8-bit twins decide, deeper frames are put together) overwrites the heap in FFmpeg 9.0.
"""

_log = logging.getLogger(__name__)


class Deinterlacer:
    """Runs frames through the filters that `job` asks for. Use `process` once.

    rate: nominal frames per second of the source; None where unknown.
    """

    def __init__(self, job: FieldJob, rate: Fraction | None) -> None:
        self._job, self._rate = job, rate or FALLBACK_RATE
        self._graph: Graph | None = None
        self._kind: tuple[int, int, str] | None = None
        self._film: _FilmClock | None = None
        self.frames = 0
        """Frames that came out of the filters."""

    def process(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        """The frames as they are shown, in order. Raises FormatError for pictures that no filter takes."""
        for frame, timing in frames:
            kind = (frame.width, frame.height, frame.format.name)
            if self._graph is not None and kind != self._kind:
                yield from self._end()
            if self._graph is None:
                if self._job.only_flagged and not frame.interlaced_frame:
                    yield frame, timing
                    continue
                self._begin(frame, timing.time_base)
            assert self._graph is not None
            if self._film is not None:
                self._film.enters(timing)
            frame.pts, frame.time_base, frame.opaque = timing.pts, timing.time_base, timing
            self._graph.vpush(frame)
            yield from self._filtered()
        yield from self._end()

    def _begin(self, frame: av.VideoFrame, time_base: Fraction) -> None:
        job, name = self._job, frame.format.name
        if job.film and name not in _IN_EIGHT_BITS:
            raise FormatError(
                f"--ivtc does not work on {name} video: FFmpeg's fieldmatch takes only 8-bit planar YUV"
                " and gray; --deinterlace takes every depth"
            )
        self._kind = (frame.width, frame.height, name)
        self._film = _FilmClock(self._rate) if job.film else None
        _log.debug("%s of %dx%d %s", job, *self._kind)
        with av_errors_as(FormatError, f"{job} of {name} video"):
            self._graph = graph = Graph()
            chain = [
                graph.add(
                    "buffer",
                    f"video_size={frame.width}x{frame.height}:pix_fmt={name}:time_base={time_base}"
                    f":frame_rate={self._rate}",
                )
            ]
            for filter, options in _filters(job):
                chain.append(graph.add(filter, **options))
            chain += [graph.add("format", name), graph.add("buffersink")]
            graph.link_nodes(*chain)
            graph.configure()

    def _end(self) -> Iterator[TimedFrame]:
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._filtered()
            self._graph = None

    def _filtered(self) -> Iterator[TimedFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return
            self.frames += 1
            yield frame, self._timing(frame)

    def _timing(self, frame: av.VideoFrame) -> Timing:
        if self._film is not None:
            return self._film.leaves()
        source = frame.opaque
        assert isinstance(source, Timing)
        if self._job.method is not Deinterlace.BWDIF_2X:
            return source
        assert frame.pts is not None
        half = source.time_base / 2
        pts = frame.pts * Fraction(frame.time_base.numerator, frame.time_base.denominator) / half
        return Timing(pts=int(pts), duration=source.duration, time_base=half)


def _filters(job: FieldJob) -> list[tuple[str, dict[str, str]]]:
    deint = "interlaced" if job.only_flagged else "all"
    if job.film:
        # What still combs (edits, video among the film) is deinterlaced; fieldmatch flags it.
        return [
            ("fieldmatch", {"order": job.parity.value, "combmatch": "full"}),
            ("bwdif", {"mode": "send_frame", "deint": "interlaced"}),
            ("decimate", {}),
        ]
    if job.method is Deinterlace.YADIF:
        return [("yadif", {"mode": "send_frame", "parity": job.parity.value, "deint": deint})]
    mode = "send_field" if job.method is Deinterlace.BWDIF_2X else "send_frame"
    return [("bwdif", {"mode": mode, "parity": job.parity.value, "deint": deint})]


class _FilmClock:
    """Times of film pictures. FFmpeg's decimate counts frames, so that after a gap its times are wrong.

    The four pictures of a group share the time of its five frames equally, from the first one's pts on.
    """

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._entered: deque[Timing] = deque()
        self._left = 0

    def enters(self, timing: Timing) -> None:
        self._entered.append(timing)

    def leaves(self) -> Timing:
        """The time of the next picture; its group has entered, but for the last one of a stream."""
        frames, pictures = _FILM_GROUP
        first = self._entered[0]
        nominal = frames / (self._rate * first.time_base)
        span = nominal
        if len(self._entered) > frames:
            measured = Fraction(self._entered[frames].pts - first.pts)
            if measured < 2 * nominal:  # else there is a gap in the group
                span = measured
        fine = first.time_base / pictures
        timing = Timing(
            pts=first.pts * pictures + round(self._left * span),
            duration=round(span),
            time_base=fine,
        )
        self._left += 1
        if self._left == pictures:
            self._left = 0
            for _ in range(min(frames, len(self._entered) - 1)):
                self._entered.popleft()
        return timing
