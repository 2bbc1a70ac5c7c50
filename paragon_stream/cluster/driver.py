"""The driver of a render on a cluster: it assigns chunks to workers, supervises them, and stores the
results."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from paragon_stream.chunks.folder import ChunkFolder
from paragon_stream.chunks.plan import ChunkPlan
from paragon_stream.chunks.record import ChunkRecord
from paragon_stream.cluster.connection import Connection
from paragon_stream.cluster.schedule import Attempt, Schedule
from paragon_stream.cluster.seats import Hall, Node, Room, Seat, nodes_of, room_on
from paragon_stream.cluster.worker import Order, Outcome
from paragon_stream.errors import EngineError
from paragon_stream.render.progress import OnProgress, RenderProgress
from paragon_stream.report import Warnings

_LOOK = 1.0
"""Seconds between two looks at the cluster, and two questions how far a chunk is."""
_RECENT = 20.0
"""Seconds whose frames make a machine's rate."""
_MOST_LOST = 3
"""Number of workers of one machine that may end without a reason; then it gets no more."""
_SILENT = 120.0
"""Seconds without an answer to the question about its progress after which a worker counts as hung."""
_HELD_UP = 10.0
"""Seconds between two looks after which the driver itself was held up, so that answers may be late."""
_PATIENCE = 5.0
"""Seconds to wait for the end of chunks that were cancelled."""
_NO_NODES = 60.0
"""Seconds without any machine before the render is given up."""


