"""Timestamps as the source has them, repaired where they are missing or run backwards.

The rules, applied to frames in presentation order; a source without faults passes through unchanged:

- **Chosen.** Where a frame has a presentation and a decode time, FFmpeg's best effort decides
  (`AVFrame.best_effort_timestamp`): the presentation time, until more of those than of decode times have
  failed to rise. AVI, ASF and Matroska's VFW tracks store decode times only.
- **Kept.** A pts later than the one before is kept, at any distance: variable frame rates stay
  variable, gaps stay gaps, a start at 10 s or below zero stays there.
- **Missing** (raw H.264/H.265, some AVI): the frame is shown one frame interval after the one before; in a
  run of missing ones the n-th gets `last known + round(n · interval)`, so that no rounding accumulates.
- **Not later, by up to one second** (duplicated or disordered stamps): the frame is shown one tick after the
  one before. No frame is lost and the next good pts is kept as it is, so sound stays in step.
- **Far from the frames around it** (damaged broadcasts): the timestamp is ignored, as if it were missing.
- **Backwards by more** (recordings glued together): a discontinuity. This frame and all after it are moved,
  so that it follows the one before by one frame interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

from paragon_stream.frame import Timing
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.ffmpeg.stamps import presentation_stamp
from paragon_stream.number_text import counted

DISCONTINUITY_SECONDS = 1
"""Seconds. A longer step back is a discontinuity, a shorter one is disorder."""
FAR_SECONDS = 10
"""Seconds that reordering never reaches: packets of video that are further ahead may be damaged."""
MOST_STRAYS = 8
"""Frames in a row whose timestamps may be damaged; after more of them there is a gap or a discontinuity."""


class Stamped(Protocol):
    """A decoded frame's timestamps, in ticks."""

    @property
    def pts(self) -> int | None: ...
    @property
    def dts(self) -> int | None: ...


def with_strays[Frame: Stamped](
    frames: Iterator[Frame], time_base: Fraction, *, live: bool = False
) -> Iterator[tuple[Frame, bool]]:
    """`frames`, in presentation order, each with whether its timestamp strays: it is far from those before,
    and the next ones are near them again.

    Frames far away are held until that is known, `MOST_STRAYS` of them at most. With `live` none is held, and
    none strays.
    """
    far = DISCONTINUITY_SECONDS / time_base
    latest: int | None = None
    held: list[Frame] = []
    for frame in frames:
        stamp = presentation_stamp(frame)
        is_near = stamp is None or latest is None or abs(stamp - latest) <= far
        if held and stamp is not None and is_near:
            yield from ((each, True) for each in held)
            held = []
        if (held or not is_near) and not live:
            held.append(frame)
            if len(held) <= MOST_STRAYS:
                continue
            yield from ((each, False) for each in held)
            held = []
        else:
            yield frame, False
        latest = latest if stamp is None else stamp
    yield from ((each, False) for each in held)


class TimestampRepair:
    """Turns the stamps of decoded frames, in presentation order, into strictly rising ones.

    time_base: seconds per tick of the source's stamps.
    rate: the source's nominal frame rate, for missing stamps; None where unknown.
    start: the pts of the first frame if it has none.
    trust_durations: False if the durations are known to be wrong; they become 0, "unspecified".
    """

    def __init__(
        self,
        time_base: Fraction,
        rate: Fraction | None = None,
        *,
        start: int | None = None,
        trust_durations: bool = True,
    ) -> None:
        self.time_base = time_base
        self.interval = 1 / ((rate or FALLBACK_RATE) * time_base)
        """Ticks between frames at the nominal rate; not rounded."""
        self.missing = 0
        self.strays = 0
        self.disordered = 0
        self.discontinuities = 0
        self._start = start or 0
        self._trust_durations = trust_durations
        self._previous: int | None = None
        self._anchor: int | None = None
        self._since_anchor = 0
        self._shift = 0
        self._best = BestEffort()
        self._by_decoding = False
        """Whether frames have decode times only; the last frames then have no time."""

    def __call__(self, pts: int | None, duration: int = 0, dts: int | None = None) -> Timing:
        """The timing of the next frame, from its stamps as decoded, in ticks. `dts` is its decode time."""
        self._by_decoding = self._by_decoding or (pts is None and dts is not None)
        best = self._best(pts, dts)
        self.missing += best is None and not self._by_decoding
        return self._timing(self._place(best), duration)

    def stray(self, duration: int = 0) -> Timing:
        """The timing of the next frame, whose timestamps stray (see `with_strays`)."""
        self.strays += 1
        return self._timing(self._place(None), duration)

    def _timing(self, shown: int, duration: int) -> Timing:
        self._previous = shown
        believed = duration if self._trust_durations and duration > 0 else 0
        return Timing(pts=shown, duration=believed, time_base=self.time_base)

    def _place(self, pts: int | None) -> int:
        if pts is None:
            if self._anchor is None:
                self._anchor = self._start
                return self._start
            self._since_anchor += 1
            return max(self._anchor + round(self._since_anchor * self.interval), (self._previous or 0) + 1)
        shown = pts + self._shift
        if self._previous is not None and shown <= self._previous:
            back = (self._previous - shown) * self.time_base
            if back > DISCONTINUITY_SECONDS:
                self.discontinuities += 1
                shown = self._previous + max(1, round(self.interval))
                self._shift = shown - pts
            else:
                self.disordered += 1
                shown = self._previous + 1
        self._anchor, self._since_anchor = shown, 0
        return shown

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each kind of repair that was made."""
        sentences = []
        rate = float(1 / (self.interval * self.time_base))
        if self.missing:
            sentences.append(
                f"{counted(self.missing, 'frame')} had no timestamp: timed at {rate:.6g} frames per second"
            )
        if self.strays:
            sentences.append(
                f"{counted(self.strays, 'frame')} had a timestamp far from its neighbours' and were timed at"
                f" {rate:.6g} frames per second"
            )
        if self.disordered:
            sentences.append(
                f"{counted(self.disordered, 'frame')} had a timestamp not later than the frame before:"
                " shown one tick after it"
            )
        if self.discontinuities:
            times = "once" if self.discontinuities == 1 else f"{self.discontinuities} times"
            sentences.append(
                f"the timestamps jump back {times}: the video after that was moved to follow without a gap"
            )
        return tuple(sentences)


class BestEffort:
    """FFmpeg's choice between the two stamps of a frame: `guess_correct_pts` of its decoders."""

    def __init__(self) -> None:
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = self._faulty_dts = 0

    def __call__(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp of the next frame in order of presentation; None if it has none."""
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
        if pts is not None or dts is not None:
            self._last_pts = dts if pts is None else pts
            self._last_dts = pts if dts is None else dts
        good = self._faulty_pts <= self._faulty_dts
        return pts if pts is not None and (good or dts is None) else dts


def rescale(ticks: int, unit: Fraction, shift: Fraction, target: Fraction) -> int:
    """`ticks`·`unit` seconds minus `shift`, in units of `target`: rounded once, halves away from zero."""
    # In integers: called for every packet, and Fractions take ten times as long.
    above = (
        ticks * unit.numerator * shift.denominator - shift.numerator * unit.denominator
    ) * target.denominator
    below = unit.denominator * shift.denominator * target.numerator
    rounded = (2 * abs(above) + below) // (2 * below)
    return rounded if above >= 0 else -rounded
