"""Streams whose picture changes on the way: recordings with advertisements, films glued together, damage.

A change that lasts is *followed*: frames are handed out as they are, one stretch of a format after another,
and whoever takes them sets up for each. Everything else is *converted*: made like the first frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from paragon_stream.frame import FrameFormat, Timing

MAX_FORMATS = 4
"""Formats that one stream is followed through, the first one included. Each holds a compiled session and its
frames until the end; recordings have two or three (programme, advertisements, trailer), damaged ones any."""

SETTLED = 3
"""Frames that a format must last to be followed: damage makes formats of one or two."""

_NAMED = 6
"""Changes that warnings name; a damaged stream may have hundreds."""


@dataclass(slots=True, eq=False, kw_only=True)
class Look:
    """One format that frames of a stream have, and what became of them."""

    format: FrameFormat
    seconds: float = 0.0
    """When the first of them is shown."""
    frames: int = 0
    stretches: int = 0
    """How often the stream turned to it."""
    converted: int = 0
    """How many of them were made like the first frames of the stream."""
    followed: bool = False
    refused: str = ""
    """Why they are not followed, or not any more."""


class Arrival[Item](NamedTuple):
    """A frame, its time and its look; `lasts` is False in a change that is over at once."""

    item: Item
    timing: Timing
    look: Look
    lasts: bool = True


class Changes[Item]:
    """Deals out the frames of `source`, each with its time and format, stretch by stretch.

    `take` gives frames of one format, `format`, until it changes or the stream ends; `turn` then goes on with
    the next. Without `follow` there is one stretch. Used from one thread at a time.
    """

    def __init__(
        self,
        first: FrameFormat,
        source: Iterator[tuple[Item, Timing, FrameFormat]],
        *,
        follow: bool = False,
        settled: int = SETTLED,
    ) -> None:
        self.format = first
        """Of the frames that `take` hands out now."""
        self._settled = settled
        self._first = Look(format=first, followed=True)
        self._looks = {first: self._first}
        self._follow = follow
        self._left = MAX_FORMATS - 1
        """How many more formats may be followed."""
        self._arrivals = self._arranged(source)
        self._waiting: Arrival[Item] | None = None
        self._latest: Look | None = None

    def take(self) -> Arrival[Item] | None:
        """The next frame; None where the format changes, and at the end of the stream."""
        arrival = self._waiting or next(self._arrivals, None)
        self._waiting = None
        if arrival is None:
            return None
        if self._handed_out(arrival) != self.format:
            self._waiting = arrival
            return None
        look = arrival.look
        if not look.frames:
            look.seconds = arrival.timing.seconds
        look.frames += 1
        look.stretches += look is not self._latest
        self._latest = look
        look.converted += look.format != self.format
        return arrival

    def turn(self) -> FrameFormat | None:
        """After `take` gave None: the format of what follows, taken from now on; None at the end."""
        if self._waiting is None:
            return None
        self.format = self._handed_out(self._waiting)
        return self.format

    def refuse(self, reason: str) -> FrameFormat:
        """Frames of the present format are converted to the first from now on; gives that."""
        self._looks[self.format].refused = reason
        self.format = self._first.format
        return self.format

    @property
    def ended(self) -> bool:
        """Whether the stream is over, once `take` has given None."""
        return self._waiting is None

    @property
    def looks(self) -> tuple[Look, ...]:
        """The formats of the frames taken so far, in the order in which they came."""
        return tuple(look for look in self._looks.values() if look.frames)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each change so far."""
        others = [look for look in self.looks if look is not self._first]
        said = [_sentence(self._first.format, look) for look in others[:_NAMED]]
        if rest := others[_NAMED:]:
            frames = counted(sum(look.frames for look in rest), "frame")
            said.append(f"the picture changes to {len(rest)} more formats: {frames}, treated likewise")
        return said

    def _handed_out(self, arrival: Arrival[Item]) -> FrameFormat:
        """The format in which a frame leaves: its own, or the first."""
        look = arrival.look
        as_it_is = arrival.lasts and look.followed and not look.refused
        return look.format if as_it_is else self._first.format

    def _arranged(self, source: Iterator[tuple[Item, Timing, FrameFormat]]) -> Iterator[Arrival[Item]]:
        """Every frame, once it is known whether its format lasts."""
        current = self._first
        held: list[Arrival[Item]] = []
        for item, timing, format in source:
            look = self._looks.get(format)
            if look is None:
                look = self._looks[format] = Look(format=format, seconds=timing.seconds)
            if held and held[0].look is not look:
                yield from (each._replace(lasts=False) for each in held)
                held = []
            arrival = Arrival(item, timing, look)
            if look is current or not self._may_follow(look):
                yield arrival
                continue
            held.append(arrival)
            if len(held) >= self._settled:
                current = look
                self._left -= not look.followed
                look.followed = True
                yield from held
                held = []
        yield from (each._replace(lasts=False) for each in held)

    def _may_follow(self, look: Look) -> bool:
        if self._follow and not look.followed and not self._left:
            look.refused = f"{MAX_FORMATS} formats are followed"
        return not look.refused and (look.followed or self._follow)


def counted(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _sentence(first: FrameFormat, look: Look) -> str:
    done = []
    if followed := look.frames - look.converted:
        done.append(f"{counted(followed, 'frame')} fitted into the size of the beginning")
    if look.converted:
        because = f" ({look.refused})" if look.refused else ""
        done.append(f"{counted(look.converted, 'frame')} converted to the first frame's format{because}")
    again = look.stretches - 1
    when = f"at {look.seconds:.2f} s" + (f" and {counted(again, 'time')} later" if again else "")
    return f"the picture changes {_change(first, look.format)} {when}: {', '.join(done)}"


def _change(first: FrameFormat, now: FrameFormat) -> str:
    """What is different, in words."""
    pairs = [
        ("", str(first), str(now)),
        ("", _shape(first), _shape(now)),
        (" colours", first.color.matrix.name, now.color.matrix.name),
        (" range", first.color.range, now.color.range),
        (" chroma", first.color.chroma_location.name, now.color.chroma_location.name),
    ]
    told = [f"from {then} to {after}{what}" for what, then, after in pairs if then != after]
    return ", ".join(told) or f"its samples to {now.sample_aspect_ratio}"


def _shape(format: FrameFormat) -> str:
    """How the picture is shown: "1.78:1"."""
    return f"{float(format.width * format.sample_aspect_ratio / format.height):.2f}:1"
