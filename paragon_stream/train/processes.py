"""Several processes that train one network: each computes a part of every batch (torch's data parallelism).

A recipe's batch is that of a step, with any number of processes. So the weights become those of one
process, up to the order of sums. Rank 0 is the calling process; it alone evaluates, reports and writes.
"""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from paragon_stream.errors import EngineError, ParagonError
from paragon_stream.train.data.batches import Batch

_SECONDS = 10
"""Seconds to wait for the end of a process."""


@dataclass(frozen=True, kw_only=True)
class Team:
    """This process (`rank`) among `size` processes. In a single process, no method changes anything."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that evaluates and writes."""
        return self.rank == 0

    def part(self, batch: Batch) -> Batch:
        """This process's patches of a step's; their number must be a multiple of `size`."""
        if self.size == 1:
            return batch
        names = ("lr", "hr", "strength", "halved")
        return replace(batch, **{name: getattr(batch, name).chunk(self.size)[self.rank] for name in names})

    def wrapped(self, network: nn.Module, device: torch.device, *, leaves_out: bool) -> nn.Module:
        """`network` with gradients that are means over the team. `leaves_out`: some parameters may have no
        gradient."""
        if self.size == 1:
            return network
        return DistributedDataParallel(
            network,
            device_ids=[device] if device.type == "cuda" else None,
            find_unused_parameters=leaves_out,
        )

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the team. All processes must call it for the same ones."""
        if self.size > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)
                tensor /= self.size

    def mean(self, value: Tensor) -> float:
        """The mean of `value` over all processes."""
        held = value.detach().clone()
        self.average([held])
        return float(held)

    def meet(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()


ALONE = Team()


def run_together[T](
    devices: Sequence[str],
    lead: Callable[[Team], T],
    follow: Callable[..., None],
    arguments: tuple[Any, ...],
) -> T:
    """`lead(team)` here on the first of `devices`, and `follow(team, device, *arguments)` in a process for
    each of the others. `follow` and `arguments` are pickled.

    Raises what `lead` raises, EngineError with the reason where another process has failed.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="paragon-train-") as folder:
        store = Path(folder) / "store"
        others: list[tuple[BaseProcess, Connection]] = []
        try:
            for rank in range(1, len(devices)):
                ours, theirs = context.Pipe(duplex=False)
                team = Team(rank=rank, size=len(devices))
                given = (team, devices[rank], store, theirs, follow, arguments)
                process = context.Process(target=_follower, args=given, daemon=True)
                process.start()
                theirs.close()
                others.append((process, ours))
            for number, other in enumerate(others, 1):
                _await_start(*other, devices[number])
            team = Team(size=len(devices))
            with _group(team, store, devices[0]):
                result = lead(team)
        except ParagonError:
            raise
        except Exception as error:  # torch's, when a process at the other end is gone
            for number, other in enumerate(others, 1):
                if reason := _reason(*other):
                    raise EngineError(f"the training on {devices[number]} has failed: {reason}") from error
            raise
        else:
            for other in others:
                other[0].join(_SECONDS)
            return result
        finally:
            for other in others:
                if other[0].is_alive():
                    other[0].terminate()
                other[0].join(_SECONDS)


@contextmanager
def _group(team: Team, store: Path, device: str) -> Iterator[None]:
    backend = "nccl" if device.startswith("cuda") else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(device)
    distributed.init_process_group(backend, init_method=store.as_uri(), rank=team.rank, world_size=team.size)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _follower(
    team: Team,
    device: str,
    store: Path,
    pipe: Connection,
    follow: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # rank 0 ends this process
    try:
        pipe.send("")
        with _group(team, store, device):
            follow(team, device, *arguments)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None


def _await_start(process: BaseProcess, pipe: Connection, device: str) -> None:
    wait([pipe, process.sentinel])
    if not pipe.poll():
        raise EngineError(f"the process for {device} ended at its start, with the code {process.exitcode}")
    pipe.recv()


def _reason(process: BaseProcess, pipe: Connection) -> str:
    """Why a process has failed; "" if it has not."""
    process.join(_SECONDS)
    try:
        if pipe.poll():
            return str(pipe.recv())
    except EOFError:
        pass
    return f"its process ended with the code {process.exitcode}" if process.exitcode else ""
