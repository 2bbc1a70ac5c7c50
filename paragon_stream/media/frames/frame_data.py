"""The data of a stream's frames that outputs can hold: closed captions and HDR10+."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from fractions import Fraction

from av.sidedata.sidedata import Type

from paragon_stream.frame import FrameData
from paragon_stream.media.facts.hdr10_plus import hdr10_plus_message
from paragon_stream.media.facts.side_data import CAPTIONS, HDR10_PLUS, frame_data
from paragon_stream.media.frames.captions import CaptionTrack
from paragon_stream.media.frames.deinterlace import TimedFrame


class FrameDataTrack:
    """`watch` returns the frames unchanged, and notes their data; `take` gives those of the frame at a time.

    `kinds` are the names of the data in demand (`media.facts.side_data`).
    """

    def __init__(self, kinds: Collection[str]) -> None:
        self._captions = CaptionTrack() if CAPTIONS in kinds else None
        self._wants_hdr = HDR10_PLUS in kinds
        self._hdr: deque[tuple[Fraction, bytes]] = deque()
        """Times and HDR10+ messages of the frames from the one taken last on; b"" for frames without."""

    def watch(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        for frame, timing in frames:
            time = timing.time
            if self._captions is not None and (captions := frame_data(frame, Type.A53_CC)):
                self._captions.add(time, captions)
            if self._wants_hdr:
                metadata = frame_data(frame, Type.DYNAMIC_HDR_PLUS)
                self._hdr.append((time, hdr10_plus_message(metadata) if metadata else b""))
            yield frame, timing

    def take(self, time: Fraction) -> FrameData:
        """The data of the frame at `time` (seconds). One call for each frame, in order of time.

        A frame that deinterlacing has made has the HDR10+ of the frame before it.
        """
        while len(self._hdr) > 1 and self._hdr[1][0] <= time:
            self._hdr.popleft()
        return FrameData(
            captions=b"" if self._captions is None else self._captions.take(time),
            hdr10_plus=self._hdr[0][1] if self._hdr and self._hdr[0][0] <= time else b"",
        )
