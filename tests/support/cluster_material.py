"""Ray clusters of several nodes on this machine, with workers as slow, or as old, as a test wants them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from chunk_material import LOSSLESS

import paragon_stream

STORE = 80 << 20
"""Bytes of an object store: Ray's least."""

_FAST_HEALTH = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 3,
}

_PATCHES = '''"""Run by every Python process of a node, before anything else."""
import os, time

if pause := float(os.environ.get("TEST_SECONDS_PER_FRAME", "0")):
    from paragon_stream.media.output.piece_writer import PieceWriter

    write = PieceWriter.write

    def slow(self, planes, timing):
        time.sleep(pause)
        write(self, planes, timing)

    PieceWriter.write = slow
if hidden := os.environ.get("TEST_HIDDEN"):
    from pathlib import Path

    open_ = Path.open

    def blind(self, mode="r", *arguments, **more):
        if self.is_relative_to(hidden) and mode[0] == "r":
            raise FileNotFoundError(2, "No such file or directory", str(self))
        return open_(self, mode, *arguments, **more)

    Path.open = blind
    Path.is_file = lambda self, is_file=Path.is_file: not self.is_relative_to(hidden) and is_file(self)
if version := os.environ.get("TEST_PYAV_VERSION"):
    import av

    av.__version__ = version
'''


class TestCluster:
    """`address` is what --cluster takes. The head has no CPU of its own."""

    __test__ = False

    def __init__(self, folder: Path, *, quick_to_judge: bool) -> None:
        """`quick_to_judge`: a node that does not answer for seconds counts as dead."""
        from ray.cluster_utils import Cluster

        os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - a busy machine would not get to them
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        self._patches = folder / "patches"
        self._patches.mkdir(exist_ok=True)
        (self._patches / "sitecustomize.py").write_text(_PATCHES)
        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        with _time_to_start():
            self.cluster: Any = Cluster(
                initialize_head=True,
                head_node_args={**head, "_system_config": _FAST_HEALTH} if quick_to_judge else head,
            )
        self.address = self.cluster.address

    def add(
        self,
        *,
        cpus: int = 1,
        gpus: int = 0,
        seconds_per_frame: float = 0.0,
        pyav: str = "",
        hidden: str | Path = "",
    ) -> Any:
        """A node, for which Ray counts `gpus` that need not be there. Its workers take at least so long for a
        frame, say that they have another PyAV, or do not see the files in a folder."""
        variables = {
            "PYTHONPATH": str(self._patches),
            "TEST_SECONDS_PER_FRAME": str(seconds_per_frame),
            "TEST_PYAV_VERSION": pyav,
            "TEST_HIDDEN": str(hidden),
        }
        with _time_to_start():
            return self.cluster.add_node(
                num_cpus=cpus, num_gpus=gpus, object_store_memory=STORE, env_vars=variables
            )

    def kill_node(self, node: Any) -> None:
        """Kill the node, like a power failure."""
        self.cluster.remove_node(node, allow_graceful=False)

    def workers(self, node: Any = None) -> list[psutil.Process]:
        """The processes that render, of one node or of all."""
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                if "ChunkWorker" in " ".join(process.cmdline()) and (
                    node is None or process.ppid() == node.all_processes["raylet"][0].process.pid
                ):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def close(self) -> None:
        import ray

        if ray.is_initialized():
            ray.shutdown()
        self.cluster.shutdown()


@contextmanager
def _time_to_start() -> Iterator[None]:
    """Ray gives its own processes 30 seconds, which a busy machine may not have for them."""
    try:
        yield
    except Exception as error:
        if "timed out during startup" in str(error):
            pytest.skip("this machine is too busy to start a node of Ray")
        raise


@contextmanager
def ray_cluster(folder: Path, *, quick_to_judge: bool = False) -> Iterator[TestCluster]:
    cluster = TestCluster(folder, quick_to_judge=quick_to_judge)
    try:
        yield cluster
    finally:
        cluster.close()


def once(condition: Callable[[Any], bool], action: Callable[[], None]) -> Callable[[Any], None]:
    """A function for `on_progress`, which does `action` when `condition` first holds."""
    happened: list[float] = []

    def look(progress: Any) -> None:
        if not happened and condition(progress):
            happened.append(time.monotonic())
            action()

    look.happened = happened  # type: ignore[attr-defined]
    return look


def kill(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)


def render(clip: Path, out: Path, cluster: TestCluster, **options: Any) -> paragon_stream.Report:
    """A lossless render in chunks of 0.8 s."""
    return paragon_stream.upscale(
        clip, out, cluster=cluster.address, **{"chunk_seconds": 0.8, **LOSSLESS, **options}
    )
