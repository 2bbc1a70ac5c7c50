"""One stage of a pipeline: its work, its times and its failure. See pipeline.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from paragon_stream.frame import Timing
from paragon_stream.pipeline.slot import Slot


class Overflow(Enum):
    """The action of a stage if the channel to the next stage is full."""

    WAIT = auto()
    """Wait for room: every frame is processed."""
    DROP_OLDEST = auto()
    """Drop the oldest frame that the next stage has not begun: a live source stays live."""


@dataclass(frozen=True, kw_only=True)
class Stage[Plane]:
    """One thread's work on each slot.

    `work` owns the slot until it returns. It returns False, and not merely None, at the end: this slot goes
    back to the pool, earlier slots are still processed by the later stages, and the earlier stages stop. The
    first stage returns False when its source has ended, a later one when it needs no more frames.

    `work` may start asynchronous work and store its `slot.completion`; the next stage's thread waits for it
    before its own `work`. `finish` runs once in the stage's thread after its last slot (an encoder's flush),
    but not after a failure, after Ctrl-C, or if a later stage needs no more frames. If it returns
    True, the result is complete, and `Pipeline.run` does not raise for a Ctrl-C that came during `finish`.

    A stage that blocks in a library cannot be interrupted and blocks `Pipeline.run`, so sources that may hang
    need time-outs. Pipelines stop between slots.
    """

    name: str
    work: Callable[[Slot[Plane]], bool | None]
    finish: Callable[[], bool | None] | None = None
    overflow: Overflow = Overflow.WAIT
    room: int | None = None
    """Slots that the channel after it holds. None: one after a live stage, else half of all slots."""
    leave: Callable[[], None] | None = None
    """Called in another thread after Ctrl-C, to end a wait inside `work`."""


@dataclass(frozen=True, kw_only=True)
class StageStats:
    """The times of one stage, in seconds."""

    frames: int
    """Slots passed to the next stage."""
    dropped: int
    """Slots dropped for newer ones (`Overflow.DROP_OLDEST`)."""
    busy: float
    """`work` or `finish` ran, or the next stage waited for its completion; at most the wall time."""
    waiting_for_input: float
    """Waiting for slots of the previous stage, and for their completions."""
    waiting_for_output: float
    """Waiting for room in the channel to the next stage; in the first stage also for a slot of the pool."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failure of a stage."""

    stage: str
    error: BaseException
    frame: int
    """Its number: the frames that the stage had passed on before."""
    timing: Timing | None
    """Timing of the current frame; None if it is not known."""

    def __str__(self) -> str:
        at = "" if self.timing is None else f", {self.timing.seconds:.3f} s"
        return f"in stage {self.stage} (frame {self.frame}{at})"