class Driver:
    """Renders the chunks of `plan` that are not in `folder` yet. Use `run` once.

    Machines may join, fail and leave while it runs. `schedule` says afterwards how often chunks were begun.
    """

    def __init__(
        self,
        connection: Connection,
        plan: ChunkPlan,
        folder: ChunkFolder,
        weights: tuple[str, bytes] | None,
        warnings: Warnings,
        on_progress: OnProgress | None,
    ) -> None:
        self._connection, self._ray = connection, connection.ray
        self._plan, self._folder = plan, folder
        self._warnings, self._on_progress = warnings, on_progress
        records = {chunk.number: folder.record(chunk.number) for chunk in plan.chunks}
        self._bytes = sum(record.bytes for record in records.values() if record is not None)
        self.schedule = Schedule(
            {chunk.number: chunk.frames for chunk in plan.chunks},
            done=[number for number, record in records.items() if record is not None],
        )
        self._seats: dict[int, Seat] = {}
        self._calls: dict[Any, tuple[str, Seat]] = {}
        """Ray's references of unfinished calls, each with the name of the call and its seat."""
        self._refused: dict[str, str] = {}
        """Reasons why machines do not take part, by Ray's name of the machine."""
        self._lost: Counter[str] = Counter()
        self._reasons: dict[int, str] = {}
        """The reason of each chunk's latest failure."""
        self._history: deque[tuple[float, dict[str, int]]] = deque()
        request = plan.request
        source = Path(request.source)
        order: Order = {
            "plan": plan.to_json(),
            "token": (f".token-{secrets.token_hex(8)}", secrets.token_hex(16)),
            "weights": weights,
            "source_bytes": source.stat().st_size if source.is_file() else 0,
            "threads": None,
            "device": None,
        }
        self._hall = Hall(
            ray=self._ray, order=order, source=source, engine=request.engine, device=request.device
        )
        self._alone_since: float | None = None
        self._looked = 0.0

    def run(self) -> None:
        """Raises EngineError if a chunk fails everywhere or no machine can render, and KeyboardInterrupt; the
        chunks that are done stay."""
        if self.schedule.finished:
            return
        name, content = self._hall.order["token"]
        token = self._folder.path / name
        token.write_text(content, encoding="utf-8")
        try:
            while not self.schedule.finished:
                self._look()
                self._hand_out()
                self._receive()
                self._stop_superfluous()
        except self._ray.exceptions.RayError as error:
            raise EngineError(f"the cluster no longer responds: {self._why(error)}") from error
        finally:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._end()
            token.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------ machines

    def _look(self) -> None:
        """See which machines there are, give the new ones workers, ask all how far they are."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        held_up, self._looked = now - self._looked > _HELD_UP, now
        request = self._plan.request
        nodes = nodes_of(self._ray)
        left = self.schedule.remaining
        for node in nodes:
            if node.id in self._refused:
                continue
            room = room_on(node, request.engine, request.threads, local=self._connection.local)
            if not room.workers:
                why = "it has no room for a worker (--threads, --engine)"
                self._refuse(node, why, meant=not node.cpus)  # heads often get no CPUs
            have = sum(seat.node.id == node.id for seat in self._seats.values())
            for _ in range(min(room.workers, left) - have):
                self._open(node, room)
        for seat in [seat for seat in self._seats.values() if seat.number is not None]:
            if seat.asked is None:
                seat.asked, seat.asked_at = self._aside(seat, "done"), now
                self._calls[seat.asked] = "done", seat
            elif held_up:
                seat.asked_at = now
            elif now - seat.asked_at > _SILENT and not self._ray.wait([seat.asked], timeout=0)[0]:
                self._seat_gone(seat, f"the worker process has not answered for {_SILENT:.0f} s")
        self._check_alone(nodes, now)
        self._report(now)

    def _open(self, node: Node, room: Room) -> None:
        seat = self._hall.seat(node, room)
        self._seats[seat.id] = seat
        self._calls[seat.actor.open.remote()] = "open", seat

    def _check_alone(self, nodes: list[Node], now: float) -> None:
        """End the render if there has been no machine for a while, or if every machine was refused."""
        if self._seats:
            self._alone_since = None
            return
        self._alone_since = self._alone_since or now
        refused = [f"{node.name}: {self._refused[node.id]}" for node in nodes if node.id in self._refused]
        if (nodes and len(refused) == len(nodes)) or now - self._alone_since > _NO_NODES:
            why = "; ".join(refused) or "no machine is left"
            raise EngineError(f"no machine of the cluster can render: {why}")

    def _refuse(self, node: Node, why: str, *, meant: bool = False) -> None:
        self._refused[node.id] = why
        if not meant:
            self._warnings.add([f"{node.name} does not take part: {why}"])

    def _drop(self, seat: Seat) -> None:
        self._seats.pop(seat.id, None)
        self._calls = {ref: call for ref, call in self._calls.items() if call[1] is not seat}
        self._ray.kill(seat.actor)

    # ------------------------------------------------------------------------------ chunks

    def _hand_out(self) -> None:
        now = time.monotonic()
        nodes = {seat.node.id for seat in self._seats.values()}
        rates = self._seat_rates(now)
        for seat in self._seats.values():
            if not seat.ready or seat.number is not None:
                continue
            number = self.schedule.choose(seat.node.id, nodes, now, rates)
            if number is None:
                continue
            seat.number, seat.since = number, now
            self.schedule.begin(number, Attempt(worker=seat.id, node=seat.node.id, begun=now))
            self._calls[seat.actor.render.remote(number)] = "render", seat

    def _receive(self) -> None:
        """Wait for an answer, and process all that have arrived."""
        if not self._calls:
            time.sleep(_LOOK / 4)
            return
        ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=_LOOK / 2)
        if ready and len(self._calls) > 1:
            ready, _ = self._ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        for ref in ready:
            call = self._calls.pop(ref, None)
            if call is not None:
                self._take(ref, *call)

    def _take(self, ref: Any, kind: str, seat: Seat) -> None:
        if seat.id not in self._seats:
            return
        try:
            answer = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._seat_lost(seat, error)
            return
        if kind == "done":
            seat.asked = None
            number, frames = answer
            for attempt in self.schedule.attempts(number) if number == seat.number else ():
                if attempt.worker == seat.id:
                    attempt.frames = frames
        elif kind == "open":
            self._opened(seat, answer)
        elif kind == "render":
            self._rendered(seat, answer)

    def _opened(self, seat: Seat, outcome: Outcome) -> None:
        if outcome["error"]:
            self._drop(seat)
            if seat.node.id not in self._refused:
                self._refuse(seat.node, outcome["error"])
            return
        if outcome["wants_source"]:
            self._calls[seat.actor.open.remote(self._hall.server)] = "open", seat
            return
        seat.ready = True

    def _rendered(self, seat: Seat, outcome: Outcome) -> None:
        number, now = seat.number, time.monotonic()
        assert number is not None
        seat.number = None
        if outcome["error"]:
            self._failed(number, seat, outcome["error"])
            return
        record = ChunkRecord.from_json(outcome["record"])
        if self.schedule.finish(number, seat.id):
            if outcome["data"] is not None or not record.file:
                self._folder.take(record, outcome["data"])
            self._bytes += record.bytes
        seat.rendered += record.frames
        seat.busy += now - seat.since

    def _failed(self, number: int, seat: Seat, why: str) -> None:
        mine = [each for each in self.schedule.attempts(number) if each.worker == seat.id]
        meant = any(each.stopping for each in mine)
        again = self.schedule.fail(number, seat.id)
        if meant:
            return
        self._reasons[number] = why
        if not again:
            raise EngineError(
                f"chunk {number} fails wherever it is rendered, last on {seat.node.name}: {why}"
            )
        self._warnings.add([f"chunk {number} failed on {seat.node.name} and is rendered again: {why}"])

    def _seat_lost(self, seat: Seat, error: Exception) -> None:
        """A worker process, or its machine, is gone."""
        why = self._why(error)
        if not seat.ready and _is_foreign(self._ray, error):
            self._drop(seat)
            self._refuse(seat.node, f"its worker does not start: {why}")
            return
        self._seat_gone(seat, why)

    def _seat_gone(self, seat: Seat, why: str) -> None:
        """End a worker that is lost or hung; its chunk is rendered again."""
        self._drop(seat)
        self._lost[seat.node.id] += 1
        if seat.number is not None:
            self._failed(seat.number, seat, why)
        else:
            self._warnings.add([f"a worker on {seat.node.name} ended: {why}"])
        alive = any(node.id == seat.node.id for node in nodes_of(self._ray))
        if self._lost[seat.node.id] >= _MOST_LOST and alive and seat.node.id not in self._refused:
            self._refuse(seat.node, f"{_MOST_LOST} workers ended there")

    def _why(self, error: Exception) -> str:
        """The message for an exception that Ray raises instead of a result."""
        cause = getattr(error, "cause", None)
        if isinstance(error, self._ray.exceptions.RayTaskError) and cause is not None:
            return f"{type(cause).__name__}: {cause}".splitlines()[0]
        if isinstance(error, self._ray.exceptions.RayActorError):
            return "the worker process ended"
        return (str(error).strip() or type(error).__name__).splitlines()[0]

    def _stop_superfluous(self) -> None:
        for number, attempt in self.schedule.superfluous():
            attempt.stopping = True
            if (seat := self._seats.get(attempt.worker)) is not None:
                self._aside(seat, "stop", number)

    # ------------------------------------------------------------------------------ progress

    def _frames_by_node(self) -> dict[str, int]:
        """Frames that each machine has rendered in this run, so far."""
        found: Counter[str] = Counter()
        for seat in self._seats.values():
            found[seat.node.name] += seat.rendered
            if seat.number is not None:
                mine = [a for a in self.schedule.attempts(seat.number) if a.worker == seat.id]
                found[seat.node.name] += sum(attempt.frames for attempt in mine)
        return dict(found)

    def _seat_rates(self, now: float) -> dict[str, float]:
        """Frames per second of one worker, by machine, over the chunks that it has finished."""
        rates: dict[str, list[float]] = {}
        for seat in self._seats.values():
            if seat.rendered and seat.busy:
                rates.setdefault(seat.node.id, []).append(seat.rendered / seat.busy)
        return {node: sum(each) / len(each) for node, each in rates.items()}

    def _report(self, now: float) -> None:
        if self._on_progress is None:
            return
        by_node = self._frames_by_node()
        self._history.append((now, by_node))
        while len(self._history) > 2 and now - self._history[1][0] > _RECENT:
            self._history.popleft()
        then, before = self._history[0]
        span = now - then
        rates = {
            name: max(0, frames - before.get(name, 0)) / span if span > 0 else 0.0
            for name, frames in by_node.items()
        }
        done, total = self.schedule.frames_done, self.schedule.frames
        fps = sum(rates.values())
        self._on_progress(
            RenderProgress(
                frames=done,
                total=total,
                fps=fps,
                eta=(total - done) / fps if fps > 0 else None,
                bytes_out=self._bytes,
                nodes=rates,
            )
        )

    # ------------------------------------------------------------------------------ the end

    def _aside(self, seat: Seat, method: str, *arguments: Any) -> Any:
        """Call `method` of a worker that may be rendering."""
        return getattr(seat.actor, method).options(concurrency_group="aside").remote(*arguments)

    def _end(self) -> None:
        """Cancel the work of every worker and let it clean up; end workers that do not answer."""
        closing = []
        for seat in self._seats.values():
            if seat.number is not None:
                self._aside(seat, "stop", seat.number)
            closing.append(seat.actor.close.remote())
        if closing:
            self._ray.wait(closing, num_returns=len(closing), timeout=_PATIENCE)
        for seat in self._seats.values():
            self._ray.kill(seat.actor)
        self._seats.clear()


def _is_foreign(ray: Any, error: Exception) -> bool:
    """Whether the worker could not even be made: paragon-stream is absent there, or another one."""
    unavailable = (ray.exceptions.RuntimeEnvSetupError, ray.exceptions.RayTaskError)
    return isinstance(error, unavailable) or "creation task" in str(error)


def weights_data(path: str | Path | None) -> tuple[str, bytes] | None:
    """A file of weights as data; None for shipped ones, which every machine has."""
    if path is None or not Path(path).is_file():
        return None
    return Path(path).name, Path(path).read_bytes()
