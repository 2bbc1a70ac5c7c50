"""Where a video begins and ends, compared with its packets and its header."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from paragon_stream.media.facts.info import MediaInfo, StreamKind
from paragon_stream.media.facts.rate import FALLBACK_RATE

_WITHOUT_LENGTH = (StreamKind.COVER, StreamKind.ATTACHMENT)


class Extent:
    """Records the first frame that is read and the last one that is decoded, and reports what is missing."""

    def __init__(self, info: MediaInfo) -> None:
        self.end: Fraction | None = None
        """End of the last frame decoded so far, in seconds, whether it is in the cut or not."""
        self.gave_up: str | None = None
        """Why the rest of the file cannot be read; None if it was read."""
        self._info = info
        self._begin: Fraction | None = None
        self._first: Fraction | None = None
        self._complete = False

    def begins(self, time: Fraction, first_pts: int | None) -> None:
        """The first frame that is read is shown at `time`, in seconds; the first packet of the file has
        `first_pts`. Further calls have no effect."""
        if self._begin is not None:
            return
        self._begin = time
        cut, video = self._info.cut, self._info.video
        whole = cut is None or cut.start < (video.start_pts or 0) * video.time_base
        self._first = first_pts * video.time_base if first_pts is not None and whole else None

    def ends(self, gave_up: str | None) -> None:
        """The source has no more frames."""
        self._complete, self.gave_up = True, gave_up

    def sentences(self, *, live: bool) -> Iterator[str]:
        """One sentence for each missing part. A `live` session reports `gave_up` itself."""
        video = self._info.video
        if self._begin is not None and self._first is not None:
            lost = self._begin - self._first
            # The first picture of some containers has no time of its own.
            if round(lost * (video.average_rate or FALLBACK_RATE)) > 1:
                yield f"the first {float(lost):.2f} s of the video cannot be decoded: they have no key frame"
        if self.gave_up and not live:
            yield f"the rest of the file cannot be read: {self.gave_up}"
        if self._complete and self.end is not None and (announced := self._announced_end()) is not None:
            end, length = float(self.end), announced - float((video.start_pts or 0) * video.time_base)
            if announced - end > max(1.0, 0.05 * length):
                yield (
                    f"the video ends at {end:.2f} s although its header announces {announced:.2f} s: "
                    "the file was probably cut off"
                )

    def _announced_end(self) -> float | None:
        """The end by the header, in seconds. The file's duration counts only without further streams, which
        may be longer."""
        video = self._info.video
        length = video.duration
        if length is None and not any(
            stream.index != video.index and stream.kind not in _WITHOUT_LENGTH
            for stream in self._info.streams
        ):
            length = self._info.duration
        return None if length is None else length + float((video.start_pts or 0) * video.time_base)
