"""Deinterlacing by FFmpeg's filters, with exact times."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph

from paragon_stream.errors import FormatError
from paragon_stream.frame import Timing
from paragon_stream.media.facts.fields import Deinterlace, FieldJob
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.ffmpeg.errors import av_errors_as
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.frames.inverse_telecine import (
    FIELDMATCH,
    DeepMatcher,
    FilmClock,
    eight_bit_twin,
    match_options,
)

type TimedFrame = tuple[av.VideoFrame, Timing]

_IN_EIGHT_BITS = ("yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuvj420p", "yuvj422p", "gray")
"""Formats of FFmpeg's fieldmatch; it would convert all others to these."""

logger = logging.getLogger(__name__)


def check_film(name: str) -> None:
    """Raise FormatError if frames in FFmpeg's pixel format `name` cannot be telecined film."""
    if name not in _IN_EIGHT_BITS and eight_bit_twin(name) is None:
        raise FormatError(
            f"--ivtc does not work on {name} video: it takes YUV 4:2:0, 4:2:2 and 4:4:4 without alpha,"
            " and gray; --deinterlace takes everything"
        )


class Deinterlacer:
    """Runs frames through the filters of `job`. Use `process` once.

    rate: nominal frames per second of the source; None where unknown.
    """

    def __init__(self, job: FieldJob, rate: Fraction | None) -> None:
        self._job, self._rate = job, rate or FALLBACK_RATE
        self._graph: Graph | None = None
        self._kind: tuple[int, int, str] | None = None
        self._film: FilmClock | None = None
        self._matcher: DeepMatcher | None = None
        self._shown: Timing | None = None
        """Time of the frame that went into the filters only as a predecessor."""
        self.frames = 0
        """Number of frames that the filters returned."""

    def process(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        """The frames as they are shown, in order. Raises FormatError for formats that the filters do not
        accept.

        The first interlaced frame after progressive ones is filtered together with the frame before it, like
        all later ones. So the result does not depend on where reading began.
        """
        before: TimedFrame | None = None
        for frame, timing in frames:
            kind = _kind(frame)
            if self._graph is not None and kind != self._kind:
                yield from self._end()
                before = None
            if self._graph is None:
                if self._job.only_flagged and not frame.interlaced_frame:
                    before = frame, timing
                    yield frame, timing
                    continue
                self._begin(frame, timing.time_base)
                if before is not None and self._film is None and kind == _kind(before[0]):
                    self._show_first(*before)
                before = None
            assert self._graph is not None
            if self._film is not None:
                self._film.enters(timing)
            frame.pts, frame.time_base, frame.opaque = timing.pts, timing.time_base, timing
            for whole in [frame] if self._matcher is None else self._matcher.push(frame):
                self._graph.vpush(whole)
                yield from self._filtered()
        yield from self._end()

    def _begin(self, frame: av.VideoFrame, time_base: Fraction) -> None:
        job, name = self._job, frame.format.name
        twin = eight_bit_twin(name) if job.film and name not in _IN_EIGHT_BITS else None
        if job.film:
            check_film(name)
        self._kind = (frame.width, frame.height, name)
        self._film = FilmClock(self._rate) if job.film else None
        logger.debug("%s of %dx%d %s", job, *self._kind)
        with av_errors_as(FormatError, f"{job} of {name} video"):
            self._matcher = None if twin is None else DeepMatcher(job, frame, twin)
            self._graph = graph = Graph()
            chain = [
                graph.add(
                    "buffer",
                    f"video_size={frame.width}x{frame.height}:pix_fmt={name}:time_base={time_base}"
                    f":frame_rate={self._rate}",
                )
            ]
            for filter, options in _filters(job):
                if self._matcher is not None and filter == FIELDMATCH:
                    continue
                chain.append(graph.add(filter, **options))
            chain += [graph.add("format", name), graph.add("buffersink")]
            graph.link_nodes(*chain)
            graph.configure()

    def _show_first(self, frame: av.VideoFrame, timing: Timing) -> None:
        """Give the filters a frame that was already returned, as predecessor of the first; it is not returned
        again."""
        assert self._graph is not None
        frame.pts, frame.time_base, frame.opaque = timing.pts, timing.time_base, timing
        self._graph.vpush(frame)
        self._shown = timing

    def _end(self) -> Iterator[TimedFrame]:
        if self._graph is not None:
            for whole in () if self._matcher is None else self._matcher.push(None):
                self._graph.vpush(whole)
                yield from self._filtered()
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
            if self._shown is not None and frame.opaque is self._shown:
                self._shown = None
                continue
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
        first, pts = 2 * source.pts, int(frame.pts * as_fraction(frame.time_base) / half)
        field = 1 / (self._rate * source.time_base)  # in half ticks
        if pts - first > 2 * field:  # the filter puts the last field before a gap into its middle
            pts = first + round(field)
        return Timing(pts=pts, duration=source.duration, time_base=half)


def _kind(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _filters(job: FieldJob) -> list[tuple[str, dict[str, str]]]:
    deint = "interlaced" if job.only_flagged else "all"
    if job.film:
        # Frames that still comb (edits, video within the film) are deinterlaced; fieldmatch flags them.
        return [
            (FIELDMATCH, match_options(job)),
            ("bwdif", {"mode": "send_frame", "deint": "interlaced"}),
            ("decimate", {}),
        ]
    if job.method is Deinterlace.YADIF:
        return [("yadif", {"mode": "send_frame", "parity": job.parity.value, "deint": deint})]
    mode = "send_field" if job.method is Deinterlace.BWDIF_2X else "send_frame"
    return [("bwdif", {"mode": mode, "parity": job.parity.value, "deint": deint})]
