"""Streams whose frame format changes: recordings with advertisements, joined films, damage.

A change that lasts is *followed*: frames keep their format, and the reader returns one stretch of frames of
one format after another. All other frames are *converted* to the format of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from paragon_stream.frame import FrameFormat, Timing
from paragon_stream.number_text import counted

MAX_FORMATS = 4
"""Formats of one stream that are followed, including the first. Each keeps a compiled session and its buffers
until the end. Recordings have two or three (programme, advertisements, trailer); damaged ones any number."""

SETTLED = 3
"""Frames that a format must last to be followed: damage causes formats of one or two frames."""

_NAMED = 6
"""Changes that are listed in warnings; a damaged stream may have hundreds."""


@dataclass(slots=True, eq=False, kw_only=True)
class ObservedFormat:
    """One frame format of a stream, and the treatment of its frames."""

    format: FrameFormat
    seconds: float = 0.0
    """Presentation time of its first frame taken."""
    frames: int = 0
    stretches: int = 0
    """Number of changes of the stream to this format."""
    converted: int = 0
    """Frames converted to the first format of the stream."""
    followed: bool = False
    refused: str = ""
    """Why its frames are not followed, or no longer followed; "" otherwise."""


class Arrival[Item](NamedTuple):
    """A frame, its time and its format; `lasts` is False in a change that is over at once."""

    item: Item
    timing: Timing
    observed: ObservedFormat
    lasts: bool = True


class FormatChanges[Item]:
    """The frames of `source`, each with its time and format, in stretches of one format.

        `take` returns frames of one format, `format`, until it changes or the stream ends; `next_format` then
    continues with the next stretch. Without `follow` there is one stretch. Times in reports are those of the
    source, or, if `live`, are counted from the first frame taken. Used from one thread at a time.
    """

    def __init__(
        self,
        first: FrameFormat,
        source: Iterator[tuple[Item, Timing, FrameFormat]],
        *,
        follow: bool = False,
        settled: int = SETTLED,
        live: bool = False,
    ) -> None:
        self.format = first
        """The format of the frames that `take` returns now."""
        self._settled = settled
        self._begin = None if live else 0.0
        self._first = ObservedFormat(format=first, followed=True)
        self._formats = {first: self._first}
        self._follow = follow
        self._left = MAX_FORMATS - 1
        """Number of further formats that may be followed."""
        self._arrivals = self._arranged(source)
        self._waiting: Arrival[Item] | None = None
        self._latest: ObservedFormat | None = None

    def take(self) -> Arrival[Item] | None:
        """The next frame; None at a change of the format and at the end of the stream."""
        arrival = self._waiting or next(self._arrivals, None)
        self._waiting = None
        if arrival is None:
            return None
        if self._handed_out(arrival) != self.format:
            self._waiting = arrival
            return None
        observed = arrival.observed
        if self._begin is None:
            self._begin = arrival.timing.seconds
        if not observed.frames:
            observed.seconds = arrival.timing.seconds - self._begin
        observed.frames += 1
        observed.stretches += observed is not self._latest
        self._latest = observed
        observed.converted += observed.format != self.format
        return arrival

    def next_format(self) -> FrameFormat | None:
        """Continue with the next stretch after `take` has returned None. Returns its format, or None at the
        end."""
        if self._waiting is None:
            return None
        self.format = self._handed_out(self._waiting)
        return self.format

    def refuse(self, reason: str) -> FrameFormat:
        """Convert frames of the current format to the first format from now on; returns the first format."""
        self._formats[self.format].refused = reason
        self.format = self._first.format
        return self.format

    def go_on(self, frames: int, seconds: float) -> None:
        """Count `frames` frames of the first format, from `seconds` on, instead of those taken so far."""
        self._first.frames, self._first.seconds = frames, seconds

    @property
    def ended(self) -> bool:
        """Whether the stream is over, once `take` has given None."""
        return self._waiting is None

    @property
    def formats(self) -> tuple[ObservedFormat, ...]:
        """The formats of the frames taken so far, in the order in which they came."""
        return tuple(observed for observed in self._formats.values() if observed.frames)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each change so far."""
        others = [observed for observed in self.formats if observed is not self._first]
        sentences = [_sentence(self._first.format, observed) for observed in others[:_NAMED]]
        if rest := others[_NAMED:]:
            frames = counted(sum(observed.frames for observed in rest), "frame")
            sentences.append(f"the picture changes to {len(rest)} more formats: {frames}, treated likewise")
        return sentences

    def _handed_out(self, arrival: Arrival[Item]) -> FrameFormat:
        """The format in which `take` returns a frame: its own, or the first."""
        observed = arrival.observed
        as_it_is = arrival.lasts and observed.followed and not observed.refused
        return observed.format if as_it_is else self._first.format

    def _arranged(self, source: Iterator[tuple[Item, Timing, FrameFormat]]) -> Iterator[Arrival[Item]]:
        """Every frame, after the decision whether its format lasts."""
        current = self._first
        held: list[Arrival[Item]] = []
        for item, timing, format in source:
            observed = self._formats.get(format)
            if observed is None:
                observed = self._formats[format] = ObservedFormat(format=format)
            if held and held[0].observed is not observed:
                yield from (each._replace(lasts=False) for each in held)
                held = []
            arrival = Arrival(item, timing, observed)
            if observed is current or not self._may_follow(observed):
                yield arrival
                continue
            held.append(arrival)
            if len(held) >= self._settled:
                current = observed
                self._left -= not observed.followed
                observed.followed = True
                yield from held
                held = []
        yield from (each._replace(lasts=False) for each in held)

    def _may_follow(self, observed: ObservedFormat) -> bool:
        if self._follow and not observed.followed and not self._left:
            observed.refused = f"{MAX_FORMATS} formats are followed"
        return not observed.refused and (observed.followed or self._follow)


def _sentence(first: FrameFormat, observed: ObservedFormat) -> str:
    done = []
    if followed := observed.frames - observed.converted:
        done.append(f"{counted(followed, 'frame')} fitted into the size of the beginning")
    if observed.converted:
        because = f" ({observed.refused})" if observed.refused else ""
        done.append(f"{counted(observed.converted, 'frame')} converted to the first frame's format{because}")
    again = observed.stretches - 1
    when = f"at {observed.seconds:.2f} s" + (f" and {counted(again, 'time')} later" if again else "")
    return f"the picture changes {_change(first, observed.format)} {when}: {', '.join(done)}"


def _change(first: FrameFormat, now: FrameFormat) -> str:
    """The differences, as text."""
    pairs = [
        ("", str(first), str(now)),
        ("", _shape(first), _shape(now)),
        (" colours", first.color.matrix.name, now.color.matrix.name),
        (" range", first.color.range, now.color.range),
        (" chroma", first.color.chroma_location.name, now.color.chroma_location.name),
    ]
    parts = [f"from {then} to {after}{what}" for what, then, after in pairs if then != after]
    return ", ".join(parts) or f"its samples to {now.sample_aspect_ratio}"


def _shape(format: FrameFormat) -> str:
    """The display aspect ratio, such as "1.78:1"."""
    return f"{float(format.width * format.sample_aspect_ratio / format.height):.2f}:1"
