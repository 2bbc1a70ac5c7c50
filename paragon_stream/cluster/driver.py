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
from paragon_stream.cluster.worker import Order, Outcome
from paragon_stream.cluster.worker_pool import (
    SLOW_START,
    Capacity,
    Node,
    WorkerHandle,
    WorkerPool,
    capacity_of,
    nodes_of,
)
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
        records = {chunk.number: folder.record(chunk.number, plan.digest) for chunk in plan.chunks}
        self._bytes = sum(record.bytes for record in records.values() if record is not None)
        self.schedule = Schedule(
            {chunk.number: chunk.frames for chunk in plan.chunks},
            done=[number for number, record in records.items() if record is not None],
        )
        self._workers: dict[int, WorkerHandle] = {}
        self._calls: dict[Any, tuple[str, WorkerHandle]] = {}
        """Ray's references of unfinished calls, each with the name of the call and its worker."""
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
        self._pool = WorkerPool(
            ray=self._ray, order=order, source=source, engine=request.engine, device=request.device
        )
        self._alone_since: float | None = None
        self._looked = 0.0

    def run(self) -> None:
        """Raises EngineError if a chunk fails everywhere or no machine can render, and KeyboardInterrupt; the
        chunks that are done stay."""
        if self.schedule.finished:
            return
        name, content = self._pool.order["token"]
        token = self._folder.path / name
        token.write_text(content, encoding="utf-8")
        try:
            with self._folder.scratch():  # so that no other plan replaces this one meanwhile
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
            capacity = capacity_of(node, request.engine, request.threads, local=self._connection.local)
            if not capacity.workers:
                why = "it has no room for a worker (--threads, --engine)"
                self._refuse(node, why, meant=not node.cpus)  # heads often get no CPUs
            have = sum(worker.node.id == node.id for worker in self._workers.values())
            for _ in range(min(capacity.workers, left) - have):
                self._open(node, capacity)
        for worker in [worker for worker in self._workers.values() if worker.chunk is not None]:
            if worker.asked is None:
                worker.asked, worker.asked_at = self._aside(worker, "done"), now
                self._calls[worker.asked] = "done", worker
            elif held_up:
                worker.asked_at = now
            elif now - worker.asked_at > _SILENT and not self._ray.wait([worker.asked], timeout=0)[0]:
                self._end_worker(worker, f"the worker process has not answered for {_SILENT:.0f} s")
        self._warn_of_late(now)
        self._check_alone(nodes, now)
        self._report(now)

    def _open(self, node: Node, capacity: Capacity) -> None:
        worker = self._pool.create(node, capacity)
        self._workers[worker.id] = worker
        self._calls[worker.actor.open.remote()] = "open", worker

    def _warn_of_late(self, now: float) -> None:
        """Warn once of each machine without a worker that is ready: Ray waits for CPUs without an end."""
        workers = self._workers.values()
        ready = {worker.node.id for worker in workers if worker.ready}
        late = [each.node for each in workers if each.is_late(now) and each.node.id not in ready]
        self._warnings.add(
            [
                f"no worker is ready on {node.name} after {SLOW_START:.0f} s: another job may have its CPUs"
                for node in late
            ]
        )

    def _check_alone(self, nodes: list[Node], now: float) -> None:
        """End the render if there has been no machine for a while, or if every machine was refused."""
        if self._workers:
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

    def _drop(self, worker: WorkerHandle) -> None:
        self._workers.pop(worker.id, None)
        self._calls = {ref: call for ref, call in self._calls.items() if call[1] is not worker}
        self._ray.kill(worker.actor)

    # ------------------------------------------------------------------------------ chunks

    def _hand_out(self) -> None:
        now = time.monotonic()
        # A chunk that has failed here does not wait for a machine whose worker may never start.
        nodes = {worker.node.id for worker in self._workers.values() if not worker.is_late(now)}
        rates = self._worker_rates(now)
        for worker in self._workers.values():
            if not worker.ready or worker.chunk is not None:
                continue
            number = self.schedule.choose(worker.node.id, nodes, now, rates)
            if number is None:
                continue
            worker.chunk, worker.since = number, now
            self.schedule.begin(number, Attempt(worker=worker.id, node=worker.node.id, begun=now))
            self._calls[worker.actor.render.remote(number)] = "render", worker

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

    def _take(self, ref: Any, kind: str, worker: WorkerHandle) -> None:
        if worker.id not in self._workers:
            return
        try:
            answer = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._worker_lost(worker, error)
            return
        if kind == "done":
            worker.asked = None
            number, frames = answer
            for attempt in self.schedule.attempts(number) if number == worker.chunk else ():
                if attempt.worker == worker.id:
                    attempt.frames = frames
        elif kind == "open":
            self._opened(worker, answer)
        elif kind == "render":
            self._rendered(worker, answer)

    def _opened(self, worker: WorkerHandle, outcome: Outcome) -> None:
        if outcome["error"]:
            self._drop(worker)
            if worker.node.id not in self._refused:
                self._refuse(worker.node, outcome["error"])
            return
        if outcome["wants_source"]:
            self._calls[worker.actor.open.remote(self._pool.server)] = "open", worker
            return
        worker.ready = True

    def _rendered(self, worker: WorkerHandle, outcome: Outcome) -> None:
        number, now = worker.chunk, time.monotonic()
        assert number is not None
        worker.chunk = None
        if outcome["error"]:
            self._failed(number, worker, outcome["error"])
            return
        record = ChunkRecord.from_json(outcome["record"])
        if self.schedule.finish(number, worker.id):
            if outcome["data"] is not None or not record.file:
                self._folder.take(record, outcome["data"])
            self._bytes += record.bytes
        worker.rendered += record.frames
        worker.busy += now - worker.since

    def _failed(self, number: int, worker: WorkerHandle, why: str) -> None:
        mine = [each for each in self.schedule.attempts(number) if each.worker == worker.id]
        meant = any(each.stopping for each in mine)
        again = self.schedule.fail(number, worker.id)
        if meant:
            return
        self._reasons[number] = why
        if not again:
            raise EngineError(
                f"chunk {number} fails wherever it is rendered, last on {worker.node.name}: {why}"
            )
        self._warnings.add([f"chunk {number} failed on {worker.node.name} and is rendered again: {why}"])

    def _worker_lost(self, worker: WorkerHandle, error: Exception) -> None:
        """A worker process, or its machine, is gone."""
        why = self._why(error)
        if not worker.ready and _is_foreign(self._ray, error):
            self._drop(worker)
            self._refuse(worker.node, f"its worker does not start: {why}")
            return
        self._end_worker(worker, why)

    def _end_worker(self, worker: WorkerHandle, why: str) -> None:
        """End a worker that is lost or hung; its chunk is rendered again."""
        self._drop(worker)
        self._lost[worker.node.id] += 1
        if worker.chunk is not None:
            self._failed(worker.chunk, worker, why)
        else:
            self._warnings.add([f"a worker on {worker.node.name} ended: {why}"])
        alive = any(node.id == worker.node.id for node in nodes_of(self._ray))
        if self._lost[worker.node.id] >= _MOST_LOST and alive and worker.node.id not in self._refused:
            self._refuse(worker.node, f"{_MOST_LOST} workers ended there")

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
            if (worker := self._workers.get(attempt.worker)) is not None:
                self._aside(worker, "stop", number)

    # ------------------------------------------------------------------------------ progress

    def _frames_by_node(self) -> dict[str, int]:
        """Frames that each machine has rendered in this run, so far."""
        found: Counter[str] = Counter()
        for worker in self._workers.values():
            found[worker.node.name] += worker.rendered
            if worker.chunk is not None:
                mine = [a for a in self.schedule.attempts(worker.chunk) if a.worker == worker.id]
                found[worker.node.name] += sum(attempt.frames for attempt in mine)
        return dict(found)

    def _worker_rates(self, now: float) -> dict[str, float]:
        """Frames per second of one worker, by machine, over the chunks that it has finished."""
        rates: dict[str, list[float]] = {}
        for worker in self._workers.values():
            if worker.rendered and worker.busy:
                rates.setdefault(worker.node.id, []).append(worker.rendered / worker.busy)
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

    def _aside(self, worker: WorkerHandle, method: str, *arguments: Any) -> Any:
        """Call `method` of a worker that may be rendering."""
        return getattr(worker.actor, method).options(concurrency_group="aside").remote(*arguments)

    def _end(self) -> None:
        """Cancel the work of every worker and let it clean up; end workers that do not answer."""
        closing = []
        for worker in self._workers.values():
            if worker.chunk is not None:
                self._aside(worker, "stop", worker.chunk)
            closing.append(worker.actor.close.remote())
        if closing:
            self._ray.wait(closing, num_returns=len(closing), timeout=_PATIENCE)
        for worker in self._workers.values():
            self._ray.kill(worker.actor)
        self._workers.clear()


def _is_foreign(ray: Any, error: Exception) -> bool:
    """Whether the worker could not even be made: paragon-stream is absent there, or another one."""
    unavailable = (ray.exceptions.RuntimeEnvSetupError, ray.exceptions.RayTaskError)
    return isinstance(error, unavailable) or "creation task" in str(error)


def weights_data(path: str | Path | None) -> tuple[str, bytes] | None:
    """A file of weights as data; None for shipped ones, which every machine has."""
    if path is None or not Path(path).is_file():
        return None
    return Path(path).name, Path(path).read_bytes()
