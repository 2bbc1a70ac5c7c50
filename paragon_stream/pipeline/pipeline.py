"""Stages in threads: slots flow from the pool through every stage in order, and return to the pool.

    pool ──► decode ──► engine ──► encode ──► pool

Each stage has one thread, so frames keep their order. The number of slots bounds memory and latency: before a
slow stage slots accumulate, the pool becomes empty, and the first stage waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from paragon_stream.frame import Timing
from paragon_stream.pipeline.channel import Channel
from paragon_stream.pipeline.interrupt import HeldInterrupt
from paragon_stream.pipeline.slot import Slot, SlotPool
from paragon_stream.pipeline.stage import Failure, Overflow, Stage, StageStats
from paragon_stream.pipeline.trace import Trace
from paragon_stream.pipeline.worker import Worker

logger = logging.getLogger(__name__)

_TICK = 0.05
"""Seconds between two checks for Ctrl-C. On Windows, a signal does not end a wait for a lock."""

_PATIENCE = 5.0
"""Seconds after the stop before the log says which stage is being waited for."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a pipeline."""

    frames: int
    """Frames that have passed the last stage."""
    elapsed: float
    """Seconds since the start."""
    timing: Timing | None
    """Timing of the latest frame that passed the last stage."""


@dataclass(frozen=True, kw_only=True)
class PipelineStats:
    """The times of a run: its wall time in seconds, and its stages by name, in order."""

    wall: float
    stages: dict[str, StageStats]


def in_succession(runs: Sequence[PipelineStats]) -> PipelineStats:
    """The sum of the times of several runs of the same stages, one after another."""
    stages = {}
    for name in runs[0].stages:
        parts = [run.stages[name] for run in runs]
        stages[name] = StageStats(
            frames=sum(stats.frames for stats in parts),
            dropped=sum(stats.dropped for stats in parts),
            busy=sum(stats.busy for stats in parts),
            waiting_for_input=sum(stats.waiting_for_input for stats in parts),
            waiting_for_output=sum(stats.waiting_for_output for stats in parts),
        )
    return PipelineStats(wall=sum(run.wall for run in runs), stages=stages)


