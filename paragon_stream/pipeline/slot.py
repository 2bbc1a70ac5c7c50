"""The buffers of one frame in flight (input planes, output planes, facts), and the pool of idle buffers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from paragon_stream.frame import NO_DATA, FrameData, Timing


class Completion(Protocol):
    """Asynchronous work: the output planes of a slot are valid after `wait` has returned."""

    def wait(self) -> None:
        """Block until the work is done. Raises its exception if it failed."""
        ...


class Done:
    """The completion of synchronous work."""

    def wait(self) -> None:
        return None


DONE = Done()


@dataclass(slots=True, eq=False)
class Slot[Plane]:
    """Buffers of one frame in flight, allocated once and reused; owned by exactly one stage at a time.

    `strength` (0…1) is the strength of the frame's compression; only conditioned weights use it. The next
    owner waits for `completion` before it uses the planes. Slots compare by identity.
    """

    inputs: tuple[Plane, ...]
    outputs: tuple[Plane, ...]
    timing: Timing | None = None
    strength: float = 0.0
    data: FrameData = NO_DATA
    """Data of the frame beside its samples, for the last stage."""
    repeats: bool = False
    """The frame equals the previous one: its result is the previous result, and `outputs` are not filled."""
    facts: object | None = None
    """Data about the frame from the first stage for the last one."""
    picture: object | None = None
    """The frame in a GPU's memory, if it is there; `inputs` are not filled then."""
    result: object | None = None
    """The result in a GPU's memory, if it is there; `outputs` are not filled then."""
    completion: Completion = DONE


class SlotPool[Plane]:
    """All slots of a stream. Their number bounds the memory and the latency, and causes the back-pressure.

    A slot is *home* while no stage has acquired it. Thread-safe.
    """

    def __init__(self, slots: Iterable[Slot[Plane]]) -> None:
        self.slots = tuple(slots)
        if not self.slots:
            raise ValueError("a pool needs at least one slot")
        if len({id(slot) for slot in self.slots}) != len(self.slots):
            raise ValueError("the same slot was given twice")
        self.acquire_seconds = 0.0
        """Total time that `acquire` has waited for a slot."""
        self._home = deque(self.slots)
        self._closed = False
        self._changed = threading.Condition()

    @property
    def home(self) -> int:
        """The number of slots that are home."""
        return len(self._home)

    def acquire(self) -> Slot[Plane] | None:
        """The least recently used slot; waits until one is home. None if the pool is closed."""
        with self._changed:
            if not self._home and not self._closed:
                start = perf_counter()
                self._changed.wait_for(lambda: self._home or self._closed)
                self.acquire_seconds += perf_counter() - start
            return None if self._closed else self._home.popleft()

    def release(self, slot: Slot[Plane]) -> None:
        """Return `slot` to the pool and clear its frame. Its completion must be done. Valid after `close`.

        Raises ValueError for a slot that is home already, or belongs to another pool.
        """
        with self._changed:
            if slot not in self.slots or slot in self._home:
                raise ValueError("a slot was released that was not acquired")
            slot.timing, slot.strength, slot.completion = None, 0.0, DONE
            slot.facts = slot.picture = slot.result = None
            slot.data, slot.repeats = NO_DATA, False
            self._home.append(slot)
            self._changed.notify_all()

    def close(self) -> None:
        """Make all calls of `acquire` return None, including waiting ones. Slots can still be released."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
