"""One stage of a pipeline: its work, its times and its failure. See pipeline.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from paragon_stream.frame import Timing
from paragon_stream.pipeline.slot import Slot


class Overflow(Enum):
    """What a stage does with a slot that the next stage has no room for."""

    WAIT = auto()
    """Wait for room: every frame is processed."""
    DROP_OLDEST = auto()
    """Take the frame back that the next stage has not begun, unprocessed: a live source stays live."""


@dataclass(frozen=True, kw_only=True)
class Stage[Plane]:
    """One thread's work on each slot.

    `work` has a slot to itself until it returns. Returning False, and nothing else, means "no more": this
    slot goes home unsent, what was sent before is still processed downstream, and upstream stages stop. The
    first stage returns it when its source has ended, a later one when it needs no more frames.

    `finish` returning True says that the run's result is complete: a Ctrl-C that came meanwhile is too late
    to change anything, so `Pipeline.run` does not raise for it.

    `work` may leave asynchronous work behind in `slot.completion`; the next stage's thread waits for it
    before its own `work`. `finish` runs once in the stage's thread after its last slot (an encoder's flush),
    but not after a failure, a cancellation, or a "no more" from downstream.

    Neither can be killed: one that blocks in foreign code for ever blocks `Pipeline.run` for ever, so sources
    that may hang need time-outs of their own. Stopping happens between slots.
    """

    name: str
    work: Callable[[Slot[Plane]], bool | None]
    finish: Callable[[], bool | None] | None = None
    overflow: Overflow = Overflow.WAIT
    room: int | None = None
    """Slots that may wait behind it. None: the newest one behind a live stage, elsewhere half of all."""
    leave: Callable[[], None] | None = None
    """Called in another thread after Ctrl-C or a cancellation: ends a wait inside `work`."""


@dataclass(frozen=True, kw_only=True)
class StageStats:
    """Where one stage's time went, in seconds."""

    frames: int
    """Slots sent on."""
    dropped: int
    """Slots taken back to make room for newer ones (`Overflow.DROP_OLDEST`)."""
    busy: float
    """`work` or `finish` ran, or the next stage waited for a completion; never above the wall time."""
    waiting_for_input: float
    """For slots from the stage before, and for their completions."""
    waiting_for_output: float
    """For room in the next stage; in the first stage also for a slot to come home."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What went wrong where."""

    stage: str
    error: BaseException
    frame: int
    """Its number: how many frames the stage had sent on before."""
    timing: Timing | None
    """That of the frame in hand; None if there was none, or it had none yet."""

    def __str__(self) -> str:
        at = "" if self.timing is None else f", {self.timing.seconds:.3f} s"
        return f"in stage {self.stage} (frame {self.frame}{at})"
