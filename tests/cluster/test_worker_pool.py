"""The share of a machine that a worker gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from paragon_stream.cluster.connection import SessionFolder, parse_address
from paragon_stream.cluster.worker_pool import Capacity, Node, capacity_of, device_of
from paragon_stream.errors import UsageError


def node(*, cpus: int, gpus: int = 0) -> Node:
    return Node(id="1", name="a", cpus=cpus, gpus=gpus)


@pytest.mark.parametrize(
    ("engine", "threads", "local", "of", "capacity"),
    [
        ("auto", None, True, node(cpus=8), Capacity(workers=8, cpus=1, gpus=0)),
        ("auto", None, False, node(cpus=8), Capacity(workers=2, cpus=4, gpus=0)),
        ("auto", None, False, node(cpus=2), Capacity(workers=1, cpus=2, gpus=0)),
        ("native", 3, False, node(cpus=8, gpus=4), Capacity(workers=2, cpus=3, gpus=0)),
        ("auto", None, False, node(cpus=8, gpus=2), Capacity(workers=2, cpus=4, gpus=1)),
        ("cuda", None, False, node(cpus=8), Capacity(workers=0, cpus=8, gpus=1)),
        ("torch", None, False, node(cpus=1, gpus=2), Capacity(workers=1, cpus=1, gpus=1)),
    ],
)
def test_capacity(engine: str, threads: int | None, local: bool, of: Node, capacity: Capacity) -> None:
    assert capacity_of(of, engine, threads, local=local) == capacity


def test_a_worker_computes_on_what_it_was_given() -> None:
    with_gpu, without = Capacity(workers=1, cpus=1, gpus=1), Capacity(workers=1, cpus=1, gpus=0)
    assert device_of(with_gpu, "auto", None) is None
    assert device_of(with_gpu, "cuda", "cuda:3") == "cuda:0", "it sees one, which is the first"
    assert device_of(without, "auto", None) == "cpu", "the machine may have a GPU, and others use it"
    assert device_of(without, "torch", "cpu") is None


@pytest.mark.parametrize("address", ["a..b:6379", ".a:6379", f"{'a' * 64}:6379", "a", "a:b", ":1"])
def test_addresses_that_no_host_has(address: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        parse_address(address)


@pytest.mark.parametrize("address", ["auto", "local", "my_host:6379", "bücher.de.:1", "[fe80::1]:6379"])
def test_addresses_of_clusters(address: str) -> None:
    assert parse_address(address) == address


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no open files")
def test_the_folder_of_a_local_cluster_is_removed_even_after_a_kill() -> None:
    script = (
        "import os; from paragon_stream.cluster.connection import SessionFolder; "
        "print(SessionFolder().path, flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    first = SessionFolder()
    second = SessionFolder()
    assert not left.exists() and first.path.is_dir() and second.path.is_dir()
    for each in (first, second):
        each.remove()
        assert not each.path.exists()
