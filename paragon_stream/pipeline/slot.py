"""The unit in flight: one frame's input planes, output planes and facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from paragon_stream.frame import Timing


class Completion(Protocol):
    """Something that can be waited for: the output planes of a slot are valid once `wait` has returned."""

    def wait(self) -> None:
        """Block until the work is done; raise what went wrong."""
        ...


class Done:
    """The completion of work that was finished before `run` returned."""

    def wait(self) -> None:
        return None


DONE = Done()


@dataclass(slots=True)
class Slot[Plane]:
    """Buffers of one frame in flight, allocated once and reused; owned by exactly one stage at a time.

    `strength` (0…1) says how hard the frame was compressed; only conditioned weights look at it.
    """

    inputs: tuple[Plane, ...]
    outputs: tuple[Plane, ...]
    timing: Timing | None = None
    strength: float = 0.0
    completion: Completion = DONE
