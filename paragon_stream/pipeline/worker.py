"""The thread of one stage."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Protocol

from paragon_stream.frame import Timing
from paragon_stream.pipeline.channel import Channel
from paragon_stream.pipeline.slot import DONE, Slot, SlotPool
from paragon_stream.pipeline.stage import Failure, Overflow, Stage
from paragon_stream.pipeline.trace import Trace


class Supervisor[Plane](Protocol):
    """The pipeline as workers see it. Workers never call each other."""

    pool: SlotPool[Plane]
    trace: Trace | None
    first_frame: int
    """The number of the first frame."""

    @property
    def stopping(self) -> bool:
        """Whether all work must end, with unfinished slots."""
        ...

    def take_home(self, slot: Slot[Plane]) -> None:
        """Release a slot that no stage will process."""
        ...

    def failed(self, failure: Failure) -> None:
        """Record a failure and stop all workers."""
        ...

    def notice(self) -> None:
        """A worker has finished its first frame, or has ended."""
        ...


class BusyClock:
    """The time in seconds during which at least one thread was inside the `with` block."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = 0
        self._since = 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._since = perf_counter()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self.seconds += perf_counter() - self._since


class Worker[Plane](threading.Thread):
    """Takes a slot, works on it, and passes it on. It always closes both channels at the end.

    Without `inbox` slots come from the pool; without `outbox` they return to it.
    """

    def __init__(
        self,
        stage: Stage[Plane],
        supervisor: Supervisor[Plane],
        *,
        before: Worker[Plane] | None,
        inbox: Channel[Slot[Plane]] | None,
        outbox: Channel[Slot[Plane]] | None,
    ) -> None:
        super().__init__(name=f"paragon-{stage.name}", daemon=True)
        self.stage = stage
        self.frames = 0
        self.dropped = 0
        self.timing: Timing | None = None
        """Timing of the last frame that was passed on."""
        self.busy = BusyClock()
        """Runs while this thread works, and while the next stage waits for a completion of this stage."""
        self.ended = False
        self.begun: dict[int, float] = {}
        """Start of the latest work on each slot, by the slot's id."""
        self._before = before or self
        self._supervisor = supervisor
        self._pool = supervisor.pool
        self._inbox = inbox
        self._outbox = outbox
        self._slot: Slot[Plane] | None = None  # the current one
        self._completion_seconds = 0.0
        self._first_frame = supervisor.first_frame
        self._blame = stage.name  # the stage whose work is done or waited for
        self._refused = False
        self.complete = False
        """See `Stage.finish`."""

    @property
    def frame(self) -> int:
        """The number of the current frame."""
        return self._first_frame + self.frames

    @property
    def input_seconds(self) -> float:
        """See `StageStats.waiting_for_input`."""
        waited = 0.0 if self._inbox is None else self._inbox.get_seconds
        return waited + self._completion_seconds

    @property
    def output_seconds(self) -> float:
        """See `StageStats.waiting_for_output`."""
        waited = 0.0 if self._outbox is None else self._outbox.put_seconds
        return waited + (self._pool.acquire_seconds if self._inbox is None else 0.0)

    def run(self) -> None:
        """The thread's main function."""
        try:
            while self._turn():
                pass
            if self.stage.finish is not None and not self._refused and not self._supervisor.stopping:
                with self.busy, self._drawn("finish"):
                    self.complete = self.stage.finish() is True
        except BaseException as error:
            timing = None if self._slot is None else self._slot.timing
            self._supervisor.failed(Failure(stage=self._blame, error=error, frame=self.frame, timing=timing))
        finally:
            if self._slot is not None:
                self._supervisor.take_home(self._slot)
                self._slot = None
            if self._inbox is not None:
                for slot in self._inbox.abandon():
                    self._supervisor.take_home(slot)
            if self._outbox is not None:
                self._outbox.close()
            self.ended = True
            self._supervisor.notice()

    def _turn(self) -> bool:
        """Process one slot, from one channel to the other. False after the last one."""
        self._slot = slot = self._pool.acquire() if self._inbox is None else self._inbox.get()
        if slot is None:
            return False
        self._await_completion(slot)
        if self._supervisor.stopping:
            return False
        self.begun[id(slot)] = perf_counter()
        with self.busy, self._drawn(f"frame {self.frame}"):
            more = self.stage.work(slot)
        if more is False:
            return False
        timing = slot.timing
        if not self._send(slot):
            self._refused = True
            return False
        self._slot = None
        self.timing = timing
        self.frames += 1
        if self.frames == 1:
            self._supervisor.notice()
        return True

    def _drawn(self, name: str) -> AbstractContextManager[None]:
        trace = self._supervisor.trace
        return nullcontext() if trace is None else trace.span(self.stage.name, name)

    def _await_completion(self, slot: Slot[Plane]) -> None:
        if slot.completion is DONE:
            return
        self._blame = self._before.stage.name
        begin = perf_counter()
        try:
            with self._before.busy:
                slot.completion.wait()
        finally:
            end = perf_counter()
            self._completion_seconds += end - begin
            if self._supervisor.trace is not None:
                number = self._pool.slots.index(slot)
                track = f"{self._before.stage.name}, in flight, slot {number}"
                begun = self._before.begun[id(slot)]
                self._supervisor.trace.add(track, f"frame {self.frame}", begun, end)
            slot.completion = DONE
        self._blame = self.stage.name

    def _send(self, slot: Slot[Plane]) -> bool:
        if self._outbox is None:
            slot.completion.wait()  # no later stage waits for it
            self._pool.release(slot)
            return True
        if self.stage.overflow is Overflow.WAIT:
            return self._outbox.put(slot)
        sent, dropped = self._outbox.put_latest(slot)
        if dropped is not None:
            self.dropped += 1
            self._supervisor.take_home(dropped)
        return sent