class Pipeline[Plane]:
    """Runs `stages` over `slots`, once. Build another pipeline for another run; slots may be reused.

    When `run` returns or raises, no thread is alive and every slot is in the pool.
    """

    def __init__(
        self,
        slots: Sequence[Slot[Plane]],
        stages: Sequence[Stage[Plane]],
        trace: Trace | None = None,
        *,
        first_frame: int = 0,
    ) -> None:
        """`trace` records every stage's work on every slot, and asynchronous work between stages.

        `first_frame` is the number that traces and failures give the first frame.

        Raises ValueError for no slots, no stages, or two stages of one name.
        """
        if not stages or len({stage.name for stage in stages}) != len(stages):
            raise ValueError("a pipeline needs stages with different names")
        self.pool = SlotPool(slots)
        self.trace = trace
        self.first_frame = first_frame
        if trace is not None:
            for stage in stages:
                trace.track(stage.name)
        self._channels = [self._channel_after(stage) for stage in stages[:-1]]
        self._workers: list[Worker[Plane]] = []
        ends = zip(stages, [None, *self._channels], [*self._channels, None], strict=True)
        for stage, inbox, outbox in ends:
            before = self._workers[-1] if self._workers else None
            self._workers.append(Worker(stage, self, before=before, inbox=inbox, outbox=outbox))
        self._failures: list[Failure] = []
        self._failing = threading.Lock()
        self._stopping = False
        self._begin: float | None = None
        self._wall = 0.0
        self._noticed = threading.Event()

    @property
    def failures(self) -> tuple[Failure, ...]:
        """All failures in order. `run` raises the error of the first; others often result from it."""
        return tuple(self._failures)

    @property
    def stats(self) -> PipelineStats:
        """The times; complete after `run` has returned or raised."""
        return PipelineStats(
            wall=self._wall,
            stages={
                worker.stage.name: StageStats(
                    frames=worker.frames,
                    dropped=worker.dropped,
                    busy=worker.busy.seconds,
                    waiting_for_input=worker.input_seconds,
                    waiting_for_output=worker.output_seconds,
                )
                for worker in self._workers
            },
        )

    def run(
        self, on_progress: Callable[[Progress], None] | None = None, interval: float = 0.5
    ) -> PipelineStats:
        """Run until the source ends; returns the times.

        `on_progress` is called in this thread: at the first finished frame, every `interval` seconds, and at
        the end.

        Raises the original exception of the first failure (of a stage, or of `on_progress`), with a note of
        its place; `failures` has it as data. Raises KeyboardInterrupt after Ctrl-C, from the first failure if
        there was one. RuntimeError if it ran before.
        """
        if self._begin is not None:
            raise RuntimeError("a pipeline runs only once")
        self._begin = begin = perf_counter()
        with HeldInterrupt() as interrupt:
            try:
                for worker in self._workers:
                    worker.start()
                self._supervise(begin, interrupt, on_progress, interval)
            except BaseException as error:
                frame = self.first_frame + self._workers[-1].frames
                self.failed(Failure(stage="progress", error=error, frame=frame, timing=None))
            finally:
                self._join()
                self._wall = perf_counter() - begin
        first = self._failures[0].error if self._failures else None
        complete = first is None and any(worker.complete for worker in self._workers)
        if interrupt.pending and not complete:
            raise KeyboardInterrupt from first
        if first is not None:
            raise first
        return self.stats

    # The interface for workers; see `worker.Supervisor`.

    @property
    def stopping(self) -> bool:
        """True after a failure or Ctrl-C."""
        return self._stopping

    def failed(self, failure: Failure) -> None:
        """Record a failure and stop. The first one's error gets notes about itself and the later ones."""
        with self._failing:
            self._failures.append(failure)
            first = self._failures[0]
            if failure is first:
                first.error.add_note(str(failure))
            else:
                logger.warning("a later failure %s: %r", failure, failure.error)
                first.error.add_note(f"later, {failure}: {failure.error!r}")
        self._stop()

    def take_home(self, slot: Slot[Plane]) -> None:
        """Release a slot when no asynchronous work writes into its planes."""
        try:
            slot.completion.wait()
        except BaseException as error:
            logger.warning("abandoned asynchronous work failed: %r", error)
        self.pool.release(slot)

    def notice(self) -> None:
        """Wake the thread that waits in `run`."""
        self._noticed.set()

    @property
    def _ended(self) -> bool:
        return all(worker.ended for worker in self._workers)

    def _channel_after(self, stage: Stage[Plane]) -> Channel[Slot[Plane]]:
        """See `Stage.room`."""
        usual = 1 if stage.overflow is Overflow.DROP_OLDEST else max(1, len(self.pool.slots) // 2)
        return Channel(stage.room or usual)

    def _stop(self) -> None:
        """Make every stage end after its current slot."""
        self._stopping = True  # first: workers would mistake a closed channel for the end of the stream
        self.pool.close()
        for channel in self._channels:
            for slot in channel.abandon():
                self.take_home(slot)

    def _supervise(
        self,
        begin: float,
        interrupt: HeldInterrupt,
        on_progress: Callable[[Progress], None] | None,
        interval: float,
    ) -> None:
        """Wait until all workers have ended, checking for interrupts and reporting progress meanwhile."""
        last = self._workers[-1]
        due, first_due = begin + interval, True
        while not self._ended:
            self._noticed.wait(_TICK)
            self._noticed.clear()
            if interrupt.pending and not self._stopping and not self._ended:
                self._stop()
                for worker in self._workers:
                    if worker.stage.leave is not None:
                        worker.stage.leave()
            now = perf_counter()
            if on_progress is None or self._stopping or not (now >= due or (first_due and last.frames)):
                continue
            first_due = first_due and not last.frames
            on_progress(Progress(frames=last.frames, elapsed=now - begin, timing=last.timing))
            due = perf_counter() + interval
        if on_progress is not None and not self._stopping:
            on_progress(Progress(frames=last.frames, elapsed=perf_counter() - begin, timing=last.timing))

    def _join(self) -> None:
        """Wait until no thread is alive, even if another Ctrl-C handler raises again and again."""
        begin, warned = perf_counter(), False
        for worker in self._workers:
            while worker.is_alive():
                try:
                    worker.join(_TICK)
                except KeyboardInterrupt:
                    continue
                if not warned and perf_counter() - begin > _PATIENCE:
                    logger.warning("waiting for stage %s, which does not return", worker.stage.name)
                    warned = True
