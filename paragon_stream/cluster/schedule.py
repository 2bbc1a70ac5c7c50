"""Chooses the next chunk and its machine. Pure: without Ray and without clocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MOST_TRIES = 4
"""Number of failed tries of one chunk after which the render fails."""

_SLOWER = 1.5
"""A second try begins only if the first is expected to need this many times as long."""
_MARGIN = 2.0
"""Seconds that a second try must save in addition."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A chunk being rendered by worker `worker` of machine `node`; times in seconds of any one clock."""

    worker: int
    node: str
    begun: float
    frames: int = 0
    """Number of the chunk's frames that are done."""
    stopping: bool = False

    def seconds_left(self, frames: int, now: float) -> float:
        """The remaining time for a chunk of `frames` at the rate so far; infinite if no frame is done."""
        elapsed = max(now - self.begun, 1e-6)
        return (frames - self.frames) * elapsed / self.frames if self.frames else float("inf")


@dataclass(slots=True, kw_only=True)
class _State:
    frames: int
    attempts: list[Attempt] = field(default_factory=list)
    failed_on: list[str] = field(default_factory=list)
    tries: int = 0
    done: bool = False


class Schedule:
    """Assigns chunks in order. Chunks of failed or slow machines are assigned again, preferably to another
    machine."""

    def __init__(self, frames: Mapping[int, int], done: Iterable[int] = ()) -> None:
        """`frames` is how many each chunk has, `done` are the numbers of those that are rendered already."""
        self._chunks = {number: _State(frames=count) for number, count in frames.items()}
        for number in done:
            self._chunks[number].done = True

    @property
    def finished(self) -> bool:
        return all(chunk.done for chunk in self._chunks.values())

    @property
    def frames_done(self) -> int:
        """Number of frames done in all chunks, including unfinished ones."""
        return sum(
            chunk.frames if chunk.done else max((a.frames for a in chunk.attempts), default=0)
            for chunk in self._chunks.values()
        )

    @property
    def frames(self) -> int:
        return sum(chunk.frames for chunk in self._chunks.values())

    @property
    def remaining(self) -> int:
        """Number of chunks that are not done yet."""
        return sum(not chunk.done for chunk in self._chunks.values())

    def attempts(self, number: int) -> list[Attempt]:
        """The running attempts at chunk `number`."""
        return list(self._chunks[number].attempts)

    def tries(self) -> dict[int, int]:
        """Number of times that each chunk was begun."""
        return {number: chunk.tries for number, chunk in self._chunks.items() if chunk.tries}

    def choose(self, node: str, nodes: Iterable[str], now: float, rates: Mapping[str, float]) -> int | None:
        """The chunk that an idle worker of `node` takes; None if it has nothing to do.

        `nodes` are all machines that render, `rates` the frames per second of one worker of each, as far as
        they are known.
        """
        others = set(nodes) - {node}
        waiting = [n for n, chunk in self._chunks.items() if not chunk.done and not chunk.attempts]
        for number in waiting:
            failed = self._chunks[number].failed_on
            if node not in failed or others <= set(failed):
                return number
        return self._second_try(node, now, rates)

    def begin(self, number: int, attempt: Attempt) -> None:
        chunk = self._chunks[number]
        chunk.attempts.append(attempt)
        chunk.tries += 1

    def finish(self, number: int, worker: int) -> bool:
        """A worker has rendered the chunk; whether it was the first to do so."""
        chunk = self._chunks[number]
        first = not chunk.done
        chunk.done = True
        self._forget(number, worker)
        return first

    def fail(self, number: int, worker: int) -> bool:
        """A worker has failed, or is gone; whether the chunk may be tried again."""
        chunk = self._chunks[number]
        attempt = self._forget(number, worker)
        if chunk.done or attempt is None or attempt.stopping:
            return True
        chunk.failed_on.append(attempt.node)
        return len(chunk.failed_on) < MOST_TRIES or bool(chunk.attempts)

    def superfluous(self) -> list[tuple[int, Attempt]]:
        """Attempts on chunks that are done, with the number of each chunk."""
        return [
            (number, attempt)
            for number, chunk in self._chunks.items()
            for attempt in chunk.attempts
            if chunk.done and not attempt.stopping
        ]

    def _second_try(self, node: str, now: float, rates: Mapping[str, float]) -> int | None:
        """The chunk whose only attempt, on another machine, would end last, if this one would end sooner."""
        rate = rates.get(node) or (sum(rates.values()) / len(rates) if rates else 0.0)
        if not rate:
            return None
        found: tuple[float, int] | None = None
        for number, chunk in self._chunks.items():
            if chunk.done or len(chunk.attempts) != 1 or chunk.attempts[0].node == node:
                continue
            there, here = chunk.attempts[0].seconds_left(chunk.frames, now), chunk.frames / rate
            patient = now - chunk.attempts[0].begun > 2 * here  # while nothing is known of the first attempt
            late = there > _SLOWER * here + _MARGIN and (there != float("inf") or patient)
            if late and (found is None or there > found[0]):
                found = there, number
        return None if found is None else found[1]

    def _forget(self, number: int, worker: int) -> Attempt | None:
        chunk = self._chunks[number]
        found = next((each for each in chunk.attempts if each.worker == worker), None)
        if found is not None:
            chunk.attempts.remove(found)
        return found
