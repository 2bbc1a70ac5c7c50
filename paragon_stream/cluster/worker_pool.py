"""Workers on the machines of a cluster: how many each machine can run, and their actors."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from paragon_stream.cluster.source_pieces import BlockServer
from paragon_stream.cluster.worker import ChunkWorker, Order
from paragon_stream.runtimes import CPU_ENGINES

THREADS = 4
"""Largest number of threads of a worker without `--threads`; a worker can keep this many busy."""
SLOW_START = 60.0
"""Seconds in which a worker should be ready. Later ones wait for CPUs that another job has, or compile."""
_GPU_ENGINES = ("cuda", "tensorrt", "tensorrt-rtx")


@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine of the cluster. `id` is Ray's, `name` what people call it."""

    id: str
    name: str
    cpus: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The share of a machine that one worker gets, and the number of workers."""

    workers: int
    cpus: int
    gpus: int


@dataclass(slots=True, eq=False, kw_only=True)
class WorkerHandle:
    """A worker, as the driver sees it: its actor and its state."""

    id: int
    node: Node
    actor: Any
    begun: float = field(default_factory=time.monotonic)
    """Time of its creation, seconds of `time.monotonic`."""
    ready: bool = False
    chunk: int | None = None
    """Number of the chunk that it renders."""
    asked: Any = None
    """Ray's reference of the pending question about its progress."""
    asked_at: float = 0.0
    rendered: int = 0
    """Frames of its finished chunks."""
    since: float = 0.0
    """Start of its current chunk."""
    busy: float = 0.0
    """Seconds that its finished chunks took."""

    def is_late(self, now: float) -> bool:
        """Whether it is not ready `SLOW_START` seconds after its creation."""
        return not self.ready and now - self.begun >= SLOW_START


def nodes_of(ray: Any) -> list[Node]:
    """The machines that are alive, each with a unique name."""
    alive = [each for each in ray.nodes() if each["Alive"]]
    names = Counter(each["NodeManagerHostname"] for each in alive)
    return [
        Node(
            id=each["NodeID"],
            name=_name(each, shared=names[each["NodeManagerHostname"]] > 1),
            cpus=int(each["Resources"].get("CPU", 0)),
            gpus=int(each["Resources"].get("GPU", 0)),
        )
        for each in alive
    ]


def capacity_of(node: Node, engine: str, threads: int | None, *, local: bool) -> Capacity:
    """The division of `node` among workers of `engine`.

    Engines for GPUs, and `auto` where there is one, get a GPU each, and at least one CPU.
    Others get `threads` CPUs each, by default one on a `local` cluster and otherwise up to THREADS.
    """
    if engine in _GPU_ENGINES or (engine not in CPU_ENGINES and node.gpus):
        workers = min(node.gpus, node.cpus)
        return Capacity(workers=workers, cpus=max(1, node.cpus // max(workers, 1)), gpus=1)
    cpus = threads or (1 if local else max(1, min(THREADS, node.cpus)))
    return Capacity(workers=node.cpus // cpus, cpus=cpus, gpus=0)


def device_of(capacity: Capacity, engine: str, device: str | None) -> str | None:
    """The device of a worker's engine; None stands for the `device` of the render.

    A worker has access only to the GPU that Ray assigned, as the first one. Without one, it does not use the
    GPUs of its machine.
    """
    if capacity.gpus:
        return "cuda:0" if device is not None and device.startswith("cuda") else None
    return "cpu" if engine == "auto" and device is None else None


@dataclass(kw_only=True)
class WorkerPool:
    """Creates the workers of a render of `source`."""

    ray: Any
    order: Order
    source: Path
    engine: str
    device: str | None
    created: int = field(default=0, init=False)

    @cached_property
    def server(self) -> Any:
        """The actor that hands out the source, on this machine; created when a machine requests it."""
        here = self.ray.get_runtime_context().get_node_id()
        strategies = self.ray.util.scheduling_strategies
        return (
            self.ray.remote(BlockServer)
            .options(
                num_cpus=0,
                scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(here, soft=False),
            )
            .remote(str(self.source))
        )

    def create(self, node: Node, capacity: Capacity) -> WorkerHandle:
        """A worker on `node`, which has not begun yet."""
        self.created += 1
        strategies = self.ray.util.scheduling_strategies
        worker = self.ray.remote(concurrency_groups={"aside": 1})(ChunkWorker)  # see `Driver._aside`
        actor = worker.options(
            num_cpus=capacity.cpus,
            num_gpus=capacity.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(node.id, soft=False),
        ).remote(
            node.name,
            {**self.order, "threads": capacity.cpus, "device": device_of(capacity, self.engine, self.device)},
        )
        return WorkerHandle(id=self.created, node=node, actor=actor)


def _name(facts: Mapping[str, Any], *, shared: bool) -> str:
    host = str(facts["NodeManagerHostname"])
    return f"{host}/{facts['NodeID'][:4]}" if shared else host
