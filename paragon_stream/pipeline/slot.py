"""The unit in flight (one frame's input planes, output planes and facts), and the pool of idle units."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
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


@dataclass(slots=True, eq=False)
class Slot[Plane]:
    """Buffers of one frame in flight, allocated once and reused; owned by exactly one stage at a time.

    `strength` (0…1) says how hard the frame was compressed; only conditioned weights look at it.
    `completion` is what the next owner waits for before touching the planes. Slots compare by identity.
    """

    inputs: tuple[Plane, ...]
    outputs: tuple[Plane, ...]
    timing: Timing | None = None
    strength: float = 0.0
    repeats: bool = False
    """The frame is the one before once more: its result is that one's, and `outputs` are not filled."""
    facts: object | None = None
    """What the first stage has to say to the last one about the frame."""
    picture: object | None = None
    """The frame where it is, if that is in a GPU's memory; `inputs` are not filled then."""
    result: object | None = None
    """The result where it is, if that is in a GPU's memory; `outputs` are not filled then."""
    completion: Completion = DONE


class SlotPool[Plane]:
    """All slots of a stream. Their number bounds the memory and the latency, and is the back-pressure.

    A slot is *home* while no stage has acquired it. Thread-safe.
    """

    def __init__(self, slots: Iterable[Slot[Plane]]) -> None:
        self.slots = tuple(slots)
        if not self.slots:
            raise ValueError("a pool needs at least one slot")
        if len({id(slot) for slot in self.slots}) != len(self.slots):
            raise ValueError("the same slot was given twice")
        self.acquire_seconds = 0.0
        """How long `acquire` has waited for a slot to come home, all calls together."""
        self._home = deque(self.slots)
        self._closed = False
        self._changed = threading.Condition()

    @property
    def home(self) -> int:
        """How many slots are home."""
        return len(self._home)

    def acquire(self) -> Slot[Plane] | None:
        """A slot, the one that has rested longest, waiting until one is home. None: the pool is closed."""
        with self._changed:
            if not self._home and not self._closed:
                start = perf_counter()
                self._changed.wait_for(lambda: self._home or self._closed)
                self.acquire_seconds += perf_counter() - start
            return None if self._closed else self._home.popleft()

    def release(self, slot: Slot[Plane]) -> None:
        """Take `slot` home and forget its frame. Its completion must be over. Also after `close`.

        Raises ValueError for a slot that is home already, or belongs elsewhere.
        """
        with self._changed:
            if slot not in self.slots or slot in self._home:
                raise ValueError("a slot came home that was not out")
            slot.timing, slot.strength, slot.completion = None, 0.0, DONE
            slot.facts = slot.picture = slot.result = None
            slot.repeats = False
            self._home.append(slot)
            self._changed.notify_all()

    def close(self) -> None:
        """Give out no more slots; waiting `acquire` calls return None. Slots can still return."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
