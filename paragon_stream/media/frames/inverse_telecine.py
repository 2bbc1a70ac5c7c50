"""Inverse telecine of frames of more than 8 bits, and the times of film pictures.

FFmpeg's fieldmatch, which finds matching fields, accepts 8 bits only. (Its option `ppsrc`, for deciding by
8-bit copies and combining deeper frames, overwrites the heap in FFmpeg 9.0.) So it gets 8-bit copies for the
decision, and combines frames whose samples are all the number of the frame: the rows of its result name the
frames from which to take the fields.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph

from paragon_stream.errors import FormatError
from paragon_stream.frame import Timing, pixel_format
from paragon_stream.media.decode.conform import ONE_THREAD
from paragon_stream.media.facts.fields import FieldJob
from paragon_stream.media.ffmpeg.planes import plane_view

FILM_GROUP = (5, 4)
"""Frames in, frames out: NTSC's telecine makes five frames of four film pictures."""
FIELDMATCH = "fieldmatch"
_NUMBERS = 256
_KEPT = 8
"""Frames behind the newest that a field may come from, and more than the filter holds back."""


def match_options(job: FieldJob) -> dict[str, str]:
    """The options of FFmpeg's fieldmatch."""
    return {"order": job.parity.value, "combmatch": "full"}


def eight_bit_twin(name: str) -> str | None:
    """The 8-bit format like FFmpeg's `name`, for the deep ones that `DeepMatcher` takes; else None."""
    try:
        bits = pixel_format(name).depth
    except FormatError:
        return None
    twin = name.removesuffix(f"{bits}le")
    return twin if bits > 8 and twin in ("yuv420p", "yuv422p", "yuv444p", "gray") else None


class DeepMatcher:
    """Combines matching fields of one stream's frames, like fieldmatch; see the module.

    twin: `eight_bit_twin` of the frames' format.
    """

    def __init__(self, job: FieldJob, frame: av.VideoFrame, twin: str) -> None:
        self._twin = twin
        self._match = Graph()
        sources = [_buffer(self._match, frame, twin) for _ in range(2)]
        match = self._match.add(FIELDMATCH, **match_options(job), ppsrc="1")
        sink = self._match.add("buffersink")
        for number, source in enumerate(sources):
            source.link_to(match, 0, number)
        match.link_to(sink)
        self._match.configure()
        self._sources, self._sink = sources, sink
        self._whole, self._combed = (_Flag(frame, mode) for mode in ("prog", "auto"))
        self._frames: deque[tuple[int, av.VideoFrame]] = deque()
        """Frames with their numbers, from the oldest one that a field may come from."""
        self._count = self._given = 0

    def push(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """The frames that are complete now; combed ones are flagged as interlaced. None ends the stream."""
        if frame is None:
            if self._frames:
                self._show(self._frames[-1][1])  # the filter does not return the last one
            for source in self._sources:
                source.push(None)
        else:
            self._frames.append((self._count, frame))
            self._show(frame)
            self._count += 1
        while self._given < self._count:
            try:
                matched = self._sink.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(matched, av.VideoFrame)
            yield self._woven(matched)
            self._given += 1
            while self._frames[0][0] < self._given - _KEPT:
                self._frames.popleft()

    def _show(self, frame: av.VideoFrame) -> None:
        twin = frame.reformat(format=self._twin, threads=ONE_THREAD)
        numbers = av.VideoFrame(frame.width, frame.height, self._twin)
        for index in range(len(numbers.planes)):
            plane_view(numbers, index)[:] = self._count % _NUMBERS
        for source, shown in zip(self._sources, (twin, numbers), strict=True):
            shown.pts, shown.time_base = self._count, Fraction(1, 1000)
            source.push(shown)

    def _woven(self, matched: av.VideoFrame) -> av.VideoFrame:
        """The next frame, combined from the fields that `matched` names."""
        rows = plane_view(matched, 0)
        by_number = {number % _NUMBERS: frame for number, frame in self._frames}
        top, bottom = (by_number[int(rows[min(row, len(rows) - 1), 0])] for row in (0, 1))
        own = by_number[self._given % _NUMBERS]
        frame = (self._combed if matched.interlaced_frame else self._whole).put_on(own)
        if top is own and bottom is own:
            return frame
        frame.make_writable()
        for index in range(len(frame.planes)):
            planes = [plane_view(each, index) for each in (frame, top, bottom)]
            width = min(plane.shape[1] for plane in planes)  # in bytes; padding differs
            for row, source in enumerate(planes[1:]):
                planes[0][row::2, :width] = source[row::2, :width]
        return frame


class _Flag:
    """Gives frames a flag; their pixels are shared."""

    def __init__(self, frame: av.VideoFrame, mode: str) -> None:
        self._graph = Graph()
        buffer = _buffer(self._graph, frame, frame.format.name)
        self._graph.link_nodes(buffer, self._graph.add("setfield", mode=mode), self._graph.add("buffersink"))
        self._graph.configure()

    def put_on(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._graph.vpush(frame)
        return self._graph.vpull()


def _buffer(graph: Graph, frame: av.VideoFrame, name: str) -> av.filter.FilterContext:
    size = f"video_size={frame.width}x{frame.height}"
    return graph.add("buffer", f"{size}:pix_fmt={name}:time_base=1/1000")


class FilmClock:
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
        frames, pictures = FILM_GROUP
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
